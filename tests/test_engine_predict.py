"""Logits of a split, and of the sample that training curves follow."""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import pytest
import torch

from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.packing import use_packing
from kdcheck.engine.predict import predict
from kdcheck.engine.streams import sample_rows
from kdcheck.errors import TrainingError
from kdcheck.testing import tiny_encoder, tiny_task
from tests.refusal import refused


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return prepare(tiny_task(train=40), tiny_encoder("bert"), 32)


@pytest.fixture(scope="module")
def look(inputs):
    model = inputs.encoder.build(num_classes=2, seed=0, vocabulary=inputs.vocabulary)
    return lambda **options: predict(
        use_packing(model), inputs, "train", device=torch.device("cpu"), **options
    )


def test_a_sample_holds_the_same_logits_ids_and_labels_as_the_whole_split(look, inputs):
    whole, sample = look(), look(sample=10)
    rows = sample_rows(40, 10)
    assert sample.ids == tuple(inputs.task.train.ids[row] for row in rows)
    assert np.array_equal(sample.labels_N, whole.labels_N[rows])
    # Other examples share the batch, so products may be summed in another order.
    assert np.abs(sample.logits_NK - whole.logits_NK[rows]).max() < 1e-5


def test_a_sample_larger_than_the_split_is_the_split(look):
    assert look(sample=41).ids == look().ids


def limit_memory(monkeypatch, examples: int) -> list[int]:
    """A device that holds so many examples; the sizes that were tried."""
    real, tried = Inputs.logits, []

    def limited(self, model, batch):
        tried.append(len(batch.lengths_B))
        if tried[-1] > examples:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, model, batch)

    monkeypatch.setattr(Inputs, "logits", limited)
    return tried


@pytest.mark.parametrize(
    ("tokens", "examples", "sizes"),
    [
        (8192, 7, [40, 20, 10, *[5] * 8]),
        (8192, 1, [40, 20, 10, 5, 3, 2, *[1] * 40]),
        (
            100,
            8,
            [16, 8, 8, 6, 5, 4, 3, 3, 3],
        ),  # 16, 11, 7, 6: what is left is halved with the first
    ],
)
def test_with_less_memory_the_same_rows_come_from_smaller_batches_and_are_counted_once(
    look, monkeypatch, tokens, examples, sizes
):
    whole, tally = look(), defaultdict(float)
    # The module is hidden behind the function of its name.
    monkeypatch.setattr(sys.modules["kdcheck.engine.predict"], "TOKENS_PER_BATCH", tokens)
    tried = limit_memory(monkeypatch, examples)
    parts = look(tally=tally)
    assert tried == sizes
    assert parts.ids == whole.ids
    assert np.array_equal(parts.labels_N, whole.labels_N)
    # Products may be summed in another order; rows differ from each other by far more than that.
    assert np.abs(parts.logits_NK - whole.logits_NK).max() < 1e-6
    assert np.abs(parts.logits_NK - whole.logits_NK[::-1]).max() > 1e-4
    assert tally == {"predicted_rows/train": 40}


def test_when_not_even_one_example_fits_the_error_says_what_would_help(look, monkeypatch):
    limit_memory(monkeypatch, 0)
    with refused(
        TrainingError, "logits on train", "on cpu for one example: ", "2.00 GiB", "fewer workers"
    ):
        look()


def share_of_first_class(rows) -> float:
    sorted_by_class = np.repeat([0, 1], [400, 600])
    return float((sorted_by_class[rows] == 0).mean())


def test_a_sample_of_a_split_that_is_sorted_by_class_has_its_share_of_each_class():
    # Six standard deviations of a draw of 128 without replacement are 0.24.
    assert abs(share_of_first_class(sample_rows(1000, 128)) - 0.4) < 0.24
    assert abs(share_of_first_class(np.arange(128)) - 0.4) > 0.24  # the first rows would fail


def test_the_sample_is_the_same_in_every_process_and_version():
    # Written down once: curves of runs that lie years apart are compared.
    assert sample_rows(1000, 3).tolist() == [299, 489, 849]


def test_a_sample_is_drawn_without_repeats_and_in_order():
    rows = sample_rows(500, 200)
    assert len(rows) == 200
    assert (np.diff(rows) > 0).all()
    assert set(rows) <= set(range(500))
