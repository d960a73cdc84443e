"""Attention over examples that lie end to end: each attends to itself, padding exists only in here.

Two routes to the same numbers. Accelerators get one padded layout and torch's fused kernels. The
CPU's fused kernel refuses dropout, and in one layout the longest example sets the cost of all; so
there examples come in groups of similar length, and products, softmax and gradient are written out.

Rows are gathered into the layout and gathered back, in the gradient too: a scatter costs more on the
CPU, and on CUDA deterministic algorithms make a sort of it.
"""

# Shapes: T tokens of the batch, G examples of one group, L tokens of its longest, P places of all
# padded examples, H heads, D width of a head.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from kdcheck.engine.dropout import keep_masks

GROUP_WIDTH = 8
"""On the CPU, lengths 1 to 8 share a layout, 9 to 16 the next, ... (benchmarks/packing.py)."""


@dataclass(frozen=True)
class LengthGroup:
    """Neighbouring examples that share one padded layout. Sizes are known on the host."""

    examples: int
    longest: int
    """Places of each of its examples."""
    padded: bool
    """Whether any of them is no token's."""

    @property
    def places(self) -> int:
        """Places of all its examples."""
        return self.examples * self.longest


@dataclass(frozen=True)
class Rows:
    """Which row goes to which place and back; with several heads each has rows and places of its own."""

    source: Tensor
    """Row that stands in each place. In padding it is the example's first: nobody reads it."""
    back: Tensor
    """Place in which each row stands."""
    real: Tensor
    """1 at places of rows, 0 in padding, (P, 1)."""


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a batch stand in attention; what is made of it is shared by all layers."""

    lengths_B: npt.NDArray[np.int64]
    groups: tuple[LengthGroup, ...]
    _made: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def rows(self, heads: int) -> Rows:
        """From rows (T, H) to places in the order (G, H, L), group after group."""
        if heads not in self._made:
            self._made[heads] = _rows(self.lengths_B, self.groups, heads)
        return cast("Rows", self._made[heads])

    def with_rows(self, rows: Rows) -> Layout:
        """The same layout with the rows of one head on another device."""
        return Layout(self.lengths_B, self.groups, {1: rows})

    def masks(self, heads: int, dtype: torch.dtype) -> list[Tensor | None]:
        """What is added to the scores of each group: -inf at padding, else 0, shape (G, H, 1, L)."""
        if (heads, dtype) not in self._made:
            mask = self.rows(heads).real.log().to(dtype)
            parts = mask.split_with_sizes([group.places * heads for group in self.groups])
            self._made[heads, dtype] = [
                part.view(group.examples, heads, 1, group.longest) if group.padded else None
                for group, part in zip(self.groups, parts, strict=True)
            ]
        return cast("list[Tensor | None]", self._made[heads, dtype])


def length_group(lengths_B: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of the length group of each example."""
    return (lengths_B - 1) // GROUP_WIDTH


def lay_out(lengths_B: npt.NDArray[np.int64], *, on_cpu: bool) -> Layout:
    """The layout of examples that lie end to end in the order of their length groups."""
    # On an accelerator a launch costs more than padding: one layout for all.
    changes = np.flatnonzero(np.diff(length_group(lengths_B))) + 1
    bounds = [0, *(changes.tolist() if on_cpu else ()), len(lengths_B)]
    # Fused kernels copy masks whose rows do not start at multiples of 8 numbers.
    multiple = 1 if on_cpu else 8
    examples = np.diff(bounds).tolist()
    longest = -(-np.maximum.reduceat(lengths_B, bounds[:-1]) // multiple) * multiple
    padded = np.minimum.reduceat(lengths_B, bounds[:-1]) < longest
    groups = map(LengthGroup, examples, longest.tolist(), padded.tolist())
    return Layout(lengths_B, tuple(groups))


def _rows(lengths_B: npt.NDArray[np.int64], groups: Sequence[LengthGroup], heads: int) -> Rows:
    longest_B = np.repeat([group.longest for group in groups], [group.examples for group in groups])
    # Each head of each example by itself, in the order of the places.
    starts_B1 = (lengths_B.cumsum() - lengths_B)[:, None]
    rows_BH = heads * starts_B1 + np.arange(heads)
    places_BH = longest_B.repeat(heads)
    last_BH = places_BH.cumsum()
    first_BH = last_BH - places_BH
    position_P = np.arange(last_BH[-1]) - first_BH.repeat(places_BH)
    real_P = position_P < lengths_B.repeat(longest_B * heads)
    source_P = rows_BH.ravel().repeat(places_BH) + heads * position_P * real_P
    # Token after token, each head in its own place of the example.
    back_TH = (first_BH.reshape(-1, heads) - starts_B1).repeat(lengths_B, axis=0)
    back_TH += np.arange(len(back_TH))[:, None]
    real_P1 = real_P.astype(np.float32)[:, None]
    source, back, real = map(torch.from_numpy, (source_P, back_TH.ravel(), real_P1))
    return Rows(source, back, real)


def attend(
    query_THD: Tensor, key_THD: Tensor, value_THD: Tensor, layout: Layout, scale: float, p: float
) -> Tensor:
    """softmax(scale q k^T) v within each example, with dropout on the softmax: (T, H, D) in and out."""
    if query_THD.device.type == "cpu":
        return cast("Tensor", _AttendOnCpu.apply(query_THD, key_THD, value_THD, layout, scale, p))
    return attend_fused(query_THD, key_THD, value_THD, layout, scale, p)


def attend_fused(
    query_THD: Tensor, key_THD: Tensor, value_THD: Tensor, layout: Layout, scale: float, p: float
) -> Tensor:
    """The same through torch's ``scaled_dot_product_attention``, for accelerators."""
    rows, sizes = layout.rows(1), [group.places for group in layout.groups]
    padded = [gather(each, rows.source, rows.back) for each in (query_THD, key_THD, value_THD)]
    # The gradient of a split is a copy, which one group can do without.
    padded = [each.split(sizes) if len(sizes) > 1 else (each,) for each in padded]
    parts = []
    for group, mask, *parts_PHD in zip(
        layout.groups, layout.masks(1, query_THD.dtype), *padded, strict=True
    ):
        query, key, value = (
            part.view(group.examples, group.longest, *part.shape[1:]).transpose(1, 2)
            for part in parts_PHD
        )
        out_GHLD = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=p, scale=scale
        )
        parts.append(out_GHLD.transpose(1, 2).flatten(0, 1))
    out_PHD = parts[0] if len(parts) == 1 else torch.cat(parts)
    return gather(out_PHD, rows.back, rows.source, rows.real[:, None])


def gather(rows: Tensor, index: Tensor, back: Tensor, taken: Tensor | None = None) -> Tensor:
    """``rows[index]`` whose gradient is a gather as well: ``gradient[back]``, times ``taken``.

    ``back`` says which of the results each row is, ``taken`` is 0 for rows that are none. A row that
    is in the result twice must have no gradient but at the place that ``back`` names.
    """
    return cast("Tensor", _Gather.apply(rows, index, back, taken))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, index: Tensor, back: Tensor, taken: Tensor | None
    ) -> Tensor:
        ctx.back, ctx.taken = back, taken
        return rows.index_select(0, index)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        rows = gradient.index_select(0, ctx.back)
        return rows if ctx.taken is None else rows.mul_(ctx.taken), None, None, None


class _AttendOnCpu(torch.autograd.Function):
    """The same by hand. Autograd's own record of these lines takes half as long again."""

    @staticmethod
    def forward(
        ctx: Any,
        query_THD: Tensor,
        key_THD: Tensor,
        value_THD: Tensor,
        layout: Layout,
        scale: float,
        p: float,
    ) -> Tensor:
        ctx.layout, ctx.heads, ctx.scale = layout, query_THD.shape[1], scale
        rows = layout.rows(ctx.heads)
        padded = [gather_heads(each, rows) for each in (query_THD, key_THD, value_THD)]
        # Autocast would give the softmax another type than the products, here or in backward.
        with torch.autocast("cpu", enabled=False):
            out_PD, attended = attend_padded(padded, layout, ctx.heads, scale, p)
        ctx.save_for_backward(*attended)
        return out_PD.index_select(0, rows.back).view(query_THD.shape)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_THD: Tensor) -> tuple[Tensor | None, ...]:
        rows = ctx.layout.rows(ctx.heads)
        grad_PD = gather_heads(grad_THD, rows).mul_(rows.real)
        with torch.autocast("cpu", enabled=False):
            grads = attend_padded_gradient(
                grad_PD, ctx.saved_tensors, ctx.layout, ctx.heads, ctx.scale
            )
        back = (each.index_select(0, rows.back).view(grad_THD.shape) for each in grads)
        return (*back, None, None, None)


PER_GROUP = 6
"""Tensors that the gradient needs of each group: query, key, value, softmax, softmax after dropout, mask."""


def attend_padded(
    padded: Sequence[Tensor], layout: Layout, heads: int, scale: float, p: float
) -> tuple[Tensor, list[Tensor | None]]:
    """softmax(scale q k^T) v of queries, keys and values in the places of all heads, (P * H, D).

    Also what its gradient needs.
    """
    out_PD = torch.empty_like(padded[0])
    shapes = [(g.examples * heads, g.longest, g.longest) for g in layout.groups]
    keeps = keep_masks(shapes, p, out_PD.dtype) if p else [None] * len(shapes)
    masks = layout.masks(heads, out_PD.dtype)
    attended: list[Tensor | None] = []
    for parts, mask, kept in zip(
        _by_group(layout, heads, *padded, out_PD), masks, keeps, strict=True
    ):
        query, key, value, out = parts
        weights = _weights(torch.bmm(query, key.transpose(1, 2)), mask, scale)
        times_kept = weights if kept is None else weights * kept
        torch.bmm(times_kept, value, out=out)
        attended += [query, key, value, weights, times_kept, kept]
    return out_PD, attended


def attend_padded_gradient(
    grad_PD: Tensor, attended: Sequence[Any], layout: Layout, heads: int, scale: float
) -> list[Tensor]:
    """The gradients of query, key and value, (P * H, D), where that of padding is zero."""
    grads = [torch.empty_like(grad_PD) for _ in range(3)]
    for i, parts in enumerate(_by_group(layout, heads, grad_PD, *grads)):
        grad, to_query, to_key, to_value = parts
        query, key, value, weights, times_kept, kept = attended[PER_GROUP * i :][:PER_GROUP]
        grad_weights = torch.bmm(grad, value.transpose(1, 2))
        if kept is not None:
            grad_weights.mul_(kept)
        grad_scores = _softmax_gradient(grad_weights, weights).mul_(scale)
        torch.bmm(grad_scores, key, out=to_query)
        torch.bmm(grad_scores.transpose(1, 2), query, out=to_key)
        torch.bmm(times_kept.transpose(1, 2), grad, out=to_value)
    return grads


def gather_heads(x: Tensor, rows: Rows) -> Tensor:
    """Rows of all heads in their places, (P * H, D), from (T, H, D)."""
    return x.reshape(-1, x.shape[-1]).index_select(0, rows.source)


def _by_group(layout: Layout, heads: int, *all_PD: Tensor) -> Iterator[list[Tensor]]:
    """For each group its part of each tensor, shape (G*H, L, D)."""
    sizes = [group.places * heads for group in layout.groups]
    splits = zip(*(each.split_with_sizes(sizes) for each in all_PD), strict=True)
    for group, parts in zip(layout.groups, splits, strict=True):
        yield [part.view(group.examples * heads, group.longest, -1) for part in parts]


def _weights(scores: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Softmax along the keys of (G*H, L, L), padding left out."""
    scores.mul_(scale)
    if mask is not None:
        # Masked filling, which gives the same, runs element by element.
        scores.view(*mask.shape[:2], *scores.shape[1:]).add_(mask)
    return scores.softmax(dim=-1)


def _softmax_gradient(grad: Tensor, weights: Tensor) -> Tensor:
    """What autograd calls for a softmax: w (g - sum_keys w g), in one pass."""
    return torch._softmax_backward_data(grad, weights, -1, weights.dtype)  # noqa: SLF001
