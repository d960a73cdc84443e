"""Settings of the process that a recipe decides: threads, kernels, denormals; put back after."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kdcheck.errors import TrainingError
from kdcheck.recipe import Recipe

# cuBLAS reads this when its handle is made, at the first product on a GPU, which may come before the
# first recipe; without it, deterministic mode refuses matmuls.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

WORKER_BYTES = 6 * 2**30
"""A bfloat16 BERT-base with batches of 32 texts of 128 tokens, by arithmetic: 1.8 GB of weights, gradients
and moments, 2 of activations, 0.5 of CUDA itself, and room for an allocator to waste some."""
MOST_WORKERS = 6
"""More would wait for each other's launches."""

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


DEVICES = ("cpu", "cuda")
"""Those that training was tested on."""


def pick_device(name: str | None = None) -> torch.device:
    """The named device, or CUDA where torch can start on it, else the CPU.

    Raises:
        TrainingError: the named one is not there, or is of another kind.
    """
    # The count can be the driver's own, which knows nothing of this build of torch; is_available can
    # be true with no visible device. So both are asked.
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return torch.device("cuda" if count and starts_on("cuda") else "cpu")
    step = "Leave --device out, or say cpu, cuda or cuda:1."
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingError("device", repr(name), "cpu or cuda", step) from error
    if device.type not in DEVICES:
        raise TrainingError("device", repr(name), "cpu or cuda", step)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise TrainingError(
            "device",
            f"{name!r} with {count} CUDA devices visible",
            "a device that is there",
            "Install a CUDA build of torch, check CUDA_VISIBLE_DEVICES, or leave --device out.",
        )
    if device.type == "cuda" and not starts_on(name):
        raise TrainingError(
            "device",
            f"{name!r}, on which torch cannot start",
            "a device that this build of torch runs on and that has memory left",
            "Install a build of torch for this card, free its memory, or leave --device out.",
        )
    return device


def starts_on(name: str) -> bool:
    """Whether torch can use the device: not with an old driver, no kernels for the card, or no room."""
    try:
        torch.ones(1, device=name).item()  # read back, since kernels fail late
    except (RuntimeError, AssertionError):
        return False
    return True


def room_on(name: str) -> int:
    """How many workers may share a device: one for each 6 GiB that are free, from 1 to 6."""
    try:
        free_bytes, _ = torch.cuda.mem_get_info(name)
    except (RuntimeError, AssertionError):  # a driver that does not say
        return 1
    return int(min(max(free_bytes // WORKER_BYTES, 1), MOST_WORKERS))


@contextmanager
def settings_of(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Run the body under the recipe's threads, TF32 and determinism, then put all back.

    Denormal numbers are flushed to zero on one CPU thread: Adam's moments of idle weights decay into
    them, and each costs a hundred ordinary operations. On several threads they are kept, since only
    threads started afterwards would flush, and which those are depends on what ran before
    (docs/decisions/0080). The global random state is restored.
    """
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            # Not filling every new tensor saves a tenth of a step. Reading unwritten memory, which
            # the filling would hide, shows as two runs that differ.
            _apply(recipe.threads, recipe.deterministic, False, recipe.tf32, recipe.tf32)
            torch.set_flush_denormal(recipe.threads == 1)
            yield
        finally:
            torch.set_flush_denormal(False)
            _apply(*before)


def _apply(
    threads: int, deterministic: bool, fill: bool, matmul_tf32: bool, cudnn_tf32: bool
) -> None:
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.backends.cuda.matmul.allow_tf32 = matmul_tf32
    torch.backends.cudnn.allow_tf32 = cudnn_tf32


def is_emulated(recipe: Recipe, device: torch.device) -> bool:
    """Whether the device computes the recipe's bfloat16 by way of float32."""
    return (
        recipe.precision == "bfloat16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    )


def autocast_of(recipe: Recipe, device: torch.device) -> torch.autocast:
    """The autocast context of a recipe's precision; switched off for float32 and float64."""
    mixed = recipe.precision in ("bfloat16", "float16")
    dtype = DTYPES[recipe.precision] if mixed else None
    return torch.autocast(device.type, dtype=dtype, enabled=mixed)


def peak_memory_bytes(device: torch.device) -> float:
    """Most bytes in use: by the run on a CUDA device, by the whole process on the CPU; 0 if unknown."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def environment(recipe: Recipe, device: torch.device) -> dict[str, str]:
    """What the run ran on, as short strings: versions, device, threads, settings."""
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": device.type,
        "device_name": name,
        "cuda": f"ROCm {torch.version.hip}" if torch.version.hip else str(torch.version.cuda),
        "threads": str(recipe.threads),
        "precision": recipe.precision,
        "tf32": str(recipe.tf32),
        "deterministic": str(recipe.deterministic),
        "engine": recipe.engine_version,
    }
