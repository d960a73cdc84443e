"""The evidence of the mini scale that is kept here: under the lock, judged as stored, and learned."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from kdcheck.cli import main
from kdcheck.evidence.bundle import Bundle
from kdcheck.paper import PAPER
from kdcheck.paper.arms import ERM
from kdcheck.study.lock import Section, read
from kdcheck.study.recheck import verify
from kdcheck.study.scale import load

ROOT = Path(__file__).parents[2]
EVIDENCE, LOCK = ROOT / "evidence" / "mini", ROOT / "claims" / "claims.lock"
SCALE = load("mini", PAPER)


@cache
def bundle() -> Bundle:
    return Bundle(EVIDENCE)


def section() -> Section:
    """What its claims were judged under, as the bundle brings it."""
    (digest,) = {judged.lock for judged in bundle().claims()}
    return Section.from_dict(bundle().lock(digest))


def test_every_verdict_and_every_run_is_as_stored_and_as_the_lock_of_the_claims_has_it():
    checks = list(verify(bundle(), read(LOCK)))
    assert {check.stored.criterion.claim: check.differences for check in checks} == dict.fromkeys(
        section().claims, ()
    )
    assert {(check.paper, check.scale) for check in checks} == {(PAPER.name, SCALE.name)}


def test_it_is_the_whole_registered_family_and_confirmatory():
    stored = {judged.verdict.criterion.claim: judged.verdict for judged in bundle().claims()}
    assert stored.keys() == section().claims.keys()
    assert {claim: verdict.exploratory for claim, verdict in stored.items()} == dict.fromkeys(
        stored, ()
    )


def test_the_command_that_its_page_names_finds_nothing_that_differs(capsys):
    assert main(["verify", str(EVIDENCE)]) == 0
    assert capsys.readouterr().out.endswith("every verdict is as stored\n")


@pytest.mark.parametrize("task", SCALE.tasks)
@pytest.mark.parametrize("size", ["larger", "smaller"])
def test_plain_training_is_well_above_the_majority_rate(task, size):
    runs = {}
    for judged in bundle().claims():
        runs |= judged.table.runs.get(ERM(size), {}).get(task, {})
    assert sorted(runs) == list(range(SCALE.first_seed, SCALE.first_seed + SCALE.seeds))
    parts = [bundle().get(digest).final.predictions["test"] for digest in runs.values()]
    majority = np.bincount(parts[0].labels_N).max() / len(parts[0].labels_N)
    right = [(part.logits_NK.argmax(axis=1) == part.labels_N).mean() for part in parts]
    assert np.mean(right) > majority + 0.05
