"""The evidence of the mini scale that is kept here: its verdicts come out again, its models learned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from kdcheck.study.record import FILE, stored_claims
from kdcheck.study.verify import verify

from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import Bundle
from kdcheck.evidence.files import MANIFEST, seal, write_json
from kdcheck.study.scale import load

EVIDENCE = Path(__file__).parents[2] / "evidence" / "mini"


@pytest.fixture
def altered(tmp_path):
    """A copy that may be damaged."""
    return Path(shutil.copytree(EVIDENCE, tmp_path / "mini"))


def test_every_verdict_comes_out_again_from_the_stored_posteriors():
    checks = list(verify(Bundle(EVIDENCE)))
    assert len(checks) == 14
    assert [check.stored.criterion.claim for check in checks if not check.same] == []
    assert {check.scale for check in checks} == {"mini"}


def test_a_verdict_that_was_altered_and_sealed_again_is_found(altered):
    folder = altered / "claims" / "000"
    body = json.loads((folder / FILE).read_text())
    body["verdict"]["word"] = "UNDECIDED" if body["verdict"]["word"] != "UNDECIDED" else "REFUTED"
    write_json(folder / FILE, body)
    contents = json.loads((altered / MANIFEST).read_text())
    contents["claims"][0]["manifest"] = seal(folder)
    write_json(altered / MANIFEST, contents)
    assert [check.same for check in verify(Bundle(altered))].count(False) == 1


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
    for claim in stored_claims(bundle):
        runs |= claim.runs.runs.get(f"erm/{size}", {}).get(task, {})
    assert len(runs) == load("mini").seeds
    finals = [bundle.get(digest).final for digest in runs.values()]
    labels_N = finals[0].predictions["test"].labels_N
    majority = np.bincount(labels_N).max() / len(labels_N)
    assert np.mean([final.values["test/accuracy"] for final in finals]) > majority + 0.05
