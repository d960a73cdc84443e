"""A stored run beside the same trained again: what machines may change, and what they may not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from kdcheck.evidence.evidence import Evidence
from kdcheck.study.graph import recipe_of
from kdcheck.study.retrain import Retrained, draw
from tests.study_doubles import ERM_SMALL, NamedDigests, evidence, scale

STORED = evidence(recipe_of(ERM_SMALL, scale(), "a", 1, NamedDigests()))
SPLITS = tuple(STORED.final.predictions)


def with_last(found: Evidence, digest: str | None = None, **parts) -> Evidence:
    """The evidence with other logits or labels at its last look."""
    last = replace(found.final, predictions={**found.final.predictions, **parts})
    last = replace(last, weights_digest=digest or last.weights_digest)
    return replace(found, points=(*found.points[:-1], last))


def moved(split: str, by: float):
    """The predictions of a split with the first logit of its first row moved."""
    part = STORED.final.predictions[split]
    logits_NK = part.logits_NK.copy()
    logits_NK[0, 0] += by
    return replace(part, logits_NK=logits_NK)


def distances(split: str, by: float) -> tuple[float, float]:
    """How far posteriors are moved, mean and largest, by scipy."""
    then, now = (softmax(p.logits_NK.astype(float), axis=1) for p in (STORED.final.predictions[split], moved(split, by)))  # fmt: skip
    apart_N = np.abs(then - now).max(axis=1)
    return apart_N.mean(), apart_N.max()


def test_a_run_that_leaves_the_same_differs_in_nothing():
    same = Retrained(STORED, STORED)
    assert same.same_weights
    assert same.differences == ()
    assert same.distances == dict.fromkeys(SPLITS, (0.0, 0.0))
    assert same.distance == "posteriors on test are 0 apart in the mean, 0 at most"


def test_distances_are_of_posteriors_by_example_whatever_their_order():
    part = moved("test", 0.5)
    order = np.random.default_rng(0).permutation(len(part.ids))
    shuffled = replace(
        part,
        ids=tuple(part.ids[row] for row in order),
        labels_N=part.labels_N[order],
        logits_NK=part.logits_NK[order],
    )
    again = Retrained(STORED, with_last(STORED, test=shuffled))
    mean, largest = distances("test", 0.5)
    assert again.distances["test"] == pytest.approx((mean, largest))
    assert again.distance == (
        f"posteriors on test are {mean:.2g} apart in the mean, {largest:.2g} at most"
    )


def test_the_same_weights_must_give_the_same_posteriors_and_metrics():
    _, largest = distances("validation", 0.5)
    again = Retrained(STORED, with_last(STORED, validation=moved("validation", 0.5)))
    assert again.differences == (
        f"posteriors on validation are up to {largest:.2g} from those of these weights",
    )
    last = replace(STORED.final, values={"train/loss_nats": 0.25, "new": 1.0})
    other = replace(STORED, points=(*STORED.points[:-1], last))
    kept = STORED.final.values["train/loss_nats"]
    assert Retrained(STORED, other).differences == (
        f"train/loss_nats at step {last.step} is 0.25, stored is {kept:.6g}",
    )


def test_other_weights_may_differ_by_what_machines_do_and_no_further():
    mean, _ = distances("test", 8.0)
    again = Retrained(STORED, with_last(STORED, "other", test=moved("test", 8.0)))
    assert not again.same_weights
    assert again.differences == (
        (f"posteriors on test are {mean:.2g} from those stored in the mean over examples, "
        "more than 0.005"),
    )  # fmt: skip
    assert distances("test", 0.05)[0] < 0.005 < mean
    near = Retrained(STORED, with_last(STORED, "other", test=moved("test", 0.05)))
    assert near.differences == ()


def test_looks_splits_and_labels_are_no_matter_of_a_machine():
    fewer = replace(STORED, points=STORED.points[1:])
    now, then = ([p.step for p in each.points] for each in (fewer, STORED))
    found = Retrained(STORED, with_last(fewer, "other")).differences
    assert found == (f"looks at steps {now}, stored are {then}",)
    last = STORED.final
    without = {k: v for k, v in last.predictions.items() if k != "validation"}
    bare = replace(STORED, points=(*STORED.points[:-1], replace(last, predictions=without)))
    again = Retrained(STORED, bare)
    assert again.differences == ("it leaves no logits on validation",)
    part = last.predictions["test"]
    labels_N = part.labels_N.copy()
    labels_N[:2] = (labels_N[:2] + 1) % 3
    wrong = Retrained(STORED, with_last(STORED, test=replace(part, labels_N=labels_N)))
    assert wrong.differences == ("2 labels on test are not those of the task",)
    nothing = replace(STORED, points=(replace(last, predictions={}),))
    assert Retrained(nothing, nothing).distance == (
        "posteriors on test are nan apart in the mean, nan at most"
    )


def test_a_seed_draws_that_share_of_the_runs_and_at_least_one():
    digests = {f"d{number:02}" for number in range(20)}
    sizes = {share: len(draw(digests, share, 0)) for share in (0.001, 0.05, 0.051, 0.1, 0.5, 1.0)}
    assert sizes == {0.001: 1, 0.05: 1, 0.051: 2, 0.1: 2, 0.5: 10, 1.0: 20}
    assert draw(digests, 0.15, 7) == draw(sorted(digests, reverse=True), 0.15, 7)
    assert set(draw(digests, 1.0, 0)) == digests
    assert draw(digests, 0.5, 0) != draw(digests, 0.5, 1)
