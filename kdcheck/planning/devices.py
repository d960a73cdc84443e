"""Hours on a device by a stated model: arithmetic, weights through memory, and a host that launches.

A step is arithmetic at a share of the device's peak, and the optimiser's way through all weights at
the speed of its memory. The host issues a fixed number of operations a layer meanwhile: where those
take longer, the device waits. Several workers on one device wait at the same time; with enough of them
the device alone is left. On a CPU host and device are one, and both take their time.
docs/guides/plan.md says where each number is from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from kdcheck.engine.settings import DTYPES
from kdcheck.planning.counts import Amount

TERA, GIGA = 1e12, 1e9
SHARE = 0.3
"""Of a GPU's peak that products of an encoder's size reach, with all that stands between them."""
CPU_SHARE = 0.35
"""Of the peak of a core's own square products: 33 to 39 % was measured with AVX-512."""
STEP_BYTES = 50
"""Through memory a weight and step: AdamW 28, clipping 12, casts 10."""
LAYER_OPERATIONS, OTHER_OPERATIONS = 95, 70
"""Operations of a training step: of each layer, and of all the rest."""
LOOK_PART = 0.3
"""Of them that a forward pass without gradient has."""
HOST_SECONDS = 10e-6
"""To issue one operation, from Python to the driver."""
NEAREST = {"bfloat16": "float16", "float64": "float32"}
"""What is counted for a precision that a device is not made for."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the model knows of a device."""

    name: str
    peak: Mapping[str, float]
    """Precision: FLOP a second in dense products."""
    bandwidth: float
    """Bytes a second through its memory."""
    share: float = SHARE
    is_host: bool = False
    """A CPU: it issues its operations itself."""

    def counted_as(self, precision: str) -> str:
        """The precision that the model takes: the nearest one that the device multiplies."""
        return precision if precision in self.peak else NEAREST[precision]


_HOPPER = {"bfloat16": 989 * TERA, "float16": 989 * TERA, "float32": 67 * TERA}
GPUS = (
    Device(
        name="A100",
        peak={"bfloat16": 312 * TERA, "float16": 312 * TERA, "float32": 19.5 * TERA},
        bandwidth=2_039 * GIGA,
    ),
    Device(name="H100", peak=_HOPPER, bandwidth=3_350 * GIGA),
    Device(name="H200", peak=_HOPPER, bandwidth=4_800 * GIGA),
    Device(
        name="L4",
        peak={"bfloat16": 121 * TERA, "float16": 121 * TERA, "float32": 30.3 * TERA},
        bandwidth=300 * GIGA,
    ),
    Device(name="T4", peak={"float16": 65 * TERA, "float32": 8.1 * TERA}, bandwidth=320 * GIGA),
)
"""From NVIDIA's data sheets: SXM models of A100 (80 GB), H100 and H200, dense rates."""


def find(name: str) -> Device | None:
    """The GPU that a driver's name, such as ``NVIDIA H100 80GB HBM3``, stands for; None if none."""
    words = name.replace("-", " ").split()
    return next((gpu for gpu in GPUS if gpu.name in words), None)


def seconds(parts: Iterable[Amount], device: Device) -> tuple[float, float]:
    """What some runs take on one device: with one worker, and the device's own work alone.

    Args:
        parts: the runs.
        device: where they train, one after the other.

    Returns:
        Seconds with a single worker, which waits for its host, and seconds with so many that none
        of it is waiting; equal on a CPU.
    """
    alone = busy = 0.0
    for each in parts:
        peak = device.peak[device.counted_as(each.recipe.precision)] * device.share
        working = each.flops / peak + each.steps * STEP_BYTES * each.parameters / device.bandwidth
        issued = LAYER_OPERATIONS * each.shape.layers + OTHER_OPERATIONS
        issuing = HOST_SECONDS * issued * (each.steps + LOOK_PART * each.look_batches)
        busy += working + issuing if device.is_host else working
        alone += working + issuing if device.is_host else max(working, issuing)
    return alone, busy


def this_cpu(size: int = 512) -> Device:
    """One core of this machine, its peaks and its memory as they are measured in a moment."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rates = {name: _rate(size, dtype) for name, dtype in DTYPES.items() if name != "float16"}
        large = torch.rand(4096, 4096)
        other = torch.empty_like(large)
        copy = _best(lambda: other.copy_(large))
    finally:
        torch.set_num_threads(threads)
    return Device(
        name="one core here",
        peak=rates | {"float16": rates["bfloat16"]},  # for which not every build has a product
        bandwidth=2 * large.nbytes / copy,
        share=CPU_SHARE,
        is_host=True,
    )


def _rate(size: int, dtype: torch.dtype) -> float:
    """FLOP a second of square products."""
    square = torch.rand(size, size).to(dtype)
    return 2 * size**3 / _best(lambda: square @ square)


def _best(run: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the fastest of several calls."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)
