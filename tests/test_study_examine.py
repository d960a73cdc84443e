"""What a run left beside itself, the lock and the runs before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdcheck.evidence.evidence import Evidence
from kdcheck.study.examine import Examiner
from kdcheck.study.graph import recipe_of
from kdcheck.study.lock import Section, TaskFacts, labels_digest, section_of
from kdcheck.verdict import Plan
from tests.study_doubles import ERM_SMALL, LS_SMALL, NamedDigests, entropy_gap, evidence, scale

SPLITS = ("test", "validation", "train")


def run_of(arm=ERM_SMALL, task="a", seed=0) -> Evidence:
    return evidence(recipe_of(arm, scale(), task, seed, NamedDigests()))


def with_labels(found: Evidence, split: str, row: int, label: int) -> Evidence:
    """The evidence with one label of its last look changed."""
    part = found.final.predictions[split]
    labels_N = part.labels_N.copy()
    labels_N[row] = label
    predictions = {**found.final.predictions, split: replace(part, labels_N=labels_N)}
    return replace(
        found, points=(*found.points[:-1], replace(found.final, predictions=predictions))
    )


def registered(found: Evidence, **changes) -> Section:
    """A section that registers the labels of a run's task."""
    labels = {
        split: labels_digest(part.ids, part.labels_N.tolist())
        for split, part in found.final.predictions.items()
        if split in SPLITS
    }
    facts = TaskFacts(
        **{"digest": found.recipe.task_digest, "classes": 3, "labels": labels} | changes
    )
    claims, seeds = [entropy_gap(LS_SMALL, ERM_SMALL)], tuple(range(12))
    of_a = scale(tasks=("a",))
    return section_of(claims, of_a, NamedDigests(), lambda task: facts, seeds, Plan.of(3))


def test_runs_that_fit_have_no_faults():
    examiner = Examiner(registered(run_of()))
    for arm in (ERM_SMALL, LS_SMALL):
        for seed in (0, 1):
            assert examiner.faults(run_of(arm, seed=seed)) == ()
    assert examiner.faults(run_of(task="b")) == (), "nothing is registered of it"


@pytest.mark.parametrize("split", SPLITS)
def test_labels_that_the_lock_does_not_register_are_told_by_split(split):
    found = run_of()
    part = found.final.predictions[split]
    other = with_labels(found, split, 3, (int(part.labels_N[3]) + 1) % 3)
    told = f"the run {found.recipe.short} has other labels on {split} of a than the lock registers"
    assert Examiner(registered(found)).faults(other) == (told,)
    assert Examiner(None).faults(other) == ()
    elsewhere = registered(found, digest="another content")
    assert Examiner(elsewhere).faults(other) == (), "the lock is of other data"


def test_training_rows_that_a_seed_draws_cannot_have_the_labels_of_the_whole_split():
    found = run_of()
    drawn = replace(found, recipe=replace(found.recipe, train_rows=12))
    section = registered(found)
    assert Examiner(section).faults(with_labels(drawn, "train", 0, 2)) == ()
    assert len(Examiner(section).faults(with_labels(drawn, "test", 0, 9))) == 1


def test_logits_of_another_number_of_classes_are_told():
    found = run_of()
    (told, *_) = Examiner(registered(found, classes=4, labels={})).faults(found)
    short = found.recipe.short
    assert told == f"the run {short} has logits of 3 classes on train_sample of a, not 4"


def test_a_label_that_another_run_contradicts_is_told_with_that_run():
    first, other = run_of(), run_of(LS_SMALL)
    examiner = Examiner(None)
    assert examiner.faults(first) == ()
    part = other.final.predictions["test"]
    example, known = part.ids[5], int(part.labels_N[5])
    wrong = (known + 1) % 3
    told = (
        f"the label {wrong} for {example} on test, which is {known} in the run {first.recipe.short}"
    )
    assert examiner.faults(with_labels(other, "test", 5, wrong)) == (
        f"the run {other.recipe.short} has {told}",
    )
    assert examiner.faults(run_of(task="b")) == (), "another task may have other labels"


def test_the_logits_of_another_run_are_told_unless_it_is_a_run_of_the_same_model():
    first, other = run_of(), run_of(LS_SMALL)
    copied = replace(first, recipe=other.recipe)
    examiner = Examiner(None)
    assert examiner.faults(first) == ()
    assert examiner.faults(copied) == (
        f"the run {other.recipe.short} has the logits of the run {first.recipe.short}, and another recipe",
    )
    seen = replace(first, recipe=replace(first.recipe, curve_rows=5))
    assert examiner.faults(seen) == ()
    order = np.random.default_rng(0).permutation(len(first.final.predictions["test"].ids))
    part = first.final.predictions["test"]
    shuffled = replace(
        part,
        ids=tuple(part.ids[row] for row in order),
        labels_N=part.labels_N[order],
        logits_NK=part.logits_NK[order],
    )
    last = replace(copied.final, predictions={"test": shuffled})
    assert len(examiner.faults(replace(copied, points=(last,)))) == 1
    without = replace(copied.final, predictions={})
    assert examiner.faults(replace(copied, points=(without,))) == ()
