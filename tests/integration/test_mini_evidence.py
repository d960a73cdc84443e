"""The evidence of the mini scale that is kept here: its verdicts come out again, its models learned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdcheck.cli import main
from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import Bundle
from kdcheck.evidence.files import CLAIM, MANIFEST, seal, write_json
from kdcheck.paper import PAPER
from kdcheck.paper.arms import ERM
from kdcheck.study.recheck import verify
from kdcheck.study.scale import load

EVIDENCE = Path(__file__).parents[2] / "evidence" / "mini"


@pytest.fixture
def altered(tmp_path):
    """A copy that may be damaged."""
    return Path(shutil.copytree(EVIDENCE, tmp_path / "mini"))


def alter(bundle, part, change):
    """Change a file of the first claim or of the first training, and seal all again."""
    contents = json.loads((bundle / MANIFEST).read_text())
    entry = contents["claims"][0] if part == CLAIM else next(iter(contents["trainings"].values()))
    folder = bundle / entry["folder"]
    body = json.loads((folder / part).read_text())
    change(body)
    write_json(folder / part, body)
    entry["manifest"] = seal(folder)
    write_json(bundle / MANIFEST, contents)


def test_every_verdict_comes_out_again_from_the_stored_posteriors():
    checks = list(verify(Bundle(EVIDENCE)))
    assert len(checks) == 14
    assert [check.stored.criterion.claim for check in checks if not check.same] == []
    assert {(check.paper, check.scale) for check in checks} == {(PAPER.name, "mini")}


def another_word(body):
    body["verdict"]["word"] = "REFUTED"


def another_effect(body):
    task = next(iter(body["verdict"]["measured"]["tasks"].values()))
    task["effects"][1] += 1e-4


@pytest.mark.parametrize("change", [another_word, another_effect])
def test_a_verdict_that_was_altered_and_sealed_again_is_reported_and_fails(altered, capsys, change):
    alter(altered, CLAIM, change)
    assert main(["verify", str(altered)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("DIFFERENT: ") == 1
    assert printed.endswith("1 verdicts differ\n")


def test_a_metric_that_was_altered_and_sealed_again_is_refused(altered, capsys):
    def better(body):
        body["points"][-1]["values"]["test/accuracy"] += 0.01

    alter(altered, "points.json", better)
    assert main(["verify", str(altered)]) == 2
    assert "test/accuracy at step" in capsys.readouterr().err


def test_a_posterior_that_was_altered_is_refused(altered):
    file = next((altered / "trainings").glob("*/posteriors/test.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(EvidenceError, match=r"test\.parquet with sha256"):
        list(verify(Bundle(altered)))


@pytest.mark.parametrize("task", ["mrpc", "sst2"])
@pytest.mark.parametrize("size", ["larger", "smaller"])
def test_plain_training_is_well_above_the_majority_rate(task, size):
    bundle = Bundle(EVIDENCE)
    runs = {}
    for judged in bundle.claims():
        runs |= judged.table.runs.get(ERM(size), {}).get(task, {})
    assert len(runs) == load("mini", PAPER).seeds
    parts = [bundle.get(digest).final.predictions["test"] for digest in runs.values()]
    majority = np.bincount(parts[0].labels_N).max() / len(parts[0].labels_N)
    right = [(part.logits_NK.argmax(axis=1) == part.labels_N).mean() for part in parts]
    assert np.mean(right) > majority + 0.05
