"""Attention over examples that lie end to end: each attends to itself, padding exists only in here.

Two routes to the same numbers. Accelerators get one padded layout and torch's fused kernels. The
CPU's fused kernel refuses dropout, and in one layout the longest example sets the cost of all; so
there examples come in groups of similar length, and products, softmax and gradient are written out.
"""

# Shapes: T tokens of the batch, G examples of one group, L tokens of its longest, H heads,
# D width of a head.

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from kdcheck.engine.dropout import keep_mask

GROUP_WIDTH = 8
"""On the CPU, lengths 1 to 8 share a layout, 9 to 16 the next, ... (benchmarks/packing.py)."""


@dataclass(frozen=True)
class LengthGroup:
    """Neighbouring examples that share one padded layout. Sizes are known on the host."""

    start: int
    """Its first token in T."""
    tokens: int
    """Its real tokens."""
    examples: int
    longest: int
    places: Tensor | None
    """Where each of its tokens stands when padded, example * L + position; none if nothing is."""
    mask: Tensor | None
    """True at real tokens, shape (G, 1, 1, L); none if nothing is padded."""

    def to(self, device: torch.device) -> LengthGroup:
        """The same group on a device; the copies do not wait."""
        places, mask = (
            None if each is None else each.to(device, non_blocking=True)
            for each in (self.places, self.mask)
        )
        return LengthGroup(self.start, self.tokens, self.examples, self.longest, places, mask)


def length_group(lengths_B: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of the length group of each example."""
    return (lengths_B - 1) // GROUP_WIDTH


def lay_out(lengths_B: npt.NDArray[np.int64], *, on_cpu: bool) -> tuple[LengthGroup, ...]:
    """The layouts of examples that lie end to end in the order of their length groups."""
    # On an accelerator a launch costs more than padding: one layout for all.
    changes = np.flatnonzero(np.diff(length_group(lengths_B))) + 1
    bounds = [0, *(changes if on_cpu else ()), len(lengths_B)]
    ends_B = np.cumsum(lengths_B)
    return tuple(
        _group(int(ends_B[first] - lengths_B[first]), lengths_B[first:last])
        for first, last in pairwise(bounds)
    )


def _group(start: int, lengths_G: npt.NDArray[np.int64]) -> LengthGroup:
    examples, longest = len(lengths_G), int(lengths_G.max())
    tokens = int(lengths_G.sum())
    places = mask = None
    if tokens < examples * longest:
        real_GL = np.arange(longest) < lengths_G[:, None]
        places = torch.from_numpy(np.flatnonzero(real_GL))
        mask = torch.from_numpy(real_GL)[:, None, None, :]
    return LengthGroup(start, tokens, examples, longest, places, mask)


def attend(
    query_THD: Tensor,
    key_THD: Tensor,
    value_THD: Tensor,
    groups: tuple[LengthGroup, ...],
    scale: float,
    p: float,
) -> Tensor:
    """softmax(scale q k^T) v within each example, with dropout on the softmax: (T, H, D) in and out."""
    if query_THD.device.type == "cpu":
        return cast("Tensor", _AttendOnCpu.apply(query_THD, key_THD, value_THD, groups, scale, p))
    return attend_fused(query_THD, key_THD, value_THD, groups, scale, p)


def attend_fused(
    query_THD: Tensor,
    key_THD: Tensor,
    value_THD: Tensor,
    groups: tuple[LengthGroup, ...],
    scale: float,
    p: float,
) -> Tensor:
    """The same through torch's ``scaled_dot_product_attention``, for accelerators."""
    parts = []
    for group in groups:
        query, key, value = (_pad(each, group) for each in (query_THD, key_THD, value_THD))
        out_GHLD = scaled_dot_product_attention(
            query, key, value, attn_mask=group.mask, dropout_p=p, scale=scale
        )
        parts.append(_unpad(out_GHLD, group))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _pad(x_THD: Tensor, group: LengthGroup) -> Tensor:
    """The group's tokens as (G, H, L, D), zeros where there is no token."""
    tokens = x_THD.narrow(0, group.start, group.tokens)
    if group.places is not None:
        padded = tokens.new_zeros(group.examples * group.longest, *tokens.shape[1:])
        tokens = padded.index_copy(0, group.places, tokens)
    return tokens.view(group.examples, group.longest, *tokens.shape[1:]).transpose(1, 2)


def _unpad(x_GHLD: Tensor, group: LengthGroup) -> Tensor:
    """The way back; what stands where there is no token is left behind."""
    tokens = x_GHLD.transpose(1, 2).flatten(0, 1)
    return tokens if group.places is None else tokens.index_select(0, group.places)


class _AttendOnCpu(torch.autograd.Function):
    """The same by hand. Autograd's own record of these lines takes half as long again."""

    @staticmethod
    def forward(
        ctx: Any,
        query_THD: Tensor,
        key_THD: Tensor,
        value_THD: Tensor,
        groups: tuple[LengthGroup, ...],
        scale: float,
        p: float,
    ) -> Tensor:
        out_THD = torch.empty(query_THD.shape, dtype=query_THD.dtype)
        saved: list[Tensor | None] = []
        # Autocast would give the softmax another type than the products, here or in backward.
        with torch.autocast("cpu", enabled=False):
            for group in groups:
                query, key, value = (
                    _pad(each, group).flatten(0, 1) for each in (query_THD, key_THD, value_THD)
                )
                weights = _weights(torch.bmm(query, key.transpose(1, 2)).mul_(scale), group)
                kept = keep_mask(weights.shape, p, weights.dtype) if p else None
                _put(out_THD, torch.bmm(_times(weights, kept), value), group)
                saved += [query, key, value, weights, kept]
        ctx.save_for_backward(*saved)
        ctx.groups, ctx.scale = groups, scale
        return out_THD

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_THD: Tensor) -> tuple[Tensor | None, ...]:
        grad_THD = grad_THD.contiguous()
        grads = [torch.empty_like(grad_THD) for _ in range(3)]
        with torch.autocast("cpu", enabled=False):
            for i, group in enumerate(ctx.groups):
                query, key, value, weights, kept = ctx.saved_tensors[5 * i : 5 * i + 5]
                grad = _pad(grad_THD, group).flatten(0, 1)
                grad_weights = _times(torch.bmm(grad, value.transpose(1, 2)), kept)
                grad_scores = _softmax_gradient(grad_weights, weights).mul_(ctx.scale)
                _put(grads[0], torch.bmm(grad_scores, key), group)
                _put(grads[1], torch.bmm(grad_scores.transpose(1, 2), query), group)
                _put(grads[2], torch.bmm(_times(weights, kept).transpose(1, 2), grad), group)
        return (*grads, None, None, None)


def _weights(scores: Tensor, group: LengthGroup) -> Tensor:
    """Softmax along the keys of (G*H, L, L), padding left out."""
    if group.mask is not None:
        by_example = scores.view(group.examples, -1, group.longest, group.longest)
        by_example.masked_fill_(~group.mask, float("-inf"))
    return scores.softmax(dim=-1)


def _softmax_gradient(grad: Tensor, weights: Tensor) -> Tensor:
    """What autograd calls for a softmax: w (g - sum_keys w g), in one pass."""
    return torch._softmax_backward_data(grad, weights, -1, weights.dtype)  # noqa: SLF001


def _times(values: Tensor, kept: Tensor | None) -> Tensor:
    return values if kept is None else values * kept


def _put(out_THD: Tensor, part: Tensor, group: LengthGroup) -> None:
    """Write (G*H, L, D) to the group's tokens in (T, H, D)."""
    by_example = part.view(group.examples, -1, *part.shape[1:])
    out_THD.narrow(0, group.start, group.tokens).copy_(_unpad(by_example, group))
