"""Weights in half precision, all cast by one operation a forward pass; autocast casts each by itself.

So it does with their gradients on the way back: of the operations of a step that was one in four.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@contextmanager
def cast_at_once(linears: Sequence[nn.Linear], dtype: torch.dtype) -> Iterator[None]:
    """In the body, linear layers have weights of another type, whose gradients reach their own."""
    slots = [(each._parameters, name) for each in linears for name in ("weight", "bias")]  # noqa: SLF001
    own = [parameters[name] for parameters, name in slots]
    try:
        for (parameters, name), cast in zip(slots, _CastAll.apply(dtype, *own), strict=True):
            parameters[name] = cast
        yield
    finally:
        for (parameters, name), weight in zip(slots, own, strict=True):
            parameters[name] = weight


class _CastAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.own = weights[0].dtype
        return _cast(weights, dtype)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *_cast(grads, ctx.own))


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    made = tuple(torch.empty_like(each, dtype=dtype) for each in tensors)
    torch._foreach_copy_(made, tensors)
    return made
