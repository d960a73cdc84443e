"""Packed batches: hidden states of real tokens only, padding inside attention alone.

Hidden states travel through the Hugging Face modules as (1, T, width), T being the real tokens of the
whole batch. Only the attention function, registered with transformers, lays queries, keys and values
out as (B, heads, L, head width), and takes the result back. The heads gather the first token of each
example. Without the function the modules would mix the examples of a flattened batch silently.
"""

# Shapes: B examples, T real tokens of the batch, L tokens of its longest example, H heads,
# D width of a head, K classes.

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from kdcheck.engine.dropout import dropout

if TYPE_CHECKING:
    from kdcheck.encoders import Tokenized

ATTENTION = "kdcheck_packed"


@dataclass(frozen=True)
class PackedBatch:
    """Some examples, end to end. Sizes are known on the host, so nothing waits for the device.

    Source: none.

    >>> PackedBatch.__dataclass_fields__["longest"].type
    'int'
    """

    input_ids: Tensor
    """Rows of the embedding table, shape (1, T)."""
    token_type_ids: Tensor
    """Shape (1, T)."""
    position_ids: Tensor
    """Position of each token inside its example, shape (1, T)."""
    first: Tensor
    """Where each example starts in T, shape (B,)."""
    places: Tensor
    """Where each token stands in a padded batch, example * L + position, shape (T,)."""
    mask: Tensor
    """True at real tokens of a padded batch, shape (B, 1, 1, L)."""
    examples: int
    longest: int

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on a device; the copies do not wait."""
        tensors = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("input_ids", "token_type_ids", "position_ids", "first", "places", "mask")
        }
        return PackedBatch(**tensors, examples=self.examples, longest=self.longest)


def pack(
    tokenized: Tokenized, rows_B: npt.NDArray[np.int64], row_of_token: npt.NDArray[np.int64]
) -> PackedBatch:
    """Some examples of a tokenised split, end to end.

    Args:
        tokenized: the split.
        rows_B: which examples, in this order.
        row_of_token: from token id to row of the trained embedding table.

    Returns:
        The batch, on the CPU; a token that the table lacks has row -1 there and is an assertion.

    Source: none.

    >>> from kdcheck.encoders import Tokenized
    >>> texts = Tokenized((np.array([5, 6]), np.array([7])), (np.zeros(2, int), np.zeros(1, int)), 0)
    >>> pack(texts, np.array([1, 0]), np.arange(8)).input_ids
    tensor([[7, 5, 6]])
    """
    ids = np.concatenate([tokenized.ids[row] for row in rows_B])
    types = np.concatenate([tokenized.types[row] for row in rows_B])
    lengths_B = tokenized.lengths[rows_B]
    longest = int(lengths_B.max())
    starts_B = np.cumsum(lengths_B) - lengths_B
    example_T = np.repeat(np.arange(len(rows_B)), lengths_B)
    position_T = np.arange(len(ids)) - starts_B[example_T]
    table_rows_T = row_of_token[ids]
    assert table_rows_T.min() >= 0, "a token outside the trained vocabulary"
    return PackedBatch(
        input_ids=torch.from_numpy(table_rows_T)[None],
        token_type_ids=torch.from_numpy(types.astype(np.int64))[None],
        position_ids=torch.from_numpy(position_T)[None],
        first=torch.from_numpy(starts_B),
        places=torch.from_numpy(example_T * longest + position_T),
        mask=torch.from_numpy(np.arange(longest) < lengths_B[:, None])[:, None, None, :],
        examples=len(rows_B),
        longest=longest,
    )


def use_packing(model: nn.Module) -> nn.Module:
    """Switch a Hugging Face model to the packed attention function; padded batches no longer work.

    Source: transformers' attention interface.

    >>> use_packing.__name__
    'use_packing'
    """
    module: Any = model
    module.set_attn_implementation(ATTENTION)
    return model


def packed_logits(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Logits of a BERT or DistilBERT classifier on a packed batch.

    Args:
        model: a Hugging Face sequence classifier whose attention is :data:`ATTENTION`.
        batch: on the model's device.

    Returns:
        Shape (B, K), equal to the padded module's up to rounding.

    Source: the heads of transformers' own classifiers, which read ``[:, 0]`` of a padded batch.

    >>> packed_logits.__name__
    'packed_logits'
    """
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


def packed_attention(
    module: nn.Module,
    query_1HTD: Tensor,
    key_1HTD: Tensor,
    value_1HTD: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: PackedBatch,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each example of a packed batch; transformers calls it in every layer.

    Returns:
        Shape (1, T, H, D), and no weights.

    Source: Vaswani et al. 2017, section 3.2; dropout on the weights as in BERT.
    """
    query, key, value = (_lay_out(each, packed) for each in (query_1HTD, key_1HTD, value_1HTD))
    attend = _attend_on_cpu if query.device.type == "cpu" and dropout else _attend
    out_BHLD = attend(query, key, value, packed.mask, scaling, dropout)
    flat = out_BHLD.transpose(1, 2).reshape(-1, *out_BHLD.shape[1::2])
    return flat.index_select(0, packed.places)[None], None


def _lay_out(packed_1HTD: Tensor, batch: PackedBatch) -> Tensor:
    """(1, H, T, D) to (B, H, L, D), zeros where there is no token."""
    tokens_THD = packed_1HTD[0].transpose(0, 1)
    padded = tokens_THD.new_zeros(batch.examples * batch.longest, *tokens_THD.shape[1:])
    padded = padded.index_copy(0, batch.places, tokens_THD)
    return padded.view(batch.examples, batch.longest, *tokens_THD.shape[1:]).transpose(1, 2)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None, p: float
) -> Tensor:
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=p, scale=scaling
    )


def _attend_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None, p: float
) -> Tensor:
    """The same by hand: the CPU's fused kernel refuses dropout, and its fallback draws slowly."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores_BHLL = (query * scale) @ key.transpose(-1, -2)
    weights_BHLL = scores_BHLL.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return dropout(weights_BHLL, p) @ value


AttentionInterface.register(ATTENTION, packed_attention)
