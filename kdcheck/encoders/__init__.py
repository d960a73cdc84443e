"""Pre-trained encoders by name, and the pairs of a larger and a smaller one that KD needs."""

from kdcheck.encoders.catalogue import (
    HUB_NAMES,
    PACKAGED_ENCODERS,
    PAIRS,
    configuration,
    fetch_encoder,
    is_at_hand,
    load_encoder,
    pair_at_hand,
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
    "PACKAGED_ENCODERS",
    "PAIRS",
    "Encoder",
    "Tokenized",
    "check_label_map",
    "check_pair",
    "configuration",
    "fetch_encoder",
    "is_at_hand",
    "load_encoder",
    "pair_at_hand",
    "restore_vocabulary",
]
