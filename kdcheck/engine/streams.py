"""Named random streams. What a stream gives at step t is a function of (seed, name, t) alone.

So how often a run is evaluated, where it was resumed and which run shares its first steps cannot
change a result: nothing else draws from these streams, and no state is carried along.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

STREAMS = ("init", "order", "dropout")


def stream_seed(seed: int, stream: str, index: int = 0) -> int:
    """A 63-bit seed for one draw of one stream.

    Args:
        seed: the recipe's seed.
        stream: ``init``, ``order`` or ``dropout``.
        index: 0 for init, the epoch for order, the step for dropout.

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
    bits = np.random.Philox(key=stream_seed(seed, "order", epoch))
    # Sorting raw 64-bit draws uses no numpy routine whose stream may change between versions.
    draws = bits.random_raw(examples)
    order: npt.NDArray[np.int64] = np.argsort(draws, kind="stable").astype(np.int64)
    return order
