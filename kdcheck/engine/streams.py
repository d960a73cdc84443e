"""Named random streams. What a stream gives at step t is a function of (seed, name, t) alone.

So how often a run is evaluated, where it was resumed and which run shares its first steps cannot
change a result: nothing else draws from these streams, and no state is carried along.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

STREAMS = ("init", "order", "dropout", "sample")


def stream_seed(seed: int, stream: str, index: int = 0) -> int:
    """A 63-bit seed for one draw of one stream.

    Args:
        seed: the recipe's seed.
        stream: ``init``, ``order``, ``dropout`` or ``sample``.
        index: 0 for init and sample, the epoch for order, the step for dropout.

    Returns:
        An integer from 0 to 2**63 - 1; streams of neighbouring seeds or steps share nothing.

    Source: none; sha256 as a counter-based generator.

    >>> stream_seed(0, "dropout", 1) == stream_seed(0, "dropout", 2)
    False
    """
    assert stream in STREAMS, stream
    text = f"kdcheck/{seed}/{stream}/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def epoch_order(seed: int, epoch: int, examples: int) -> npt.NDArray[np.int64]:
    """The order in which one epoch visits the training examples.

    Args:
        seed: the recipe's seed.
        epoch: 0 for the first.
        examples: number of training examples N.

    Returns:
        A permutation of 0..N-1, shape (N,).

    Source: none; numpy's Philox generator, whose stream is fixed across versions and machines.

    >>> sorted(epoch_order(0, 0, 4).tolist())
    [0, 1, 2, 3]
    """
    return _permutation(stream_seed(seed, "order", epoch), examples)


def sample_rows(examples: int, size: int) -> npt.NDArray[np.int64]:
    """A random sample of a split, the same one in every run, so that curves can be compared.

    The first rows would not do: some tasks come sorted by class.

    Args:
        examples: number of examples N.
        size: how many are wanted; all N if there are fewer.

    Returns:
        Rows in ascending order, shape (min(N, size),).

    Source: none; seed 0, whatever the recipe's seed.

    >>> sample_rows(1000, 3)
    array([299, 489, 849])
    """
    return np.sort(_permutation(stream_seed(0, "sample"), examples)[:size])


def _permutation(key: int, examples: int) -> npt.NDArray[np.int64]:
    # Sorting raw 64-bit draws uses no numpy routine whose stream may change between versions.
    draws = np.random.Philox(key=key).random_raw(examples)
    order: npt.NDArray[np.int64] = np.argsort(draws, kind="stable").astype(np.int64)
    return order
