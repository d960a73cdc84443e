"""A worker process from its start to its end, in this one: what it does, and in which order."""

from __future__ import annotations

import io
import json
import sys

import pytest

from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import worker
from kdcheck.study.work import Job


@pytest.fixture
def done(monkeypatch, tmp_path):
    """What a worker did, the first thing first, and the pipe from whoever started it."""
    seen: list = []
    job = tmp_path / "job.json"
    job.write_text(json.dumps(Job((), Places.resolve(store=tmp_path / "named")).to_dict()))
    pipe = io.StringIO(f"{job}\n")
    monkeypatch.setattr(sys, "stdin", pipe)
    monkeypatch.setattr(worker, "_import_ahead", lambda: seen.append("imports"))
    monkeypatch.setattr(worker, "end_with_controller", lambda p: seen.append((p, p.tell())))
    monkeypatch.setattr(Store, "open", lambda place: seen.append(place.folder) or "store")
    monkeypatch.setattr(worker, "work", lambda job, store, who: seen.append((store, who.name)))
    return seen, pipe


def test_a_worker_is_bound_to_its_controller_once_it_has_its_job_and_before_it_trains(
    done, tmp_path
):
    seen, pipe = done
    assert worker.main(["w7"]) == 0
    assert seen == ["imports", (pipe, len(pipe.getvalue())), tmp_path / "named", ("store", "w7")]
