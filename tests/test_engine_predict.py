"""Logits of a split, and of the sample that training curves follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.packing import use_packing
from kdcheck.engine.predict import predict
from kdcheck.engine.streams import sample_rows
from kdcheck.testing import tiny_encoder, tiny_task


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


def share_of_first_class(rows) -> float:
    sorted_by_class = np.repeat([0, 1], [400, 600])
    return float((sorted_by_class[rows] == 0).mean())


def test_a_sample_of_a_split_that_is_sorted_by_class_has_its_share_of_each_class():
    # Six standard deviations of a draw of 128 without replacement are 0.24.
    assert abs(share_of_first_class(sample_rows(1000, 128)) - 0.4) < 0.24
    assert abs(share_of_first_class(np.arange(128)) - 0.4) > 0.24  # the first rows would fail


def test_a_sample_is_drawn_without_repeats_and_in_order():
    rows = sample_rows(500, 200)
    assert len(rows) == 200
    assert (np.diff(rows) > 0).all()
    assert set(rows) <= set(range(500))
