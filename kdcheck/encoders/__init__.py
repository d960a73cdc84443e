"""Pre-trained encoders by name, and the pairs of a larger and a smaller one that KD needs."""

from kdcheck.encoders.catalogue import PAIRS, load_encoder
from kdcheck.encoders.model import Encoder, Tokenized, check_pair

__all__ = ["PAIRS", "Encoder", "Tokenized", "check_pair", "load_encoder"]
