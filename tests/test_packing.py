"""Packed logits and gradients against the library's own padded modules, and faults that must show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from kdcheck.encoders import Tokenized
from kdcheck.engine import attention, packing
from kdcheck.engine.attention import attend, attend_fused, lay_out
from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.packing import pack, packed_logits, use_packing
from kdcheck.errors import EncoderError

VOCABULARY = 60
LONGEST = 40
# Lengths 1 and 2, both sides of a group's edge, repeats, and the longest there is.
LENGTHS = (9, 2, LONGEST, 1, 8, 17, 17, 3, 31)
SHAPES = {
    "bert": {"num_hidden_layers": 3, "hidden_size": 24, "num_attention_heads": 3},
    "minilm": {"num_hidden_layers": 2, "hidden_size": 96, "num_attention_heads": 12},
    "distilbert": {"n_layers": 3, "dim": 24, "n_heads": 3, "hidden_dim": 48},
}


def build(shape: str, dtype: torch.dtype = torch.float64, dropout: float = 0.0):
    """A random classifier with weights so large that a fault anywhere shows in the logits."""
    torch.manual_seed(0)
    size = {"vocab_size": VOCABULARY, "max_position_embeddings": LONGEST, "num_labels": 3}
    size["pad_token_id"] = None  # as in every model that the engine builds
    if shape == "distilbert":
        rates = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), dropout)
        model = DistilBertForSequenceClassification(
            DistilBertConfig(**size, **SHAPES[shape], **rates)
        )
    else:
        rates = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), dropout)
        model = BertForSequenceClassification(
            BertConfig(**size, **SHAPES[shape], **rates, intermediate_size=48)
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm_weight = name.endswith("weight") and parameter.dim() == 1
            parameter.normal_(float(norm_weight), 2.0 / parameter.shape[-1] ** 0.5)
    return model.to(dtype).train()


def texts(lengths=LENGTHS, seed: int = 1) -> Tokenized:
    """Random ids, none of them padding, and token types that change half-way."""
    rng = np.random.default_rng(seed)
    ids = tuple(rng.integers(1, VOCABULARY, n).astype(np.int32) for n in lengths)
    types = tuple((np.arange(n) >= n // 2).astype(np.int32) for n in lengths)
    return Tokenized(ids=ids, types=types, truncated=np.zeros(len(ids), dtype=bool))


def packed(model, tokenized: Tokenized) -> torch.Tensor:
    use_packing(replace_dropout(model))
    return packed_logits(
        model, pack(tokenized, np.arange(len(tokenized.ids)), np.arange(VOCABULARY))
    )


def padded(model, tokenized: Tokenized) -> torch.Tensor:
    """The oracle: the library's own way, a padded batch with a mask."""
    model.set_attn_implementation("sdpa")
    ids = torch.zeros(len(tokenized.ids), max(tokenized.lengths), dtype=torch.int64)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (some_ids, some_types) in enumerate(zip(tokenized.ids, tokenized.types, strict=True)):
        ids[row, : len(some_ids)] = torch.from_numpy(some_ids)
        types[row, : len(some_ids)] = torch.from_numpy(some_types)
        mask[row, : len(some_ids)] = 1
    extra = {"token_type_ids": types} if model.config.model_type == "bert" else {}
    return model(input_ids=ids, attention_mask=mask, **extra).logits


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_packed_logits_equal_the_librarys_padded_logits(shape, dtype, tolerance):
    model, tokenized = build(shape, dtype), texts()
    want = padded(model, tokenized)
    assert want.std(0).min() > 0.1  # logits that tell the examples apart
    assert distance(packed(model, tokenized), want) < tolerance


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_gradients_equal_the_librarys_padded_gradients(shape):
    model, tokenized, gradients = build(shape), texts(), []
    for way in (padded, packed):
        model.zero_grad(set_to_none=True)
        way(model, tokenized).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name, want in gradients[0].items():
        # Key biases shift all scores of a query alike: their gradient is rounding around zero.
        assert distance(gradients[1][name], want) < 1e-9 * max(1.0, want.abs().max().item()), name


@pytest.mark.parametrize("lengths", [(5,), (1, 1), (8, 8, 8), (2, 40)])
def test_single_texts_and_texts_of_one_length_need_no_special_care(lengths):
    model, tokenized = build("bert"), texts(lengths)
    assert distance(packed(model, tokenized), padded(model, tokenized)) < 1e-10


def test_results_come_in_the_order_asked_for():
    model, tokenized = use_packing(build("bert")), texts()
    rows = np.array([4, 2, 0, 7, 2])
    got = packed_logits(model, pack(tokenized, rows, np.arange(VOCABULARY)))
    for place, row in enumerate(rows):
        alone = packed_logits(model, pack(tokenized, np.array([row]), np.arange(VOCABULARY)))
        assert distance(got[place], alone[0]) < 1e-10


def test_token_types_reach_bert_and_do_not_reach_distilbert():
    tokenized = texts()
    blank = Tokenized(tokenized.ids, tuple(np.zeros_like(t) for t in tokenized.types), 0)
    bert, distilbert = build("bert"), build("distilbert")
    assert distance(packed(bert, tokenized), packed(bert, blank)) > 0.1
    assert distance(packed(distilbert, tokenized), packed(distilbert, blank)) == 0.0


def test_linear_layers_see_real_tokens_only_and_attention_pads_within_groups():
    batch = pack(texts(), np.arange(len(LENGTHS)), np.arange(VOCABULARY))
    assert batch.input_ids.shape == (1, sum(LENGTHS))
    padded_tokens = sum(group.places for group in batch.layout.groups)
    assert batch.layout.rows(1).back.shape == (sum(LENGTHS),)
    assert sum(LENGTHS) <= padded_tokens < len(LENGTHS) * max(LENGTHS) / 2


# Planted faults: each breaks one thing, and the parity check above must see it.


def test_parity_fails_when_a_flattened_batch_goes_through_ordinary_attention():
    model, tokenized = build("bert"), texts()
    want = padded(model, tokenized)
    batch = pack(tokenized, np.arange(len(LENGTHS)), np.arange(VOCABULARY))
    use_packing(model).set_attn_implementation("sdpa")  # planted: the library's own, examples mixed
    model.blocks = None
    assert distance(packed_logits(model, batch), want) > 0.1


def test_parity_fails_when_the_head_reads_the_first_token_of_the_batch_only():
    model, tokenized = build("bert"), texts()
    want = padded(model, tokenized)
    batch = pack(tokenized, np.arange(len(LENGTHS)), np.arange(VOCABULARY))
    batch.first.zero_()  # planted: every example reads token 0
    assert distance(packed_logits(use_packing(replace_dropout(model)), batch), want) > 0.1


def test_parity_fails_when_padding_is_attended_to(monkeypatch):
    model, tokenized = build("bert"), texts()
    want = padded(model, tokenized)
    monkeypatch.setattr(
        attention, "_weights", lambda scores, _mask, scale: (scores * scale).softmax(dim=-1)
    )
    assert distance(packed(model, tokenized), want) > 0.1


def test_parity_fails_when_positions_run_on_from_example_to_example():
    model, tokenized = build("bert"), texts((5, 6, 7))
    want = padded(model, tokenized)
    batch = pack(tokenized, np.arange(3), np.arange(VOCABULARY))
    batch.position_ids.copy_(torch.arange(18))  # planted
    assert distance(packed_logits(use_packing(replace_dropout(model)), batch), want) > 0.1


# The attention function alone.


def heads(lengths, dtype=torch.float64, seed=2):
    generator = torch.Generator().manual_seed(seed)
    shape = (3, sum(lengths), 2, 4)
    return torch.randn(shape, generator=generator, dtype=dtype).unbind(0)


def sorted_by_group(lengths):
    return np.array(sorted(lengths, key=lambda n: (n - 1) // attention.GROUP_WIDTH))


def test_the_written_out_gradient_agrees_with_finite_differences_under_dropout():
    lengths = np.array([2, 3, 9])
    groups = lay_out(lengths, on_cpu=True)

    def with_one_mask(query, key, value):
        torch.manual_seed(5)
        return attend(query, key, value, groups, 0.7, 0.3)

    inputs = [each.clone().requires_grad_() for each in heads(lengths)]
    assert torch.autograd.gradcheck(with_one_mask, inputs)


def test_the_route_for_accelerators_gives_the_same_numbers():
    lengths = sorted_by_group(LENGTHS)
    inputs = [each.clone().requires_grad_() for each in heads(lengths)]
    answers = []
    for function, on_cpu in ((attend, True), (attend_fused, False), (attend_fused, True)):
        out = function(*inputs, lay_out(lengths, on_cpu=on_cpu), 0.5, 0.0)
        answers.append([out, *torch.autograd.grad(out.sin().sum(), inputs)])
    for other in answers[1:]:
        for got, want in zip(other, answers[0], strict=True):
            assert distance(got, want) < 1e-12


def attend_by_scatter(query, key, value, layout, scale):
    """One padded layout, filled with zeros and index_copy, and read back with index_select."""
    (group,) = layout.groups
    back, shape = layout.rows(1).back, (group.examples, group.longest, *query.shape[1:])
    padded = (
        query.new_zeros(group.places, *query.shape[1:]).index_copy(0, back, each)
        for each in (query, key, value)
    )
    out = attention.scaled_dot_product_attention(
        *(each.view(shape).transpose(1, 2) for each in padded),
        attn_mask=layout.masks(1, query.dtype)[0],
        scale=scale,
    )
    return out.transpose(1, 2).flatten(0, 1).index_select(0, back)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gathers_give_the_bits_of_scatters_in_attention_and_its_gradient(dtype):
    inputs = [each.clone().requires_grad_() for each in heads(sorted_by_group(LENGTHS), dtype)]
    layout = lay_out(sorted_by_group(LENGTHS), on_cpu=False)
    outs = (attend_fused(*inputs, layout, 0.5, 0.0), attend_by_scatter(*inputs, layout, 0.5))
    answers = [[out, *torch.autograd.grad(out.sin().sum(), inputs)] for out in outs]
    for got, want in zip(*answers, strict=True):
        assert torch.equal(got, want)


def test_on_an_accelerator_the_heads_tokens_have_the_gradient_that_they_have_on_the_cpu():
    batch = pack(texts(), np.arange(len(LENGTHS))[::-1].copy(), np.arange(VOCABULARY))
    example = torch.argsort(batch.first).repeat_interleave(torch.from_numpy(batch.lengths_B))
    hidden = heads(LENGTHS)[0].flatten(1).requires_grad_()
    answers = []
    for each in (batch, replace(batch, example=example)):
        first = packing._first_of(hidden, each)
        answers.append([first, *torch.autograd.grad(first.sin().sum(), hidden)])
    for got, want in zip(*answers, strict=True):
        assert torch.equal(got, want)


def test_rows_of_several_heads_go_to_their_places_and_come_back():
    lengths, tokens, width = np.array([3, 2, 9]), 14, 2
    layout = lay_out(lengths, on_cpu=True)
    assert [(g.examples, g.longest, g.padded) for g in layout.groups] == [
        (2, 3, True),
        (1, 9, False),
    ]
    rows = layout.rows(width)
    numbers = torch.arange(tokens * width)
    assert torch.equal(numbers[rows.source][rows.back], numbers)
    # Two examples of two heads: a token's rows are its number times two, and one more.
    assert numbers[rows.source][:12].tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 6, 7, 9, 7]
    assert rows.real[:12, 0].tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0]


def test_bfloat16_inputs_stay_near_float64():
    lengths = sorted_by_group(LENGTHS)
    groups = lay_out(lengths, on_cpu=True)
    exact = attend(*heads(lengths), groups, 0.5, 0.0)
    half = attend(*(each.bfloat16() for each in heads(lengths)), groups, 0.5, 0.0)
    assert half.dtype == torch.bfloat16
    # Three roundings of relative size 2**-9 on numbers of size about 1, softmax weights <= 1.
    assert distance(half.double(), exact) < 8 * 2**-9 * exact.abs().max()


def test_training_under_autocast_gives_finite_gradients_near_those_of_float32():
    lengths = sorted_by_group(LENGTHS)
    model = use_packing(build("minilm", torch.float32))
    batch = pack(texts(lengths), np.arange(len(lengths)), np.arange(VOCABULARY))
    gradients = []
    for enabled in (False, True):
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            logits = packed_logits(model, batch)
        logits.float().square().sum().backward()
        gradients.append(model.classifier.weight.grad.clone())
    error = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    assert error < 0.05


@pytest.mark.parametrize("shape", ["bert", "distilbert"])
def test_with_dropout_packed_training_draws_the_same_masks_from_the_same_seed(shape):
    model, tokenized = replace_dropout(build(shape, torch.float32, dropout=0.2)), texts()
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(packed(model, tokenized))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    model.eval()
    assert torch.equal(packed(model, tokenized), packed(model, tokenized))


def test_attention_dropout_keeps_the_mean_of_the_output():
    lengths = np.array([6, 20])
    query, key, value = heads(lengths)
    groups = lay_out(lengths, on_cpu=True)
    plain = attend(query, key, value, groups, 0.5, 0.0)
    torch.manual_seed(0)
    draws = torch.stack([attend(query, key, value, groups, 0.5, 0.25) for _ in range(800)])
    standard_errors = (draws.mean(0) - plain).abs() / (draws.std(0) / 800**0.5)
    # 208 normal variables: the largest of them exceeds 4.5 with probability 0.0014.
    assert standard_errors.max() < 4.5


def test_a_padded_batch_given_to_a_packed_model_is_refused():
    model, tokenized = use_packing(build("bert")), texts()
    ids = torch.from_numpy(tokenized.ids[0].astype(np.int64))[None]
    with pytest.raises(EncoderError, match=r'set_attn_implementation\("sdpa"\)'):
        model(input_ids=ids)


def test_a_token_outside_the_trained_vocabulary_is_an_assertion():
    row_of_token = np.full(VOCABULARY, -1)
    with pytest.raises(AssertionError, match="outside the trained vocabulary"):
        pack(texts(), np.array([0]), row_of_token)


def test_on_an_accelerator_there_is_one_layout_and_nothing_waits_for_the_device():
    batch = pack(texts(), np.arange(len(LENGTHS)), np.arange(VOCABULARY))
    model = use_packing(build("bert", torch.float32)).to("meta")
    moved = batch.to(torch.device("meta"))
    assert len(moved.layout.groups) == 1
    # On the meta device any .item(), .cpu() or size that depends on data raises.
    logits = packed_logits(model, moved)
    logits.sum().backward()
    assert logits.shape == (len(LENGTHS), 3)
    assert model.bert.embeddings.word_embeddings.weight.grad.device.type == "meta"


def test_use_packing_names_our_attention_function():
    assert use_packing(build("bert")).config._attn_implementation == packing.ATTENTION
