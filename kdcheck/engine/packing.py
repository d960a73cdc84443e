"""Packed batches: hidden states of real tokens only, padding inside attention alone.

Hidden states travel through the Hugging Face modules as (1, T, width), T being the real tokens of the
whole batch. Only the attention function, registered with transformers, lays queries, keys and values
out with padding (:mod:`kdcheck.engine.attention`), and takes the result back. The heads gather the
first token of each example. Without the function the modules would mix the examples of a flattened
batch silently.
"""

# Shapes: B examples, T real tokens of the batch, H heads, D width of a head, K classes.

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from kdcheck.encoders import Tokenized
from kdcheck.engine.attention import LengthGroup, attend, lay_out, length_group
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
    groups: tuple[LengthGroup, ...]
    """Layouts for attention."""

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on a device; the copies do not wait."""
        if device.type == "cpu":
            return self
        tensors = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("input_ids", "token_type_ids", "position_ids", "first")
        }
        groups = tuple(group.to(device) for group in lay_out(self.lengths_B, on_cpu=False))
        return PackedBatch(**tensors, lengths_B=self.lengths_B, groups=groups)


def pack(
    tokenized: Tokenized, rows_B: npt.NDArray[np.int64], row_of_token: npt.NDArray[np.int64]
) -> PackedBatch:
    """Some examples of a tokenised split, end to end, on the CPU; each token has a row of the table."""
    order_B = np.argsort(length_group(tokenized.lengths[rows_B]), kind="stable")
    lying_B = rows_B[order_B]
    ids = np.concatenate([tokenized.ids[row] for row in lying_B])
    types = np.concatenate([tokenized.types[row] for row in lying_B])
    lengths_B = tokenized.lengths[lying_B]
    starts_B = np.cumsum(lengths_B) - lengths_B
    first_B = np.empty_like(starts_B)
    first_B[order_B] = starts_B
    table_rows_T = row_of_token[ids]
    assert table_rows_T.min() >= 0, "a token outside the trained vocabulary"
    return PackedBatch(
        input_ids=torch.from_numpy(table_rows_T)[None],
        token_type_ids=torch.from_numpy(types.astype(np.int64))[None],
        position_ids=torch.from_numpy(np.arange(len(ids)) - np.repeat(starts_B, lengths_B))[None],
        first=torch.from_numpy(first_B),
        lengths_B=lengths_B,
        groups=lay_out(lengths_B, on_cpu=True),
    )


def use_packing(model: nn.Module) -> nn.Module:
    """Switch a Hugging Face model to the packed attention function; padded batches no longer work."""
    module: Any = model
    module.set_attn_implementation(ATTENTION)
    return model


def packed_logits(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Logits (B, K) of a BERT or DistilBERT classifier, equal to the padded module's up to rounding."""
    base: Any = model.base_model
    head: Any = model
    inputs: dict[str, Any] = {
        "input_ids": batch.input_ids,
        "position_ids": batch.position_ids,
        "packed": batch,
    }
    if head.config.model_type == "bert":
        with _without_pooler(base) as pooler:
            hidden_1TW = base(**inputs, token_type_ids=batch.token_type_ids).last_hidden_state
        first_B1W = hidden_1TW[0].index_select(0, batch.first)[:, None]
        return cast("Tensor", head.classifier(head.dropout(pooler(first_B1W))))
    hidden_1TW = base(**inputs).last_hidden_state
    first_BW = head.pre_classifier(hidden_1TW[0].index_select(0, batch.first)).relu()
    return cast("Tensor", head.classifier(head.dropout(first_BW)))


@contextlib.contextmanager
def _without_pooler(base: Any) -> Iterator[nn.Module]:
    """BERT's pooler reads ``[:, 0]``, here the first token of the first example: run it by hand."""
    pooler, base.pooler = base.pooler, None
    try:
        yield pooler
    finally:
        base.pooler = pooler


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
    query, key, value = (each[0].transpose(0, 1) for each in (query_1HTD, key_1HTD, value_1HTD))
    return attend(query, key, value, packed.groups, scaling, dropout)[None], None


AttentionInterface.register(ATTENTION, _packed_attention)
