"""A table's runs beside those that its slots ask for: what is missing, twice, or another recipe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcheck.claims import Arm
from kdcheck.evidence.judged import Missing, RunTable
from kdcheck.study.graph import build, recipe_of
from kdcheck.study.lock import Section, TaskFacts, section_of
from kdcheck.study.scale import Scale
from kdcheck.study.slots import Slots, missing, what_it_becomes
from kdcheck.verdict import Plan
from tests.study_doubles import (
    CLASSES,
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
    NamedDigests,
    entropy_gap,
    scale,
)

CLAIM = entropy_gap(KD, ERM_SMALL, "one")
SEEDS = (0, 1, 2)


def section(at: Scale | None = None) -> Section:
    facts = {t: TaskFacts(digest=f"content of {t}", classes=CLASSES[t]) for t in CLASSES}
    of = at or scale()
    return section_of(
        [CLAIM], of, NamedDigests(), facts.__getitem__, tuple(range(12)), Plan.of(of.seeds)
    )


GRAPH = build([CLAIM], scale(), SEEDS, NamedDigests())
TABLE = GRAPH.table(CLAIM.measures)


def with_run(arm: Arm, task: str, seed: int, digest: str) -> RunTable:
    """The table with another run in one slot."""
    runs = {a: {t: dict(seeds) for t, seeds in tasks.items()} for a, tasks in TABLE.runs.items()}
    runs[arm][task][seed] = digest
    return replace(TABLE, runs=runs)


def misfiled(table: RunTable, *others, at: Scale | None = None) -> list[str]:
    known = {**GRAPH.recipes, **{each.digest: each for each in others}}
    return list(Slots(section(at)).misfiled(table, known.__getitem__))


def test_runs_in_the_slots_that_ask_for_them_are_in_place():
    assert misfiled(TABLE) == []
    assert missing(TABLE) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 9}, "epochs 9, not 3"),
        ({"train_rows": 5}, "train_rows 5, not None"),
        ({"task_digest": "ab" * 32}, "task_digest abababababab, not content of a"),
        (
            {"epochs": 9, "batch_size": 4, "beta_1": 0.5, "dropout": 0.2, "head_dropout": 0.3},
            "batch_size 4, not 8; beta_1 0.5, not 0.9; dropout 0.2, not 0.1; 2 more fields that differ",
        ),
        (
            {"epochs": 9, "batch_size": 4, "beta_1": 0.5},
            "batch_size 4, not 8; beta_1 0.5, not 0.9; epochs 9, not 3",
        ),
    ],
)
def test_another_recipe_in_a_slot_is_told_by_its_fields(changes, told):
    wanted = recipe_of(ERM_SMALL, scale(), "a", 1, NamedDigests())
    other = replace(wanted, **changes)
    table = with_run(ERM_SMALL, "a", 1, other.digest)
    fields = sorted(told.split("; ")[:3]), told.split("; ")[3:]
    (found,) = misfiled(table, other)
    start = f"erm/smaller on a with seed 1 is the run {other.digest[:8]}, with "
    assert found.startswith(start)
    parts = found.removeprefix(start).split("; ")
    assert len(parts) == len(told.split("; "))
    assert parts[3:] == fields[1]
    if len(parts) <= 3:
        assert sorted(parts) == fields[0]


def test_a_teacher_and_an_objective_are_told_by_their_own_fields():
    wanted = recipe_of(KD, scale(), "a", 1, NamedDigests())
    teacher = replace(wanted.teacher, epochs=9)
    other = replace(wanted, teacher=teacher)
    assert misfiled(with_run(KD, "a", 1, other.digest), other) == [
        f"{KD.key} on a with seed 1 is the run {other.digest[:8]}, with teacher.epochs 9, not 3"
    ]
    alone = recipe_of(ERM_SMALL, scale(), "a", 1, NamedDigests())
    softer = replace(wanted, objective=replace(wanted.objective, alpha=0.25))
    assert misfiled(with_run(KD, "a", 1, softer.digest), softer) == [
        f"{KD.key} on a with seed 1 is the run {softer.digest[:8]}, with objective.alpha 0.25, not 0.5"
    ]
    assert f"teacher.epochs None, not {wanted.teacher.epochs}" not in misfiled(
        with_run(ERM_SMALL, "a", 1, alone.digest)
    )


def test_one_run_in_two_slots_of_an_arm_is_told_by_both():
    first = TABLE.digest(ERM_SMALL, "a", 0)
    found = misfiled(with_run(ERM_SMALL, "b", 2, first))
    assert found[0] == (
        f"erm/smaller on b with seed 2 is the run {first[:8]}, which is erm/smaller on a with seed 0 "
        "already"
    )
    assert len(found) == 2
    assert found[1].startswith(f"erm/smaller on b with seed 2 is the run {first[:8]}, with ")


def test_a_slot_that_the_section_cannot_have_is_told_as_such():
    table = replace(TABLE, runs={LS_SMALL: {"c": {0: "d" * 64}}})
    assert misfiled(table) == [
        f"ls/smaller on c with seed 0 cannot be: lock {section().digest[:8]} has the task 'c'"
    ]
    table = replace(TABLE, runs={LS_SMALL: {"a": {0: "d" * 64}}})
    (told,) = misfiled(table)
    name = section().digest[:8]
    assert told == f"ls/smaller on a with seed 0 cannot be: scale '{name}' has no method ls/smaller"


def test_slots_without_a_run_are_named_unless_they_are_known_to_have_failed():
    runs = {
        ERM_SMALL: {"a": {0: "x", 2: "y"}},
        LS_SMALL: {"a": {0: "u", 1: "v", 2: "w"}, "b": {0: "r", 1: "s"}},
    }
    failed = (Missing(LS_SMALL, "b", 2, "no memory"), Missing(ERM_SMALL, "b", 0, "no memory"))
    table = RunTable(("a", "b"), SEEDS, runs, failed)
    assert missing(table) == [
        "erm/smaller on a with seed 1",
        "erm/smaller on b with seed 1",
        "erm/smaller on b with seed 2",
    ]


def test_recipes_that_differ_in_what_is_seen_alone_become_one_model():
    recipe = recipe_of(KD, scale(), "a", 1, NamedDigests())
    seen = replace(recipe, evaluations_per_epoch=3, curve_rows=7)
    taught = replace(recipe, teacher=replace(recipe.teacher, curve_rows=5))
    assert what_it_becomes(recipe) == what_it_becomes(seen) == what_it_becomes(taught)
    others = [
        recipe_of(KD, scale(), "a", 2, NamedDigests()),
        replace(recipe, teacher=replace(recipe.teacher, epochs=9)),
        replace(recipe, teacher_temperature=2.0),
        recipe_of(ERM_LARGE, scale(), "a", 1, NamedDigests()),
        recipe_of(ERM_SMALL, scale(), "a", 1, NamedDigests()),
    ]
    assert len({what_it_becomes(each) for each in (recipe, *others)}) == 1 + len(others)
