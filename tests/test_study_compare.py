"""A stored claim beside the one that was found again: what differs, each in a sentence's part."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdcheck.study.compare import _alike, _differing, _text, with_itself, with_plan, with_verdict
from kdcheck.study.examine import close
from tests.evidence_doubles import sample_judged

STORED = sample_judged()
CRITERION, VERDICT = STORED.verdict.criterion, STORED.verdict


def again(**changes):
    return list(with_verdict(VERDICT, replace(VERDICT, **changes)))


def test_a_claim_that_is_as_it_was_differs_in_nothing():
    kept = replace(STORED, shown=STORED.follows)
    assert list(with_itself(kept, CRITERION)) == []
    assert again() == []


def test_a_criterion_that_the_claim_does_not_make_is_told_field_by_field():
    other = replace(CRITERION, margin=0.2, says="T.", rests_on=("a", "b"))
    found = list(with_itself(STORED, other))
    assert f"judged by the margin {CRITERION.margin:g}, not 0.2" in found
    assert f"judged by the says {CRITERION.says or 'none'}, not T." in found
    assert "judged by the rests on none, not a, b" in found
    assert len(found) == 3


def test_figures_that_do_not_follow_from_the_rest_are_told():
    shown = {**STORED.follows, "contrast_text": "1 + 1"}
    (found,) = with_itself(replace(STORED, shown=shown), CRITERION)
    wanted = STORED.follows["contrast_text"]
    assert found == f"contrast_text written as 1 + 1, and its inputs make it {wanted}"
    shown = {**STORED.follows, "more": 0.5}
    assert list(with_itself(replace(STORED, shown=shown), CRITERION)) == [
        "more written as 0.5, and its inputs make it None"
    ]


def test_a_table_of_other_tasks_or_seeds_is_told():
    table = SimpleNamespace(tasks=("x", "y"), seeds=(0, 5))
    criterion = SimpleNamespace(tasks=("x", "z"), seeds=(0, 1, 2))
    assert list(with_plan(SimpleNamespace(table=table), criterion)) == [
        "runs on x, y, not on x, z",
        "runs with seeds 0, 5, not the first of 0, 1, 2",
    ]
    table = SimpleNamespace(tasks=("x", "z"), seeds=(0, 1))
    assert list(with_plan(SimpleNamespace(table=table), criterion)) == []


def test_another_standing_and_reasons_that_were_left_out_are_told():
    assert again(exploratory=("The claim is new.", "So is its margin.")) == [
        f"stored as {VERDICT.standing}, not EXPLORATORY",
        "stored without the reason: The claim is new",
        "stored without the reason: So is its margin",
    ]


def test_another_word_and_other_effects_are_told():
    measured = VERDICT.measured
    task = next(iter(measured.tasks))
    of_task = measured.tasks[task]
    moved = replace(of_task, effects=(of_task.effects[0] + 0.5, *of_task.effects[1:]))
    tasks = {**measured.tasks, task: moved}
    found = again(measured=replace(measured, tasks=tasks))
    seed, was = of_task.seeds[0], of_task.effects[0]
    assert f"effect on {task} with seed {seed} stored as {was:+.6f}, not {was + 0.5:+.6f}" in found
    fewer = replace(of_task, effects=of_task.effects[:-1], seeds=of_task.seeds[:-1])
    found = again(measured=replace(measured, tasks={**measured.tasks, task: fewer}))
    assert "stored for other tasks or seeds" in found
    assert f"measured {task} seeds stored as 0, 1, 2, not 0, 1" in found
    found = again(untestable="It rests on b.")
    assert "untestable stored as none, not It rests on b." in found
    assert "stored for other tasks or seeds" in again(measured=None)


def test_digits_beyond_what_sums_keep_are_alike_and_others_are_not():
    assert close(1.0, 1.0 + 5e-7)
    assert not close(1.0, 1.0 + 5e-6)
    assert close(0.0, 5e-7)
    assert not close(0.0, 5e-6)
    assert close(math.nan, math.nan)
    assert not close(math.nan, 1.0)
    assert not close(1.0, math.nan)
    assert close(1.0, 1.05, 0.1)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1.0, 1.0 + 1e-9, True), (1.0, 1.1, False), (1, 1, True), (1, 2, False), ("a", "a", True),
        ({"a": 1.0}, {"a": 1.0 + 1e-9}, True), ({"a": 1.0}, {"b": 1.0}, False),
        ({"a": 1.0}, {"a": 1.0, "b": 1}, False), ({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 3.0}, False),
        ([1.0, 2], (1.0 + 1e-9, 2), True), ([1, 2], [1, 2, 3], False), ([1, 2], [1, 3], False),
        ([1], 1, False), (1, [1], False), ({"a": 1}, [1], False), (None, None, True), (1.0, "1.0", False),
    ],
)  # fmt: skip
def test_values_are_alike_but_for_the_last_digits(one, other, alike):
    assert _alike(one, other) is alike


def test_what_differs_is_named_by_its_place_in_words():
    got = {"plan": {"looks": [3, 5], "attempt": 1}, "margin": 0.1, "old": 1}
    wanted = {"plan": {"looks": [3, 6], "attempt": 1}, "margin": 0.1, "new_one": 2}
    assert list(_differing(got, wanted)) == [
        ("new one", None, 2),
        ("old", 1, None),
        ("plan looks", [3, 5], [3, 6]),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25"), (1 / 3, "0.333333"), ([1, 2.5], "1, 2.5"), ((), "none"), ("", "none"), (0, "0"), ("a", "a")],
)  # fmt: skip
def test_values_are_written_for_people(value, text):
    assert _text(value) == text
