"""What a recipe refuses, what its digest names, and what it gives back when read again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from kdcheck.errors import KdcheckError, ParameterError, RecipeError
from kdcheck.objectives import ERM, Distillation, LabelSmoothing, SelfTraining
from kdcheck.recipe import Recipe
from tests.refusal import refused


def recipe(**changes) -> Recipe:
    usual = {
        "task": "mrpc",
        "task_digest": "task",
        "encoder": "tiny-1",
        "encoder_digest": "small",
        "objective": ERM(),
        "learning_rate": 5e-5,
        "epochs": 4,
        "seed": 0,
    }
    return Recipe(**usual | changes)


def taught(**changes) -> Recipe:
    teacher = recipe(encoder="tiny-2", encoder_digest="large")
    return recipe(**{"objective": Distillation(alpha=0.5), "teacher": teacher} | changes)


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("epochs", 0, "an integer of at least 1"),
        ("epochs", True, "an integer of at least 1"),
        ("epochs", 1.5, "an integer of at least 1"),
        ("batch_size", -1, "an integer of at least 1"),
        ("threads", 0, "an integer of at least 1"),
        ("max_length", 0, "an integer of at least 1"),
        ("evaluations_per_epoch", -1, "an integer of at least 0"),
        ("evaluations_per_epoch", False, "an integer of at least 0"),
        ("curve_rows", 0, "an integer of at least 1"),
        ("train_rows", 0, "an integer of at least 1, or none for all rows"),
        ("test_rows", -3, "an integer of at least 1, or none for all rows"),
        ("seed", -1, "an integer from 0 to 2**32 - 1"),
        ("seed", 2**32, "an integer from 0 to 2**32 - 1"),
        ("seed", True, "an integer from 0 to 2**32 - 1"),
        ("learning_rate", 0.0, "a finite number above 0"),
        ("learning_rate", float("nan"), "a finite number above 0"),
        ("learning_rate", float("inf"), "a finite number above 0"),
        ("epsilon", 0.0, "a finite number above 0"),
        ("clip_norm", -1.0, "a finite number above 0"),
        ("dropout", 1.0, "a number in [0, 1)"),
        ("dropout", float("nan"), "a number in [0, 1)"),
        ("head_dropout", 1.0, "a number in [0, 1), or none"),
        ("beta_1", 1.0, "a number in [0, 1)"),
        ("beta_2", -0.1, "a number in [0, 1)"),
        ("weight_decay", -0.1, "a finite number of at least 0"),
        ("weight_decay", float("inf"), "a finite number of at least 0"),
        ("schedule", "cosine", "one of linear, linear_over_longest, constant"),
        ("precision", "half", "one of float32, bfloat16, float16, float64"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name_value_and_range(field, value, wanted):
    with pytest.raises(RecipeError) as caught:
        recipe(**{field: value})
    assert caught.value.who == f"recipe, {field}"
    assert caught.value.got == repr(value)
    assert caught.value.wanted == wanted
    assert "kdcheck train --help" in caught.value.next_step


@pytest.mark.parametrize(
    ("changes", "field", "fact"),
    [
        ({"schedule": "linear_over_longest"}, "schedule_epochs", "at least epochs = 4"),
        (
            {"schedule": "linear_over_longest", "schedule_epochs": 3},
            "schedule_epochs",
            "at least epochs = 4",
        ),
        ({"schedule_epochs": 4}, "schedule_epochs", "with schedule linear, where it would have no"),
        ({"teacher_temperature": 2.0}, "teacher_temperature", "1 without a teacher"),
        ({"teacher_shuffled": True}, "teacher_shuffled", "false without a teacher"),
        ({"objective": Distillation(alpha=0.5)}, "teacher", "a recipe, which objective 'kd' needs"),
        ({"teacher": recipe()}, "teacher", "none with objective 'erm', where it would have no"),
    ],
)
def test_an_option_that_would_have_no_effect_or_that_another_needs_is_refused(changes, field, fact):
    with pytest.raises(RecipeError) as caught:
        recipe(**changes)
    assert caught.value.who == f"recipe, {field}"
    assert fact in caught.value.wanted


def test_a_teacher_of_another_task_content_is_refused_and_named():
    stranger = recipe(task_digest="another")
    with pytest.raises(RecipeError) as caught:
        taught(teacher=stranger)
    assert stranger.short in caught.value.got
    assert "mrpc" in caught.value.wanted


@pytest.mark.parametrize(
    ("of_teacher", "of_student", "fact"),
    [
        ({"seed": 1}, {}, "the same training rows: seed 0, train_rows all"),
        ({"train_rows": 100}, {}, "seed 0, train_rows all"),
        ({}, {"train_rows": 100, "seed": 4}, "seed 4, train_rows 100"),
        ({"train_rows": 99}, {"train_rows": 100}, "train_rows 100"),
    ],
)
def test_a_teacher_that_saw_other_training_rows_is_refused(of_teacher, of_student, fact):
    teacher = recipe(encoder="tiny-2", **of_teacher)
    with pytest.raises(RecipeError) as caught:
        taught(teacher=teacher, **of_student)
    assert teacher.short in caught.value.got
    assert fact in caught.value.wanted


def test_the_rows_of_a_recipe_depend_on_the_seed_where_it_draws_and_nowhere_else():
    drawn = {recipe(train_rows=100, test_rows=9, seed=seed).rows for seed in (0, 1)}
    whole = {recipe(test_rows=9, seed=seed).rows for seed in (0, 1)}
    assert {rows.text for rows in drawn} == {
        f"100 train, all validation, 9 test, drawn by seed {seed}" for seed in (0, 1)
    }
    assert [rows.text for rows in whole] == ["all train, all validation, 9 test"]


def test_a_teacher_temperature_that_is_not_a_temperature_is_refused():
    with pytest.raises(KdcheckError):
        taught(teacher_temperature=0.0)


def test_self_training_wants_an_erm_run_of_the_students_own_encoder():
    fits = recipe(objective=SelfTraining(alpha=0.5), teacher=recipe())
    assert fits.teacher is not None
    for teacher in (recipe(encoder_digest="large"), recipe(objective=LabelSmoothing(alpha=0.1))):
        with pytest.raises(RecipeError, match="own encoder 'tiny-1'"):
            recipe(objective=SelfTraining(alpha=0.5), teacher=teacher)


OTHER = {
    "task": "qnli",
    "task_digest": "x",
    "train_rows": 7,
    "validation_rows": 7,
    "test_rows": 7,
    "encoder": "x",
    "encoder_digest": "x",
    "max_length": 64,
    "dropout": 0.0,
    "head_dropout": 0.2,
    "objective": Distillation(alpha=0.4),
    "teacher_temperature": 2.0,
    "teacher_shuffled": True,
    "learning_rate": 1e-4,
    "epochs": 3,
    "batch_size": 16,
    "schedule": "constant",
    "weight_decay": 0.01,
    "beta_1": 0.8,
    "beta_2": 0.99,
    "epsilon": 1e-6,
    "clip_norm": 2.0,
    "precision": "bfloat16",
    "tf32": True,
    "deterministic": False,
    "threads": 2,
    "seed": 1,
    "evaluations_per_epoch": 2,
    "curve_rows": 8,
    "engine_version": "0",
}


def test_every_field_changes_the_digest():
    base = taught()
    # What a teacher must share with its student changes on both.
    both = {
        name: {"teacher": replace(base.teacher, **{name: OTHER[name]})}
        for name in ("task_digest", "seed", "train_rows")
    }
    variants = {
        name: replace(base, **{name: value}, **both.get(name, {})) for name, value in OTHER.items()
    }
    longest = replace(base, schedule="linear_over_longest", schedule_epochs=4)
    variants["schedule_epochs"] = replace(longest, schedule_epochs=5)
    variants["teacher"] = replace(base, teacher=replace(base.teacher, epochs=5))
    assert variants.keys() == {f.name for f in fields(Recipe)}
    digests = [base.digest, longest.digest, *(each.digest for each in variants.values())]
    assert len(set(digests)) == len(digests)


def test_the_digest_is_the_sha256_of_sorted_json_in_which_the_teacher_stands_by_its_digest():
    made = taught()
    values = {f.name: getattr(made, f.name) for f in fields(Recipe)}
    values["objective"] = {"name": "kd", "alpha": 0.5, "temperature": 1.0, "tau_squared": True}
    values["teacher"] = made.teacher.digest
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert made.digest == hashlib.sha256(text.encode()).hexdigest()
    assert made.short == made.digest[:8]


def test_whole_numbers_where_a_float_is_meant_give_the_same_digest():
    whole = recipe(weight_decay=0, learning_rate=1, clip_norm=1, dropout=0, head_dropout=0)
    broken = recipe(
        weight_decay=0.0, learning_rate=1.0, clip_norm=1.0, dropout=0.0, head_dropout=0.0
    )
    assert whole.digest == broken.digest


def test_an_integer_that_no_float_is_becomes_the_one_that_is_written_and_read_again():
    made = Recipe.from_dict(recipe().to_dict() | {"learning_rate": 10**30})
    assert made == Recipe.from_dict(json.loads(json.dumps(made.to_dict())))
    assert made.learning_rate.is_integer()
    assert made.learning_rate != 10**30


@pytest.mark.parametrize(
    "made",
    [
        recipe(),
        recipe(objective=LabelSmoothing(alpha=0.3), train_rows=100),
        taught(teacher_temperature=2.0, teacher_shuffled=True),
        taught(teacher=taught()),
    ],
)
def test_a_recipe_comes_back_from_its_json_as_it_was(made):
    back = Recipe.from_dict(json.loads(json.dumps(made.to_dict())))
    assert back == made
    assert back.digest == made.digest


@pytest.mark.parametrize(
    ("field", "value", "fact"),
    [
        ("learning_rate", "5e-5", "'5e-5'; wanted float"),
        ("epochs", 4.0, "4.0; wanted int"),
        ("epochs", True, "True; wanted int"),
        ("tf32", 1, "1; wanted bool"),
        ("teacher", "mrpc", "'mrpc'; wanted Recipe or NoneType"),
        ("train_rows", "all", "'all'; wanted int or NoneType"),
    ],
)
def test_a_field_of_the_wrong_type_in_a_file_is_named_with_what_it_should_be(field, value, fact):
    with refused(RecipeError, f"recipe, {field}: got {fact}"):
        Recipe.from_dict(recipe().to_dict() | {field: value})


def test_an_unknown_a_missing_and_a_misspelt_field_are_each_named():
    with pytest.raises(RecipeError, match="the field 'learning_rte'"):
        Recipe.from_dict(recipe().to_dict() | {"learning_rte": 1.0})
    values = recipe().to_dict()
    del values["seed"]
    with pytest.raises(RecipeError, match=r"'seed'.*every required field"):
        Recipe.from_dict(values)
    with pytest.raises(ParameterError, match="'emr'"):
        Recipe.from_dict(recipe().to_dict() | {"objective": {"name": "emr"}})


def test_recipes_that_differ_in_epochs_alone_share_a_prefix_where_the_schedule_allows():
    assert recipe().prefix_digest is None
    for schedule in (
        {"schedule": "constant"},
        {"schedule": "linear_over_longest", "schedule_epochs": 9},
    ):
        short, long = recipe(**schedule), recipe(**schedule, epochs=9)
        assert short.prefix_digest == long.prefix_digest is not None
        assert recipe(**schedule, seed=1).prefix_digest != short.prefix_digest
        assert short.digest != long.digest


def test_the_lineage_starts_with_the_farthest_teacher():
    made = taught(teacher=taught())
    assert list(made.lineage()) == [made.teacher.teacher, made.teacher, made]


def test_the_summary_names_what_decides_the_run():
    teacher = recipe(encoder="tiny-2", seed=13)
    made = taught(teacher=teacher, teacher_shuffled=True, seed=13)
    for fact in (
        *("mrpc tiny-1 kd alpha=0.5", f"from tiny-2 {teacher.short}, shuffled lr=5e-05"),
        *("epochs=4", "seed=13", "32 a step", "linear", "float32", f"recipe {made.short}"),
    ):
        assert fact in made.summary()


def test_a_recipe_is_frozen():
    with pytest.raises(FrozenInstanceError):
        recipe().seed = 1
