"""Packed batches: hidden states of real tokens only, padding inside attention alone.

Hidden states travel through the Hugging Face modules as (1, T, width), T being the real tokens of the
whole batch. Only the attention function, registered with transformers, lays queries, keys and values
out with padding (:mod:`kdcheck.engine.attention`), and takes the result back. The heads gather the
first token of each example. Without the function the modules would mix the examples of a flattened
batch silently.
"""

# Shapes: B examples, T real tokens of the batch, H heads, D width of a head, K classes.

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from kdcheck.encoders import Tokenized
from kdcheck.engine.attention import Layout, Rows, attend, gather, lay_out, length_group
from kdcheck.engine.blocks import blocks_of, run
from kdcheck.engine.casting import cast_at_once
from kdcheck.errors import EncoderError

ATTENTION = "kdcheck_packed"


@dataclass(frozen=True)
class PackedBatch:
    """Some examples, end to end. Sizes are known on the host, so nothing waits for the device.

    Inside, examples lie by length; what comes out is in the order that was asked for.
    """

    input_ids: Tensor
    """Rows of the embedding table, shape (1, T)."""
    token_type_ids: Tensor
    """Shape (1, T)."""
    position_ids: Tensor
    """Position of each token inside its example, shape (1, T)."""
    first: Tensor
    """Where each example starts in T, shape (B,), in the order asked for."""
    lengths_B: npt.NDArray[np.int64]
    """Tokens of each example, in the order in which they lie; stays on the host."""
    layout: Layout
    """Where they stand in attention."""
    example: Tensor | None = None
    """Example of each token, in the order asked for, shape (T,); on accelerators alone."""

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on a device, with a layout for accelerators; one copy, which does not wait."""
        if device.type == "cpu":
            return self
        relaid = self.in_one_layout()
        assert relaid.example is not None
        rows = relaid.layout.rows(1)
        host = [self.input_ids, self.token_type_ids, self.position_ids, self.first, relaid.example]
        host += [rows.source, rows.back, rows.real.long()]
        numbers = torch.cat([each.flatten() for each in host])
        if device.type == "cuda":
            numbers = numbers.pin_memory()  # else the copy waits for what runs on the device
        parts = numbers.to(device, non_blocking=True).split([each.numel() for each in host])
        moved = [part.view(each.shape) for part, each in zip(parts, host, strict=True)]
        ids, types, positions, first, example, source, back, real = moved
        layout = relaid.layout.with_rows(Rows(source, back, real))
        return PackedBatch(ids, types, positions, first, self.lengths_B, layout, example)

    def in_one_layout(self) -> PackedBatch:
        """The same batch as accelerators like it, still on the host."""
        example = torch.argsort(self.first).repeat_interleave(torch.from_numpy(self.lengths_B))
        return replace(self, layout=lay_out(self.lengths_B, on_cpu=False), example=example)


def pack(
    tokenized: Tokenized, rows_B: npt.NDArray[np.int64], row_of_token: npt.NDArray[np.int64]
) -> PackedBatch:
    """Some examples of a tokenised split, end to end, on the CPU; each token has a row of the table."""
    all_ids, all_types, all_starts = tokenized.end_to_end
    order_B = np.argsort(length_group(tokenized.lengths[rows_B]), kind="stable")
    lying_B = rows_B[order_B]
    lengths_B = tokenized.lengths[lying_B]
    starts_B = lengths_B.cumsum() - lengths_B
    first_B = np.empty_like(starts_B)
    first_B[order_B] = starts_B
    position_T = np.arange(lengths_B.sum()) - starts_B.repeat(lengths_B)
    token_T = all_starts[lying_B].repeat(lengths_B) + position_T
    table_rows_T = row_of_token.take(all_ids.take(token_T))
    assert table_rows_T.min() >= 0, "a token outside the trained vocabulary"
    return PackedBatch(
        input_ids=torch.from_numpy(table_rows_T)[None],
        token_type_ids=torch.from_numpy(all_types.take(token_T).astype(np.int64))[None],
        position_ids=torch.from_numpy(position_T)[None],
        first=torch.from_numpy(first_B),
        lengths_B=lengths_B,
        layout=lay_out(lengths_B, on_cpu=True),
    )


def use_packing(model: nn.Module) -> nn.Module:
    """Switch a Hugging Face model to the packed attention function; padded batches no longer work."""
    module: Any = model
    module.set_attn_implementation(ATTENTION)
    module.blocks = blocks_of(model)
    module.linears = [each for each in model.modules() if isinstance(each, nn.Linear)]
    return model


def packed_logits(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Logits (B, K) of a BERT or DistilBERT classifier, equal to the padded module's up to rounding."""
    head: Any = model
    kind = batch.input_ids.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        with cast_at_once(head.linears, torch.get_autocast_dtype(kind)):
            return _by_modules(model, batch)
    if kind == "cpu" and head.blocks is not None:
        return run(head.blocks, batch)
    return _by_modules(model, batch)


def _by_modules(model: nn.Module, batch: PackedBatch) -> Tensor:
    """The same from the library's own modules."""
    head: Any = model
    first_BW = _first_of(_hidden(model, batch), batch)
    if head.config.model_type == "bert":
        # Its own forward reads the first token of the first example.
        pooler = head.base_model.pooler
        first_BW = pooler.activation(pooler.dense(first_BW))
    else:
        first_BW = head.pre_classifier(first_BW).relu()
    return cast("Tensor", head.classifier(head.dropout(first_BW)))


def _first_of(hidden_TW: Tensor, batch: PackedBatch) -> Tensor:
    """The first token of each example, (B, width)."""
    if batch.example is None:  # on the CPU, where a scatter of a few rows is cheap
        return hidden_TW.index_select(0, batch.first)
    is_first_T1 = batch.position_ids.view(-1, 1) == 0
    return gather(hidden_TW, batch.first, batch.example, is_first_T1)


def _hidden(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Hidden states of the last layer, (T, width), by the library's own modules.

    Walked through here: its models' forward makes masks and captures that nobody needs, and its
    layers read signatures at each call, for longer than a tiny layer takes.
    """
    base: Any = model.base_model
    inputs = {"input_ids": batch.input_ids, "position_ids": batch.position_ids}
    if base.config.model_type == "bert":
        hidden_1TW = base.embeddings(**inputs, token_type_ids=batch.token_type_ids)
        for layer in base.encoder.layer:
            attended_1TW, _ = layer.attention(hidden_1TW, packed=batch)
            hidden_1TW = layer.feed_forward_chunk(attended_1TW)
    else:
        hidden_1TW = base.embeddings(**inputs)
        for layer in base.transformer.layer:
            hidden_1TW = layer(hidden_1TW, packed=batch)
    return cast("Tensor", hidden_1TW.squeeze(0))


def _packed_attention(
    module: nn.Module,
    query_1HTD: Tensor,
    key_1HTD: Tensor,
    value_1HTD: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    packed: PackedBatch | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each example of a packed batch; transformers calls it in every layer."""
    if packed is None:
        who = "packed attention"
        next_step = 'For padded batches call model.set_attn_implementation("sdpa") first.'
        raise EncoderError(who, "a batch without its layout", "a call by packed_logits", next_step)
    query, key, value = (
        each.squeeze(0).transpose(0, 1) for each in (query_1HTD, key_1HTD, value_1HTD)
    )
    return attend(query, key, value, packed.layout, scaling, dropout)[None], None


AttentionInterface.register(ATTENTION, _packed_attention)
