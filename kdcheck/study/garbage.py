"""Garbage collection for processes that import torch, transformers and MLflow: rarely."""

from __future__ import annotations

import atexit
import gc

THRESHOLDS = (20_000, 50, 1000)
"""Of the three generations; Python's own are 700, 10, 10."""


def collect_rarely() -> None:
    """Collect seldom from now on, and not at the end of the process.

    A full collection walks over a million objects of imported modules and finds nothing. With
    Python's own thresholds a start makes a dozen of them, a sixth of its time, and the end of the
    process, which frees module after module, takes two seconds more.
    """
    gc.set_threshold(*THRESHOLDS)
    # Frozen objects are not walked over, and what no code refers to any more goes with the process.
    atexit.register(gc.freeze)
