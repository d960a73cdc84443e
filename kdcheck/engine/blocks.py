"""BERT and DistilBERT on the CPU, forward and back: what the library's modules give, to the last bit.

The same operations on the same numbers in the same order as those modules and autograd call. Left out is
what stands between them, modules, views and records, which in a narrow model takes longer than its
products; sums are made in place, and a token's row is added to its table without a loop of its own.
"""

# Shapes: B examples, T tokens of the batch, W width, U of the feed-forward part, K classes, P places of
# all padded examples, H heads, D width of a head.

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu
from transformers.activations import GELUActivation

from kdcheck.engine.attention import attend_padded, attend_padded_gradient
from kdcheck.engine.dropout import keep_mask

aten = torch.ops.aten
_norm_gradient = aten.native_layer_norm_backward.default
_gelu_back, _tanh_back = aten.gelu_backward.default, aten.tanh_backward.default
_relu_back = aten.threshold_backward.default

Weights = tuple[Tensor, Tensor]
"""Weight and bias of a linear layer or of a norm."""
Saved = Sequence[Any]
"""What a block's gradient needs of its forward."""


Batch = Any
"""A :class:`kdcheck.engine.packing.PackedBatch`, which stands above this module."""


class Block(Protocol):
    """A part of a model that gives a tensor to the next one."""

    weights: list[Tensor]

    def forward(self, x: Any, batch: Batch) -> tuple[Tensor, Saved]:
        """What the next block reads."""
        ...

    def backward(self, grad: Tensor, batch: Batch, saved: Saved) -> tuple[Any, list[Tensor]]:
        """The gradients of what it read, which may be ``grad`` overwritten, and of its weights."""
        ...


def blocks_of(model: nn.Module) -> list[Block] | None:
    """The parts of a BERT or DistilBERT classifier, or none if it has others than are written out here."""
    head: Any = model
    base = head.base_model
    is_bert = base.config.model_type == "bert"
    layers = base.encoder.layer if is_bert else base.transformer.layer
    if is_bert:
        activations = [each.intermediate.intermediate_act_fn for each in layers]
        dense, is_known = base.pooler.dense, isinstance(base.pooler.activation, nn.Tanh)
    else:
        activations = [each.ffn.activation for each in layers]
        dense, is_known = head.pre_classifier, True
    is_known &= base.embeddings.word_embeddings.padding_idx is None
    is_known &= all(isinstance(each, GELUActivation) for each in activations)
    if not is_known or any(isinstance(each, nn.Dropout) for each in model.modules()):
        return None
    return [
        _Embeddings(base.embeddings),
        *map(_of_bert if is_bert else _of_distilbert, layers),
        _Head(dense, head.dropout, head.classifier, is_bert=is_bert),
    ]


def run(blocks: Sequence[Block], batch: Batch) -> Tensor:
    """Logits (B, K) of a batch."""
    if torch.is_grad_enabled():
        logits_BK: Tensor = _Run.apply(blocks, batch, torch.empty(0, requires_grad=True))
        return logits_BK
    x = None
    for block in blocks:
        x, _ = block.forward(x, batch)
    assert x is not None
    return x


class _Run(torch.autograd.Function):
    """The whole model as one node, whose gradient goes straight into the weights.

    To autograd it depends on an empty tensor alone: each weight handed in costs a node and a record.
    """

    @staticmethod
    def forward(ctx: Any, blocks: Sequence[Block], batch: Batch, _: Tensor) -> Tensor:
        x: Any = None
        ctx.blocks, ctx.batch, ctx.saved = blocks, batch, []
        for block in blocks:
            x, saved = block.forward(x, batch)
            ctx.saved.append(saved)
        return x

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None]:
        for block in reversed(ctx.blocks):
            # What was saved is let go once it is used, as autograd does.
            grad, of_block = block.backward(grad, ctx.batch, ctx.saved.pop())
            for weight, of_weight in zip(block.weights, of_block, strict=True):
                weight.grad = of_weight if weight.grad is None else weight.grad.add_(of_weight)
        return None, None, None


class _Embeddings:
    """Hidden states before the first layer, (T, W): of word, position and, if any, type of each token."""

    def __init__(self, embeddings: Any) -> None:
        self._reads = ["input_ids", "token_type_ids", "position_ids"]
        tables = ["word_embeddings", "token_type_embeddings", "position_embeddings"]
        if not hasattr(embeddings, tables[1]):
            del self._reads[1], tables[1]
        norm, self._dropout = embeddings.LayerNorm, embeddings.dropout
        self._norm, self._eps = (norm.weight, norm.bias), norm.eps
        self._tables = [getattr(embeddings, name).weight for name in tables]
        self.weights = [*self._norm, *self._tables]

    def forward(self, _: None, batch: Batch) -> tuple[Tensor, Saved]:
        indices = [getattr(batch, name).view(-1) for name in self._reads]
        x, *others = map(torch.embedding, self._tables, indices)
        for each in others:
            x.add_(each)
        out, *moments = torch.native_layer_norm(x, x.shape[1:], *self._norm, self._eps)
        kept = _mask(self._dropout, out)
        if kept is not None:
            out.mul_(kept)
        return out, (indices, kept, x, *moments)

    def backward(self, grad: Tensor, _: Batch, saved: Saved) -> tuple[None, list[Tensor]]:
        indices, kept, *normed = saved
        grad = grad if kept is None else grad.mul_(kept)
        grad, *of_norm = _norm_back(grad, normed, self._norm)
        # In the order of the tokens, as the library's own gradient adds them.
        of_tables = (
            torch.zeros_like(table).index_add_(0, index, grad)
            for table, index in zip(self._tables, indices, strict=True)
        )
        return None, [*of_norm, *of_tables]


class _Layer:
    """One layer of either kind, (T, W) in and out."""

    def __init__(
        self, parts: Sequence[Any], attention: Any, heads: int, dropouts: Sequence[Any]
    ) -> None:
        """Query, key, value, output, first norm, the two of the feed-forward part, second norm.

        Dropouts are on the softmax, on attention's output if there is one, and on that of the
        feed-forward part.
        """
        self._parts = [(part.weight, part.bias) for part in parts]
        self._heads, self._scale = heads, attention.scaling
        self._eps = parts[4].eps, parts[7].eps
        self._dropouts = dropouts
        self.weights = list(chain.from_iterable(self._parts))

    def forward(self, hidden_TW: Tensor, batch: Batch) -> tuple[Tensor, Saved]:
        query, key, value, output, norm_1, up, down, norm_2 = self._parts
        on_softmax, on_output, on_feed_forward = self._dropouts
        rows, heads = batch.layout.rows(self._heads), (-1, hidden_TW.shape[1] // self._heads)
        padded = [
            _linear(hidden_TW, each).view(heads).index_select(0, rows.source)
            for each in (query, key, value)
        ]
        p = on_softmax.p * on_softmax.training
        out_PD, attended = attend_padded(padded, batch.layout, self._heads, self._scale, p)
        attended_TW = out_PD.index_select(0, rows.back).view(hidden_TW.shape)
        middle_TW, joined_1 = _join(
            _linear(attended_TW, output), hidden_TW, on_output, norm_1, self._eps[0]
        )
        up_TU = _linear(middle_TW, up)
        active_TU = gelu(up_TU)
        out_TW, joined_2 = _join(
            _linear(active_TU, down), middle_TW, on_feed_forward, norm_2, self._eps[1]
        )
        own = (hidden_TW, attended_TW, middle_TW, up_TU, active_TU)
        return out_TW, (own, attended, joined_1, joined_2)

    def backward(self, grad: Tensor, batch: Batch, saved: Saved) -> tuple[Tensor, list[Tensor]]:
        query, key, value, output, norm_1, up, down, norm_2 = self._parts
        (hidden_TW, attended_TW, middle_TW, up_TU, active_TU), attended, joined_1, joined_2 = saved
        rows, heads = batch.layout.rows(self._heads), (-1, hidden_TW.shape[1] // self._heads)
        grad, to_middle, of_norm_2 = _join_back(grad, joined_2, norm_2)
        grad, of_down = _linear_back(grad, active_TU, down)
        grad, of_up = _linear_back(_gelu_back(grad, up_TU), middle_TW, up)
        grad, to_hidden, of_norm_1 = _join_back(to_middle.add_(grad), joined_1, norm_1)
        grad, of_output = _linear_back(grad, attended_TW, output)
        grad_PD = grad.view(heads).index_select(0, rows.source).mul_(rows.real)
        grads_PD = attend_padded_gradient(grad_PD, attended, batch.layout, self._heads, self._scale)
        of_inputs: list[Tensor] = []
        # The last first, as autograd adds them up.
        for each, part in zip(reversed(grads_PD), (value, key, query), strict=True):
            grad_TW = each.index_select(0, rows.back).view(hidden_TW.shape)
            grad, of_part = _linear_back(grad_TW, hidden_TW, part)
            to_hidden.add_(grad)
            of_inputs = of_part + of_inputs
        return to_hidden, [*of_inputs, *of_output, *of_norm_1, *of_up, *of_down, *of_norm_2]


class _Head:
    """Logits (B, K) of the first token of each example."""

    def __init__(self, dense: Any, dropout: Any, classifier: Any, *, is_bert: bool) -> None:
        self._dense = (dense.weight, dense.bias)
        self._classifier = (classifier.weight, classifier.bias)
        self._dropout, self._is_bert = dropout, is_bert
        self.weights = [*self._dense, *self._classifier]

    def forward(self, hidden_TW: Tensor, batch: Batch) -> tuple[Tensor, Saved]:
        first_BW = hidden_TW.index_select(0, batch.first)
        dense_BW = _linear(first_BW, self._dense)
        active_BW = dense_BW.tanh_() if self._is_bert else dense_BW.relu_()
        kept = _mask(self._dropout, active_BW)
        read_BW = active_BW if kept is None else active_BW * kept
        return _linear(read_BW, self._classifier), (hidden_TW, first_BW, active_BW, kept, read_BW)

    def backward(self, grad: Tensor, batch: Batch, saved: Saved) -> tuple[Tensor, list[Tensor]]:
        hidden_TW, first_BW, active_BW, kept, read_BW = saved
        grad, of_classifier = _linear_back(grad, read_BW, self._classifier)
        grad = grad if kept is None else grad.mul_(kept)
        back = _tanh_back(grad, active_BW) if self._is_bert else _relu_back(grad, active_BW, 0)
        grad, of_dense = _linear_back(back, first_BW, self._dense)
        to_hidden = torch.zeros_like(hidden_TW).index_add_(0, batch.first, grad)
        return to_hidden, [*of_dense, *of_classifier]


def _of_bert(layer: Any) -> _Layer:
    attention, output, up, down = (
        *(layer.attention.self, layer.attention.output),
        *(layer.intermediate, layer.output),
    )
    parts = (
        *(attention.query, attention.key, attention.value, output.dense, output.LayerNorm),
        *(up.dense, down.dense, down.LayerNorm),
    )
    dropouts = (attention.dropout, output.dropout, down.dropout)
    return _Layer(parts, attention, attention.num_attention_heads, dropouts)


def _of_distilbert(layer: Any) -> _Layer:
    attention, ffn = layer.attention, layer.ffn
    parts = (
        *(attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin),
        *(layer.sa_layer_norm, ffn.lin1, ffn.lin2, layer.output_layer_norm),
    )
    return _Layer(parts, attention, attention.n_heads, (attention.dropout, None, ffn.dropout))


def _linear(x: Tensor, part: Weights) -> Tensor:
    return torch.addmm(part[1], x, part[0].t())


def _linear_back(grad: Tensor, x: Tensor, part: Weights) -> tuple[Tensor, list[Tensor]]:
    """Of the input, and of weight and bias."""
    return grad.mm(part[0]), [grad.t().mm(x), grad.sum(0)]


def _norm_back(grad: Tensor, normed: Saved, norm: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Of the input, the weight and the bias."""
    x, mean, inverse = normed
    found: tuple[Tensor, Tensor, Tensor] = _norm_gradient(
        grad, x, x.shape[1:], mean, inverse, *norm, (True, True, True)
    )
    return found


def _mask(dropout: Any, x: Tensor) -> Tensor | None:
    """What dropout multiplies by, if there is one and it is at work."""
    if dropout is None or not dropout.training or not dropout.p:
        return None
    return keep_mask(x.shape, dropout.p, x.dtype)


def _join(
    x: Tensor, residual: Tensor, dropout: Any, norm: Weights, eps: float
) -> tuple[Tensor, Saved]:
    """norm(dropout(x) + residual); x is used up."""
    kept = _mask(dropout, x)
    if kept is not None:
        x.mul_(kept)
    x.add_(residual)
    out, *moments = torch.native_layer_norm(x, x.shape[1:], *norm, eps)
    return out, (kept, x, *moments)


def _join_back(grad: Tensor, joined: Saved, norm: Weights) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Of x, of the residual, and of the norm's weight and bias; the first two may be one tensor."""
    kept, *normed = joined
    to_sum, *of_norm = _norm_back(grad, normed, norm)
    return to_sum if kept is None else to_sum * kept, to_sum, of_norm
