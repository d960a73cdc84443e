"""What happens where the memory of a device runs out: smaller parts, or an error that helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kdcheck.errors import TrainingError

SAYS_SO = ("CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED", "out of memory")
"""What plain errors of CUDA say where its libraries, and not torch, find no memory."""


def ran_out(error: RuntimeError) -> bool:
    """Whether an error means that a device has too little memory left."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in SAYS_SO
    )


def too_little_memory(who: str, device: torch.device, what: str, message: str) -> TrainingError:
    """The error of a run that cannot do with less."""
    return TrainingError(
        who,
        f"too little memory on {device} for {what}: {message}",
        "enough of it",
        "Start fewer workers on the device (--workers), free it of other programs, lower max_length, "
        "or pick a smaller encoder or bfloat16.",
    )


@contextmanager
def memory_for(what: str, who: str, device: torch.device) -> Iterator[None]:
    """Around what cannot be done in smaller parts."""
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise too_little_memory(who, device, what, str(error)) from error


def free_cache(device: torch.device) -> None:
    """Give back what torch holds and does not use, so that blocks of other sizes find a place."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
