"""Stop before a bad step: a loss or gradient that is not finite never reaches the weights.

On a GPU reading a number makes the host wait, so it is not read each step. A flag on the device is
set by the first bad step and stays set; the optimiser is handed it as ``found_inf`` and skips that
step and every one after. The host looks now and then and finds the weights as they were before.
"""

# Shapes: B examples of one step.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kdcheck.errors import TrainingError

LOOK_EVERY = 50
"""Steps between two looks of the host on a GPU; on the CPU looking costs nothing and is done each
step."""


class FiniteGuard:
    """Watches the losses of each step and blocks the optimiser from the first bad one on."""

    def __init__(
        self, device: torch.device, *, seed: int, ids_of: Callable[[int], Sequence[str]]
    ) -> None:
        self.blocked = torch.zeros((), device=device)
        self._seed = seed
        self._ids_of = ids_of
        self._look_every = 1 if device.type == "cpu" else LOOK_EVERY
        self._unread: list[tuple[int, Tensor, Tensor]] = []
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.loss_count = 0

    def watch(self, step: int, loss_B: Tensor, gradient_norm: Tensor) -> None:
        """Take in one step, before the optimiser; nothing is read from an accelerator.

        The gradient's norm of a step whose loss scaler skips it may be infinite: pass zero then.
        """
        loss = loss_B.sum()
        self.loss_sum = self.loss_sum + loss
        self.loss_count += len(loss_B)
        if self._look_every == 1 and math.isfinite(float(loss) + float(gradient_norm)):
            return
        # Each loss by itself: the sum of finite ones may overflow.
        bad = ~torch.isfinite(torch.cat([loss_B, gradient_norm[None]])).all()
        self.blocked = torch.maximum(self.blocked, bad.float())
        self._unread.append((step, loss_B, bad))

    def look_is_due(self) -> bool:
        """Whether enough steps have gone by unread."""
        return len(self._unread) >= self._look_every

    def look(self) -> None:
        """Read the flag; raise if a step was bad."""
        if bool(self.blocked):
            # The flag is the maximum of these, and none is forgotten once it is up.
            raise next(self._error(step, loss_B) for step, loss_B, bad in self._unread if bool(bad))
        self._unread.clear()

    def brake(self) -> Tensor | None:
        """What blocks the optimiser if it is 1; none where the host has just read that it is not."""
        return self.blocked if self._unread else None

    def mean_loss(self) -> float:
        """Mean loss per example since the last call, in nats."""
        mean = float(self.loss_sum) / max(self.loss_count, 1)
        self.loss_sum, self.loss_count = torch.zeros_like(self.loss_sum), 0
        return mean

    def _error(self, step: int, loss_B: Tensor) -> TrainingError:
        ids = self._ids_of(step)
        finite_B = torch.isfinite(loss_B).tolist()
        bad = [example for example, finite in zip(ids, finite_B, strict=True) if not finite]
        what = (
            f"a loss that is not finite on {', '.join(bad[:5])}"
            if bad
            else f"a gradient that is not finite on a batch starting with {', '.join(ids[:3])}"
        )
        return TrainingError(
            f"step {step}, seed {self._seed}",
            what,
            "finite losses and gradients",
            "The weights are as they were before that step. Lower the learning rate, or use "
            "bfloat16 or float32 in place of float16.",
        )
