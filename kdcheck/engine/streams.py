"""Named random streams. What a stream gives at step t is a function of (seed, name, t) alone.

So how often a run is evaluated, where it was resumed and which run shares its first steps cannot
change a result: nothing else draws from these streams, and no state is carried along.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

STREAMS = ("init", "order", "dropout", "sample", "shuffle")


def stream_seed(seed: int, stream: str, index: int = 0) -> int:
    """A 63-bit seed for one draw of one stream; the index is order's epoch, dropout's step, a class."""
    assert stream in STREAMS, stream
    text = f"kdcheck/{seed}/{stream}/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def epoch_order(seed: int, epoch: int, examples: int) -> npt.NDArray[np.int64]:
    """The order in which one epoch, counted from 0, visits the training examples."""
    return _permutation(stream_seed(seed, "order", epoch), examples)


def shuffled(seed: int, predicted: int, examples: int) -> npt.NDArray[np.int64]:
    """An order of the examples of which a teacher predicts one class, to shuffle its confidences."""
    return _permutation(stream_seed(seed, "shuffle", predicted), examples)


def sample_rows(examples: int, size: int) -> npt.NDArray[np.int64]:
    """A random sample of a split's rows, rising, the same one in every run, so that curves compare."""
    # The first rows would not do: some tasks come sorted by class.
    return np.sort(_permutation(stream_seed(0, "sample"), examples)[:size])


def _permutation(key: int, examples: int) -> npt.NDArray[np.int64]:
    # Sorting raw 64-bit draws uses no numpy routine whose stream may change between versions.
    draws = np.random.Philox(key=key).random_raw(examples)
    order: npt.NDArray[np.int64] = np.argsort(draws, kind="stable").astype(np.int64)
    return order
