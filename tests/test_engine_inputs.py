"""The rows of a recipe: which its seed draws, with their own tokens, and what refuses others."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from kdcheck.engine import inputs
from kdcheck.engine.inputs import WHOLE, Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.errors import EncoderError, RecipeError, TaskError
from kdcheck.objectives import Distillation, LabelSmoothing
from kdcheck.recipe import Recipe
from kdcheck.tasks import SPLITS
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests.refusal import refused

CUT = {"train_rows": 12, "validation_rows": 5, "test_rows": 7}


@lru_cache
def whole() -> Inputs:
    return prepare(tiny_task(train=40, validation=9, test=11, classes=3), tiny_encoder(), 32)


def recipe(seed: int = 0, **changes) -> Recipe:
    usual = {"max_length": 32, "seed": seed, **CUT}
    return tiny_recipe(whole().task, whole().encoder, **usual | changes)


def cut(seed: int = 0, **changes) -> Inputs:
    return whole().cut(recipe(seed, **changes).rows)


@pytest.mark.parametrize("seed", [0, 3])
def test_training_rows_are_the_seeds_own_and_the_others_are_those_of_seed_0(seed):
    found, task = cut(seed).task, whole().task
    assert found.train.ids == task.subset(train=12, seed=seed).train.ids
    assert found.validation.ids == task.subset(validation=5).validation.ids
    assert found.test.ids == task.subset(test=7).test.ids


def test_seeds_draw_different_training_rows_and_share_the_rest():
    drawn = [cut(seed).task for seed in range(6)]
    assert len({task.train.ids for task in drawn}) == 6
    assert len({(task.validation.ids, task.test.ids) for task in drawn}) == 1
    # Six draws of 12 of 40 rows miss a row once in eight; all six alike would miss 28.
    assert len({example for task in drawn for example in task.train.ids}) > 30


def test_a_recipe_that_draws_no_rows_has_those_of_every_seed():
    first, other = (cut(seed, train_rows=None) for seed in (0, 1))
    assert first.task.train.ids == other.task.train.ids == whole().task.train.ids
    assert first.rows == other.rows
    assert (
        whole().cut(recipe(train_rows=None, validation_rows=None, test_rows=None).rows) is whole()
    )


@pytest.mark.parametrize("name", SPLITS)
def test_tokens_stay_with_their_examples(name):
    found = cut(3)
    texts, tokens = found.task.split(name).texts, found.tokenized[name]
    again = found.encoder.tokenize(texts, 32)
    assert [ids.tolist() for ids in tokens.ids] == [ids.tolist() for ids in again.ids]
    assert [ids.tolist() for ids in tokens.types] == [ids.tolist() for ids in again.types]
    assert tokens.lengths.tolist() == again.lengths.tolist()


def test_the_vocabulary_is_that_of_the_rows_in_use():
    found = cut(train_rows=2, validation_rows=1, test_rows=1)
    used = {int(i) for part in found.tokenized.values() for ids in part.ids for i in ids}
    assert found.vocabulary.tolist() == sorted(used)
    assert len(used) < len(whole().vocabulary)
    assert np.flatnonzero(found.row_of_token >= 0).tolist() == sorted(used)


def test_texts_that_are_cut_are_counted_among_the_rows_in_use():
    short = prepare(whole().task, whole().encoder, 6)
    drawn = short.cut(recipe().rows)
    lengths = [len(text.split()) + 2 for name in SPLITS for (text,) in drawn.task.split(name).texts]
    too_long = sum(length > 6 for length in lengths)
    assert 0 < too_long < sum(int(part.truncated.sum()) for part in short.tokenized.values())
    evidence = train(recipe(max_length=6), drawn)
    assert evidence.notes == (f"{too_long} texts were longer than 6 tokens and were cut",)


def test_the_digest_of_the_task_is_that_of_the_whole_whatever_was_cut():
    assert cut(3).task_digest == whole().task.digest == recipe(3).task_digest
    assert cut(3).task.digest != whole().task.digest


def test_two_seeds_train_on_their_own_rows():
    runs = [train(recipe(seed), cut(seed), predict_train=True) for seed in (0, 1)]
    for seed, run in enumerate(runs):
        assert run.final.predictions["train"].ids == cut(seed).task.train.ids
        assert run.cost["train_rows"] == 2 * 12


def test_a_student_learns_on_the_rows_of_its_teacher():
    teacher = train(recipe(4), cut(4), predict_train=True)
    taught = recipe(4, objective=Distillation(alpha=0.5), teacher=teacher.recipe)
    student = train(taught, cut(4), teacher=teacher.final.predictions["train"], predict_train=True)
    assert student.final.predictions["train"].ids == teacher.final.predictions["train"].ids


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (whole, "all train, all validation, all test"),
        (lambda: cut(1), "12 train, 5 validation, 7 test, drawn by seed 1"),
        (lambda: cut(0, train_rows=13), "13 train"),
        (lambda: cut(0, test_rows=8), "8 test"),
    ],
    ids=["whole", "seed", "train", "test"],
)
def test_rows_of_another_recipe_are_refused_with_the_way_to_the_right_ones(given, fact):
    wanted = "12 train, 5 validation, 7 test, drawn by seed 0"
    with refused(RecipeError, f"recipe {recipe().short}, rows", fact, wanted, ".cut(recipe.rows)"):
        train(recipe(), given())


def test_more_rows_than_there_are_are_refused():
    with refused(TaskError, "subset of train", "size 41", "1 to 40"):
        cut(train_rows=41)


def test_tokens_that_were_made_before_do_not_hide_a_text_too_long_for_the_encoder():
    short_sighted = tiny_encoder(positions=16)
    assert short_sighted.tokenizer_digest == whole().encoder.tokenizer_digest
    with pytest.raises(EncoderError, match="at most 16, its number of positions"):
        prepare(whole().task, short_sighted, 32, whole().tokenized)


def test_what_was_not_cut_says_so():
    assert whole().rows == WHOLE


@pytest.fixture
def lately(monkeypatch) -> inputs._Lately:
    """No batches packed yet."""
    monkeypatch.setattr(inputs, "_lately", inputs._Lately())
    return inputs._lately


def test_a_second_run_on_the_same_rows_packs_nothing_and_trains_to_the_same_weights(
    lately, monkeypatch
):
    packed = []
    pack = inputs.pack
    monkeypatch.setattr(inputs, "pack", lambda *given: packed.append(given[1]) or pack(*given))
    rows = cut(3)
    first = train(recipe(3), rows)
    once = len(packed)
    again, smoothed = train(recipe(3), rows), train(recipe(3, objective=LabelSmoothing(0.4)), rows)
    assert len(packed) == once > 3
    assert again.final.weights_digest == first.final.weights_digest
    assert smoothed.final.weights_digest != first.final.weights_digest
    train(recipe(4), cut(4))
    assert len(packed) == 2 * once


def test_batches_of_other_rows_splits_and_seeds_are_others(lately):
    one, other = cut(0), cut(1)
    rows = np.array([4, 1, 3])
    batches = [
        one.batch("train", rows),
        one.batch("test", rows),
        other.batch("train", rows),
        one.batch("train", rows[::-1].copy()),
        one.batch("train", rows[:2]),
    ]
    assert len({id(batch) for batch in batches}) == 5
    assert one.batch("train", rows.copy()) is batches[0]
    ids = [one.tokenized["train"].ids[row] for row in rows]
    # Read back example by example, in the order asked for, by the table of these rows.
    starts, found = batches[0].first.tolist(), batches[0].input_ids[0].tolist()
    for start, want in zip(starts, ids, strict=True):
        assert found[start : start + len(want)] == one.row_of_token[want].tolist()


def test_of_the_batches_kept_the_one_used_least_lately_goes_where_they_grow_too_many(
    lately, monkeypatch
):
    one = cut()
    heads = one.encoder.config.num_attention_heads
    lengths = one.tokenized["train"].lengths
    rows = [np.array([row]) for row in np.argsort(lengths)[-3:]]
    most = int(sum(lengths[each].sum() for each in rows[:2]) * (24 + 20 * heads))
    monkeypatch.setattr(inputs, "MOST_PACKED", most)
    first, second = (one.batch("train", each) for each in rows[:2])
    assert one.batch("train", rows[0]) is first
    one.batch("train", rows[2])  # as long as the second at least: that one has to go
    assert one.batch("train", rows[1]) is not second
    monkeypatch.setattr(inputs, "MOST_PACKED", 0)
    assert one.batch("train", rows[0]) is not one.batch("train", rows[0])
