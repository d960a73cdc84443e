"""What happens where the memory of a device runs out: smaller parts, or an error that helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kdcheck.errors import TrainingError


def too_little_memory(who: str, device: torch.device, what: str, message: str) -> TrainingError:
    """The error of a run that cannot do with less.

    Args:
        who: the step or evaluation that was stopped.
        device: whose memory ran out.
        what: what found no place there.
        message: torch's own, with the numbers.

    Returns:
        The error, to be raised.

    Source: none.

    >>> print(too_little_memory("step 3, seed 0", torch.device("cuda"), "one example", "no 2 GiB"))
    ... # doctest: +ELLIPSIS
    step 3, seed 0: got too little memory on cuda for one example: no 2 GiB; wanted enough of it. Start...
    """
    return TrainingError(
        who,
        f"too little memory on {device} for {what}: {message}",
        "enough of it",
        "Start fewer workers on the device (--workers), free it of other programs, lower max_length, "
        "or pick a smaller encoder or bfloat16.",
    )


@contextmanager
def memory_for(what: str, who: str, device: torch.device) -> Iterator[None]:
    """Around what cannot be done in smaller parts.

    Args:
        what: what needs memory.
        who: the step that it belongs to.
        device: where.

    Returns:
        A context manager.

    Raises:
        TrainingError: memory ran out.

    Source: none.

    >>> with memory_for("the optimiser", "step 3, seed 0", torch.device("cpu")):
    ...     pass
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise too_little_memory(who, device, what, str(error)) from error


def free_cache(device: torch.device) -> None:
    """Give back what torch holds and does not use, so that blocks of other sizes find a place.

    Source: none.

    >>> free_cache(torch.device("cpu"))
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
