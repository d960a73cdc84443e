"""Blocks written out for the CPU against the library's modules under autograd: every bit the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kdcheck.engine.blocks import blocks_of
from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.inputs import prepare
from kdcheck.engine.packing import _by_modules, pack, packed_logits, use_packing
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests.test_packing import LENGTHS, SHAPES, VOCABULARY, build, texts

LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 2, 0, 1])


def made(shape: str, dtype=torch.float32, dropout: float = 0.0, mode: bool = True) -> nn.Module:
    return use_packing(replace_dropout(build(shape, dtype, dropout))).train(mode)


def batch_of(lengths=LENGTHS):
    rows = np.arange(len(lengths))[::-1].copy()
    return pack(texts(lengths), rows, np.arange(VOCABULARY))


def outcome(way, model: nn.Module, batch) -> dict[str, torch.Tensor]:
    """Logits and every gradient, from one seed of dropout."""
    torch.manual_seed(7)
    model.zero_grad(set_to_none=True)
    logits = way(model, batch)
    nn.functional.cross_entropy(logits, LABELS[: len(logits)]).backward()
    return {"logits": logits, **{name: each.grad for name, each in model.named_parameters()}}


@pytest.mark.parametrize("lengths", [LENGTHS, (5,), (8, 8, 8), (1, 40)])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_and_gradients_have_the_bits_of_the_librarys_modules(shape, dtype, dropout, lengths):
    model, batch = made(shape, dtype, dropout), batch_of(lengths)
    assert model.blocks is not None
    got, want = (outcome(way, model, batch) for way in (packed_logits, _by_modules))
    assert got.keys() == want.keys()
    for name, each in want.items():
        assert torch.equal(got[name], each), name
    assert all(each.abs().max() > 0 for name, each in want.items() if "key" not in name)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_eval_mode_nothing_is_drawn_and_logits_have_the_same_bits(shape):
    model, batch = made(shape, dropout=0.3, mode=False), batch_of()
    before = torch.get_rng_state()
    with torch.inference_mode():
        assert torch.equal(packed_logits(model, batch), _by_modules(model, batch))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_weights_gather_gradients_over_two_batches():
    model, both = made("bert"), (batch_of(), batch_of((3, 9)))
    for batch in both:
        packed_logits(model, batch).square().sum().backward()
    got = {name: each.grad.clone() for name, each in model.named_parameters()}
    model.zero_grad()
    for batch in both:
        _by_modules(model, batch).square().sum().backward()
    for name, each in model.named_parameters():
        assert torch.equal(got[name], each.grad), name


def another_activation(model):
    model.bert.encoder.layer[1].intermediate.intermediate_act_fn = nn.SiLU()


def another_pooler(model):
    model.bert.pooler.activation = nn.ReLU()


def a_padding_row(model):
    model.bert.embeddings.word_embeddings.padding_idx = 0


def torchs_dropout(model):
    model.bert.encoder.layer[0].output.dropout = nn.Dropout(0.1)


@pytest.mark.parametrize(
    "change", [another_activation, another_pooler, a_padding_row, torchs_dropout]
)
def test_a_model_with_other_parts_is_left_to_the_librarys_modules(change):
    model = made("bert")
    change(model)
    assert blocks_of(model) is None
    assert packed_logits(use_packing(model), batch_of()).grad_fn.name() != "_RunBackward"


def test_the_engines_models_are_run_in_blocks_on_the_cpu_and_by_modules_under_autocast():
    task = tiny_task(train=6, validation=3, test=3)
    for kind in ("bert", "distilbert"):
        inputs = prepare(task, tiny_encoder(kind), 32)
        model = inputs.build(tiny_recipe(task, inputs.encoder, max_length=32))
        batch = inputs.batch("train", np.arange(6))
        assert inputs.logits(model, batch).grad_fn.name() == "_RunBackward"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert inputs.logits(model, batch).grad_fn.name() != "_RunBackward"
