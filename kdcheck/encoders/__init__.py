"""Pre-trained encoders by name, and the pairs of a larger and a smaller one that KD needs."""

from kdcheck.encoders.catalogue import (
    HUB_NAMES,
    PAIRS,
    configuration,
    is_at_hand,
    load_encoder,
)
from kdcheck.encoders.encoder import (
    Encoder,
    Tokenized,
    check_label_map,
    check_pair,
    restore_vocabulary,
)

__all__ = [
    "HUB_NAMES",
    "PAIRS",
    "Encoder",
    "Tokenized",
    "check_label_map",
    "check_pair",
    "configuration",
    "is_at_hand",
    "load_encoder",
    "restore_vocabulary",
]
