"""How much work a run does, counted and not timed."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from kdcheck.engine import loop
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.objectives import Distillation
from tests.engine_doubles import inputs_of, recipe_of


def real_tokens() -> int:
    return int(inputs_of().tokenized["train"].lengths.sum())


def test_a_teacher_is_asked_about_each_training_row_once_whatever_the_number_of_students():
    inputs = inputs_of()
    teacher = train(recipe_of(evaluations_per_epoch=3), inputs, predict_train=True)
    assert teacher.cost["predicted_rows/train"] / len(inputs.task.train) == 1.0
    predictions = teacher.final.predictions["train"]
    assert predictions.ids == inputs.task.train.ids
    for alpha in (0.2, 0.5):
        recipe = recipe_of(objective=Distillation(alpha=alpha), teacher=teacher.recipe)
        student = train(recipe, inputs, teacher=predictions)
        assert "predicted_rows/train" not in student.cost


def test_rows_and_tokens_are_counted_as_they_are():
    cost = train(recipe_of(evaluations_per_epoch=3, curve_rows=7), inputs_of()).cost
    assert cost["steps"] == 6
    assert cost["train_rows"] == 2 * 24
    assert cost["train_tokens"] == 2 * real_tokens()
    assert cost["predicted_rows/validation"] == 9  # at the end alone
    assert cost["predicted_rows/test"] == 11
    assert cost["predicted_rows/train_sample"] == 6 * 7
    assert cost["predicted_rows/test_sample"] == 5 * 7  # at the end they are among the test rows
    assert cost["peak_memory_bytes"] > 2**26  # the libraries alone take more
    assert 0 < cost["evaluation_seconds"] < cost["seconds"]


def tokens_through_linear_layers(monkeypatch, kind: str, padded: bool) -> Counter[str]:
    """Tokens that each linear layer of the encoder sees in training, by its name."""
    products = Products()
    start = loop._start

    def watched(*args):
        run = products.run = start(*args)
        for name, module in run.model.base_model.named_modules():
            if isinstance(module, nn.Linear) and "pooler" not in name:
                products.names[module.weight.data_ptr()] = name
        if padded:
            run.model.set_attn_implementation("sdpa")
        return run

    monkeypatch.setattr(loop, "_start", watched)
    if padded:
        monkeypatch.setattr(Inputs, "logits", padded_logits)
    with products:
        train(recipe_of(inputs_of(kind)), inputs_of(kind))
    return products.rows


class Products(TorchDispatchMode):
    """Counts the rows that are multiplied by each weight in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self.rows: Counter[str] = Counter()
        self.run = None

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        if op is torch.ops.aten.addmm.default and self.run.model.training:
            _, rows, weight = args
            name = self.names.get(weight.data_ptr())
            self.rows.update({name: len(rows)} if name else {})
        return op(*args, **(kwargs or {}))


def padded_logits(_inputs, model, batch) -> torch.Tensor:
    """The usual way: every example as long as the longest."""
    parts = torch.split(batch.input_ids[0], batch.lengths_B.tolist())
    ids = nn.utils.rnn.pad_sequence(parts, batch_first=True)
    lengths = torch.from_numpy(batch.lengths_B)
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return model(input_ids=ids, attention_mask=mask).logits


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_linear_layers_see_real_tokens_only(kind, monkeypatch):
    seen = tokens_through_linear_layers(monkeypatch, kind, padded=False)
    assert len(seen) == 2 * 6  # layers, each with query, key, value, output and two feed-forward
    assert set(seen.values()) == {2 * real_tokens()}


def test_padding_would_be_seen_by_the_count(monkeypatch):
    seen = tokens_through_linear_layers(monkeypatch, "bert", padded=True)
    assert min(seen.values()) > 1.2 * 2 * real_tokens()


def test_the_trained_table_holds_the_words_that_are_used_and_no_others(monkeypatch):
    inputs = inputs_of()
    table = inputs.build(recipe_of()).base_model.embeddings.word_embeddings
    assert table.num_embeddings == len(inputs.vocabulary) < inputs.encoder.config.vocab_size
    used = {int(i) for part in inputs.tokenized.values() for ids in part.ids for i in ids}
    assert set(inputs.vocabulary.tolist()) == used


def test_texts_that_were_cut_are_counted_and_said():
    inputs = prepare(inputs_of().task, inputs_of().encoder, 6)
    evidence = train(recipe_of(max_length=6), inputs)
    splits = [inputs.task.split(name) for name in ("train", "validation", "test")]
    lengths = [len(text.split()) + 2 for split in splits for (text,) in split.texts]
    cut = sum(length > 6 for length in lengths)
    assert cut > 0
    assert evidence.notes == (f"{cut} texts were longer than 6 tokens and were cut",)
