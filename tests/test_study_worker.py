"""A worker process from its start to its end, in this one: what it does, and in which order."""

from __future__ import annotations

import io
import json
import runpy
import subprocess
import sys

import pytest

from kdcheck.evidence import database
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import local, stopping, worker
from kdcheck.study import work as work_room
from kdcheck.study.stopping import DIED
from kdcheck.study.work import Job


@pytest.fixture
def done(monkeypatch, tmp_path):
    """What a worker did, the first thing first, and the pipe from whoever started it."""
    seen: list = []
    job = tmp_path / "job.json"
    job.write_text(json.dumps(Job((), Places.resolve(store=tmp_path / "named")).to_dict()))
    pipe = io.StringIO(f"{job}\n")
    monkeypatch.setattr(sys, "stdin", pipe)
    monkeypatch.setattr(worker, "import_ahead", lambda: seen.append("imports"))
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


@pytest.mark.parametrize("error", [None, RuntimeError("CUDA error: device-side assert triggered")])
def test_the_exit_code_of_the_process_is_what_has_become_of_the_work(done, monkeypatch, error):
    def work(*_):
        if error is not None:
            raise error

    monkeypatch.setattr(work_room, "work", work)
    monkeypatch.setattr(stopping, "end_with_controller", lambda _: None)
    monkeypatch.setattr(database, "import_mlflow", lambda: None)
    monkeypatch.setattr(sys, "argv", ["worker", "w7"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(worker.__file__, run_name="__main__")
    assert ended.value.code == (DIED if error else 0)


def test_the_executor_starts_this_module_with_one_thread_for_each_library(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    started = []
    monkeypatch.setattr(
        local.subprocess, "Popen", lambda command, **options: started.append((command, options))
    )
    local._worker(tmp_path / "log", "w7", [])
    ((command, options),) = started
    assert command == [sys.executable, "-m", worker.__name__, "w7"]
    assert options["env"]["OMP_NUM_THREADS"] == "1"
    assert options["env"]["TOKENIZERS_PARALLELISM"] == "false"
    assert options["stdin"] == subprocess.PIPE
