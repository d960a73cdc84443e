"""Dropout (Srivastava et al. 2014, scaled while training) whose mask is cheap to draw on a CPU.

PyTorch's ``bernoulli_`` draws one double per element on the CPU. Here one 64-bit draw serves four
elements, 16 bits each. The probability is thereby a multiple of 2**-16: 0.1 becomes 6554 / 65536, and
what is kept is divided by exactly the probability of being kept, so the mean is unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = 2**16


def keep_masks(shapes: Sequence[Sequence[int]], p: float, dtype: torch.dtype) -> list[Tensor]:
    """CPU tensors that are 0 with probability p and 1 / (1 - p) elsewhere, out of one draw.

    They are what one draw after the other would give.
    """
    counts = [math.prod(shape) for shape in shapes]
    draws = [(count + 3) // 4 for count in counts]
    dropped = round(p * LEVELS)
    # The whole range of int64, its ends included, so that all 16-bit parts are uniform.
    bits = torch.empty(sum(draws), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    # Compared into numbers at once: from truth values to numbers takes twice as long as the comparison.
    kept = torch.empty(bits.shape, dtype=dtype)
    torch.ge(bits, dropped - LEVELS // 2, out=kept).mul_(LEVELS / (LEVELS - dropped))
    parts = kept.split([4 * each for each in draws])
    return [
        part[:count].view(tuple(shape))
        for part, count, shape in zip(parts, counts, shapes, strict=True)
    ]


def keep_mask(shape: Sequence[int], p: float, dtype: torch.dtype) -> Tensor:
    """One of them."""
    return keep_masks([shape], p, dtype)[0]


def dropout(values: Tensor, p: float) -> Tensor:
    """Zero each element with probability p and divide the rest by what is kept."""
    if p == 0.0:
        return values
    if values.device.type != "cpu":
        return nn.functional.dropout(values, p)
    return values * keep_mask(values.shape, p, values.dtype)


class Dropout(nn.Module):
    """A module in the place of ``torch.nn.Dropout``."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Dropout in train mode, nothing in eval mode."""
        return dropout(values, self.p) if self.training else values


def replace_dropout(model: nn.Module) -> nn.Module:
    """Put :class:`Dropout` in the place of every ``torch.nn.Dropout`` of a model."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, Dropout(child.p).train(child.training))
    return model
