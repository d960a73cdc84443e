"""AdamW (Loshchilov and Hutter 2019) as torch's fused kernel has it, for less than the kernel takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class AdamW(torch.optim.AdamW):
    """torch's fused AdamW with one count of steps, lists that are made once, and no hooks.

    torch counts the steps of each weight by itself, two small operations each, sorts its lists at
    every step, and writes an entry for profiles: for a small model that takes longer than the update.
    """

    def __init__(self, weights: Iterable[nn.Parameter], **settings: Any) -> None:
        super().__init__(weights, fused=True, **settings)
        (group,) = self.param_groups
        self._weights: list[nn.Parameter] = group["params"]
        count = torch.zeros((), device=self._weights[0].device)
        for weight in self._weights:
            first, second = (torch.zeros_like(weight, requires_grad=False) for _ in range(2))
            self.state[weight] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
        self._lists = [
            [self.state[weight][name] for weight in self._weights]
            for name in ("exp_avg", "exp_avg_sq", "step")
        ]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        assert set_to_none
        for weight in self._weights:
            weight.grad = None

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: None = None) -> None:
        """One update of all weights, unless ``found_inf``, if it is set, is 1; no closure is called."""
        assert closure is None
        (group,) = self.param_groups
        first, second, counts = self._lists
        gradients = [weight.grad for weight in self._weights]
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        counts[0].add_(1.0)
        torch._fused_adamw_(
            self._weights,
            gradients,
            first,
            second,
            [],
            counts,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
            grad_scale=getattr(self, "grad_scale", None),
            found_inf=found_inf,
        )
        if found_inf is not None:
            counts[0].sub_(found_inf)

    # As torch marks a step that it has wrapped in hooks and an entry for profiles.
    step.hooked = True
