"""What a student is shown of its teacher: joined by example, softened, and shuffled for a control."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdcheck.engine.loop import train
from kdcheck.engine.teaching import shuffle_confidences, targets_of
from kdcheck.evidence.evidence import Predictions
from kdcheck.objectives import Distillation
from tests.engine_doubles import inputs_of, recipe_of
from tests.test_engine_resume import StoppedError, outcome, stop_at

CPU = torch.device("cpu")
K = 3


def teacher(examples: int = 90, seed: int = 0) -> Predictions:
    """No two rows alike, ids in no order, and labels that say nothing of what is predicted."""
    chance = np.random.default_rng(seed)
    logits_NK = chance.normal(0, 2, (examples, K)).astype(np.float32)
    return Predictions(
        ids=tuple(f"e{i}" for i in chance.permutation(examples)),
        labels_N=chance.integers(K, size=examples),
        logits_NK=logits_NK,
    )


def by_id(found: Predictions) -> dict[str, tuple[float, ...]]:
    return {e: tuple(row) for e, row in zip(found.ids, found.logits_NK.tolist(), strict=True)}


def in_order(found: Predictions, order) -> Predictions:
    return Predictions(
        ids=tuple(found.ids[row] for row in order),
        labels_N=found.labels_N[order],
        logits_NK=found.logits_NK[order],
    )


def test_a_shuffled_teacher_keeps_every_prediction_and_every_posterior():
    before, after = teacher(), shuffle_confidences(teacher(), seed=4)
    assert (after.ids, after.labels_N.tolist()) == (before.ids, before.labels_N.tolist())
    assert after.logits_NK.argmax(axis=1).tolist() == before.logits_NK.argmax(axis=1).tolist()
    rows = [Counter(map(tuple, each.logits_NK.tolist())) for each in (before, after)]
    assert rows[0] == rows[1]


def test_shuffling_leaves_hardly_an_example_its_own_confidence():
    before, after = teacher(), shuffle_confidences(teacher(), seed=4)
    kept = (before.logits_NK == after.logits_NK).all(axis=1).sum()
    # One of each class stays in its place on average, whatever their number: above 12 once in 10,000.
    assert kept <= 12


def test_who_gets_whose_confidence_depends_on_ids_and_not_on_the_order_of_the_rows():
    made = teacher()
    order = np.random.default_rng(1).permutation(len(made.ids))
    first, again = (shuffle_confidences(each, seed=4) for each in (made, in_order(made, order)))
    assert again.ids != first.ids
    assert by_id(again) == by_id(first)


def test_each_seed_shuffles_in_its_own_way_and_always_in_the_same():
    found = [by_id(shuffle_confidences(teacher(), seed)) for seed in (4, 4, 5)]
    assert found[0] == found[1] != found[2]


def test_a_class_that_is_never_predicted_or_predicted_once_is_no_trouble():
    few = teacher(2)
    lone = replace(few, logits_NK=np.array([[3, 0, 0], [0, 0, 2]], np.float32))
    assert by_id(shuffle_confidences(lone, seed=0)) == by_id(lone)


def shown(shuffled: bool, temperature: float = 1.0, precision: str = "float32"):
    """What the objective is given, and the teacher whose logits it is made of."""
    inputs = inputs_of(rows=40)
    logits_NK = np.random.default_rng(2).normal(0, 2, (40, 2)).astype(np.float32)
    ids = inputs.task.train.ids
    made = Predictions(ids=ids, labels_N=np.array(inputs.task.train.labels), logits_NK=logits_NK)
    recipe = recipe_of(
        inputs,
        objective=Distillation(alpha=0.5),
        teacher=recipe_of(inputs, epochs=1),
        teacher_shuffled=shuffled,
        teacher_temperature=temperature,
        precision=precision,
        seed=0,
    )
    backwards = in_order(made, np.arange(40)[::-1])
    return targets_of(recipe, inputs, backwards, CPU)[1].numpy(), made, recipe, inputs


def test_without_shuffling_each_row_has_its_own_example_s_logits_over_the_temperature():
    found, made, *_ = shown(False, temperature=2.0)
    assert np.array_equal(found, made.logits_NK / np.float32(2.0))


def test_the_shuffled_logits_are_softened_after_they_were_joined():
    found, made, recipe, _ = shown(True, temperature=2.0, precision="float64")
    wanted = shuffle_confidences(made, recipe.seed).logits_NK.astype(np.float64) / 2.0
    assert np.array_equal(found, wanted)
    assert not np.array_equal(found, made.logits_NK.astype(np.float64) / 2.0)


def test_a_student_of_a_shuffled_teacher_is_another_and_is_the_same_after_a_stop(tmp_path):
    _, made, recipe, inputs = shown(True)
    whole = train(recipe, inputs, teacher=made)
    plain = train(replace(recipe, teacher_shuffled=False), inputs, teacher=made)
    assert whole.weights_digest != plain.weights_digest
    stops = {"workdir": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(StoppedError):
        train(recipe, inputs, teacher=made, progress=stop_at(3), **stops)
    backwards = in_order(made, np.arange(40)[::-1])
    assert outcome(train(recipe, inputs, teacher=backwards, **stops)) == outcome(whole)
