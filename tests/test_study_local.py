"""The local executor: workers wait for their job, do it, and are ended; failures name their log."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdcheck.engine.stopped import Stopped
from kdcheck.errors import TrainingError
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import local, worker
from kdcheck.study.graph import Graph
from kdcheck.study.local import LocalExecutor
from kdcheck.study.progress import Display
from kdcheck.study.stopping import DIED
from kdcheck.study.work import Job, Worker
from tests.evidence_doubles import sample_recipe
from tests.study_doubles import ERM_SMALL, scale

WRITES_WHAT_IT_IS_TOLD = "import sys; print(sys.stdin.readline().strip())"
FAILS = "import sys; sys.stdin.readline(); sys.exit('store: got no database')"
DIES_AT_ONCE = "raise SystemExit('cannot import torch')"
WAITS_ON = "import sys, time; sys.stdin.readline(); time.sleep(60)"


@pytest.fixture
def start_scripts(monkeypatch):
    """Let each worker be a short script instead of the real one, which takes seconds to import."""

    def start(*scripts: str) -> None:
        def stand_in(path: Path, name: str, device: list[str]) -> subprocess.Popen[str]:
            code = scripts[int(name.removeprefix("w"))]
            with path.open("w") as log:
                return subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    text=True,
                )

        monkeypatch.setattr(local, "_worker", stand_in)

    return start


def run(executor: LocalExecutor, folder: Path, store: str = "s") -> None:
    job = Job(orders=(), places=Places.resolve(store=folder / store, work=folder))
    with Display((), (), folder, stream=io.StringIO()) as display:
        executor.run(job, display, len)


@pytest.mark.parametrize("ahead", [True, False], ids=["started before", "started by the job"])
def test_every_worker_is_told_where_the_job_is(start_scripts, tmp_path, ahead):
    start_scripts(WRITES_WHAT_IT_IS_TOLD, WRITES_WHAT_IT_IS_TOLD)
    executor = LocalExecutor(tmp_path, workers=2)
    if ahead:
        executor.start(threads=1)
    run(executor, tmp_path)
    (job,) = tmp_path.glob("job-*.json")
    assert told(tmp_path) == [str(job)] * 2


def told(folder: Path) -> list[str]:
    """What workers that write what they are told have written."""
    return [log.read_text().strip() for log in sorted((folder / "workers").glob("*.log"))]


def test_while_workers_train_what_they_have_trained_is_told(start_scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.02)
    done = tmp_path / "told"
    start_scripts(
        f"""
import json, pathlib, sys, time
sys.stdin.readline()
status = {{"digest": "x", "step": 1, "total": 1, "trained": ["run 1"]}}
pathlib.Path({str(tmp_path / "workers" / "w0.json")!r}).write_text(json.dumps(status))
for _ in range(500):
    if pathlib.Path({str(done)!r}).exists():
        sys.exit()
    time.sleep(0.01)
sys.exit("nothing was done meanwhile")
"""
    )

    def meanwhile(trained):
        if trained:
            assert trained == {"run 1"}
            done.touch()  # the worker waits for it, and fails without it

    job = Job(orders=(), places=Places.resolve(store=tmp_path / "s", work=tmp_path))
    with Display(["run 1", "run 2"], (), tmp_path, stream=io.StringIO()) as display:
        LocalExecutor(tmp_path, workers=1).run(job, display, meanwhile)


def test_two_sessions_that_share_a_folder_have_jobs_of_their_own(start_scripts, tmp_path):
    start_scripts(WRITES_WHAT_IT_IS_TOLD)
    jobs = []
    for store in ("a", "b"):
        run(LocalExecutor(tmp_path, workers=1), tmp_path, store)
        jobs += [Job.from_dict(json.loads(Path(path).read_text())) for path in told(tmp_path)]
    assert [job.places.store.folder.name for job in jobs] == ["a", "b"]
    assert len(list(tmp_path.glob("job-*.json"))) == 2


def test_a_job_which_may_hold_a_password_is_for_its_owner_alone(start_scripts, tmp_path):
    start_scripts(WRITES_WHAT_IT_IS_TOLD)
    run(LocalExecutor(tmp_path, workers=1), tmp_path)
    (job,) = tmp_path.glob("job-*.json")
    assert job.stat().st_mode & 0o077 == 0


def test_the_log_of_a_worker_that_said_nothing_is_not_kept(start_scripts, tmp_path):
    start_scripts("import sys; sys.stdin.readline()")
    run(LocalExecutor(tmp_path, workers=1), tmp_path)
    assert not list((tmp_path / "workers").glob("*.log"))


@pytest.mark.parametrize(
    ("script", "said"), [(FAILS, "store: got no database"), (DIES_AT_ONCE, "cannot import torch")]
)
def test_a_worker_that_fails_is_quoted_and_the_others_are_stopped(
    start_scripts, tmp_path, script, said
):
    start_scripts(WAITS_ON, script)
    executor = LocalExecutor(tmp_path, workers=2)
    executor.start(threads=1)
    waiting, _ = executor._processes
    with pytest.raises(TrainingError, match=f"exit code 1: {said}") as caught:
        run(executor, tmp_path)
    assert str(tmp_path / "workers" / f"w1-{os.getpid()}.log") in caught.value.next_step
    assert waiting.returncode is not None


DIES_WHILE_IT_TRAINS = """
import os, pathlib, signal, sys
job = pathlib.Path(sys.stdin.readline().strip())
(job.parent / "workers" / "{name}.json").write_text('{{"digest": "d", "step": 0, "total": 1, "trained": []}}')
{how}
"""
BY_A_SIGNAL, BY_AN_ERROR = "os.kill(os.getpid(), signal.SIGKILL)", f"sys.exit({DIED})"


@pytest.mark.parametrize(
    ("how", "told"), [(BY_A_SIGNAL, "signal 9"), (BY_AN_ERROR, "exit code 70")]
)
def test_a_worker_that_dies_while_it_trains_is_replaced_and_the_study_goes_on(
    monkeypatch, tmp_path, capsys, how, told
):
    scripts = {
        "w0": DIES_WHILE_IT_TRAINS.format(name="w0", how=how),
        "w0.1": DIES_WHILE_IT_TRAINS.format(name="w0.1", how=how),
        "w0.2": WRITES_WHAT_IT_IS_TOLD,
        "w1": WRITES_WHAT_IT_IS_TOLD,
    }
    started = []

    def stand_in(path: Path, name: str, device: list[str]) -> subprocess.Popen[str]:
        started.append((name, device))
        with path.open("w") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": log, "text": True}
            return subprocess.Popen([sys.executable, "-c", scripts[name]], **pipes)

    monkeypatch.setattr(local, "_worker", stand_in)
    monkeypatch.setattr(local, "cuda_devices", lambda: ("cuda:0", "cuda:1"))
    run(LocalExecutor(tmp_path, workers=2), tmp_path)
    first, second = ["cuda:0"], ["cuda:1"]
    assert started == [("w0", first), ("w1", second), ("w0.1", first), ("w0.2", first)]
    said = capsys.readouterr().out
    assert f"worker w0 died while it trained ({told}, log " in said
    assert f"worker w0.1 died while it trained ({told}, log " in said


def test_a_worker_that_is_killed_before_it_trains_anything_ends_the_study(start_scripts, tmp_path):
    """Whatever kills it would kill the next one too, and no recipe is to blame."""
    start_scripts(BY_A_SIGNAL.join(["import os, signal; ", ""]))
    with pytest.raises(TrainingError, match="worker w0: got signal 9: no message"):
        run(LocalExecutor(tmp_path, workers=1), tmp_path)


def test_a_worker_that_refuses_to_go_on_while_it_trains_ends_the_study(start_scripts, tmp_path):
    """The next one would meet the same full disk."""
    how = "sys.exit('store: got a full disk')"
    start_scripts(DIES_WHILE_IT_TRAINS.format(name="w0", how=how))
    with pytest.raises(TrainingError, match="worker w0: got exit code 1: store: got a full disk"):
        run(LocalExecutor(tmp_path, workers=1), tmp_path)


def test_a_worker_that_does_not_end_when_it_is_asked_to_is_killed(
    start_scripts, monkeypatch, tmp_path
):
    start_scripts(
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); "
        "time.sleep(60)"
    )
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.2)
    executor = LocalExecutor(tmp_path, workers=1)
    executor.start(threads=1)
    (stubborn,) = executor._processes
    (log,) = (tmp_path / "workers").glob("*.log")
    while not log.read_text():
        time.sleep(0.02)
    executor.close()
    assert stubborn.returncode == -signal.SIGKILL


def test_a_worker_that_meets_an_error_of_no_kind_of_ours_counts_as_dead(
    monkeypatch, tmp_path, capsys
):
    (tmp_path / "job.json").write_text(json.dumps(Job((), Places.resolve(store="s")).to_dict()))

    def ends_with(error):
        def work(*_):
            raise error

        monkeypatch.setattr(worker, "import_ahead", lambda: None)
        monkeypatch.setattr(worker, "end_with_controller", lambda _: None)
        monkeypatch.setattr(worker, "work", work)
        monkeypatch.setattr(Store, "open", lambda place: place)
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path / 'job.json'}\n"))
        return worker.main(["w0"]), capsys.readouterr().err

    code, told = ends_with(RuntimeError("CUDA error: device-side assert triggered"))
    assert code == DIED
    assert "RuntimeError: CUDA error: device-side assert" in told
    assert ends_with(TrainingError("x", "a full disk", "room", "Stop."))[0] == 1
    assert ends_with(Stopped("SIGTERM")) == (128 + signal.SIGTERM, "stopped by SIGTERM\n")


def test_workers_that_never_get_a_job_are_ended(start_scripts, tmp_path):
    start_scripts(WAITS_ON)
    executor = LocalExecutor(tmp_path, workers=1)
    executor.start(threads=1)
    (waiting,) = executor._processes
    executor.close()
    assert waiting.returncode is not None
    executor.close()


def test_a_worker_whose_controller_has_ended_ends_too(monkeypatch):
    monkeypatch.setattr(worker, "import_ahead", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert worker.main(["w0"]) == 0


OWN = """
from dataclasses import dataclass
from kdcheck.objectives import Objective

@dataclass(frozen=True)
class Halved(Objective):
    name = "halved_in_a_worker"
    def per_example(self, logits_NK, labels_N, teacher_logits_NK=None):
        return 0.5 * -logits_NK.log_softmax(-1).gather(1, labels_N[:, None])[:, 0]
"""


def test_a_worker_loads_the_claim_file_that_defines_an_objective_before_it_reads_recipes(
    monkeypatch, tmp_path, capsys
):
    """As pytest imports it: its folder is not on the path of the worker."""
    (tmp_path / "claims").mkdir()
    defines = tmp_path / "claims" / "test_halved.py"
    defines.write_text(OWN)
    recipe = sample_recipe().to_dict() | {"objective": {"name": "halved_in_a_worker"}}
    order = {"recipe": recipe, "role": "r", "claims": [], "teaches": False, "model_folder": None}
    places = Places.resolve(store=tmp_path / "store", work=tmp_path)
    job = Job((), places, (str(defines),)).to_dict() | {"orders": [order]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    seen = []
    monkeypatch.setattr(worker, "import_ahead", lambda: None)
    monkeypatch.setattr(worker, "end_with_controller", lambda _: None)
    monkeypatch.setattr(worker, "work", lambda job, *_: seen.append(job))
    monkeypatch.setattr(Store, "open", lambda place: place)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path / 'job.json'}\n"))
    assert worker.main(["w0", "cuda:1"]) == 0, capsys.readouterr().err
    (order,) = seen[0].orders
    assert type(order.recipe.objective).__module__ == "test_halved"
    # Nor does whoever wrote the job need to name the file: the objective tells where it is from.
    roles, claims = {"d": ERM_SMALL}, {"d": {"c"}}
    graph = Graph(scale(), (0,), {"d": order.recipe}, roles=roles, claims=claims)
    assert Job.of(graph, places).modules == (str(defines),)


def test_a_worker_trains_on_the_device_that_it_is_given(monkeypatch, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(Job((), Places.resolve(store="s")).to_dict()))
    seen = []
    monkeypatch.setattr(worker, "import_ahead", lambda: None)
    monkeypatch.setattr(worker, "end_with_controller", lambda _: None)
    monkeypatch.setattr(worker, "work", lambda job, store, worker: seen.append(worker))
    monkeypatch.setattr(Store, "open", lambda place: place)
    for device in (["cuda:1"], []):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path / 'job.json'}\n"))
        worker.main(["w3", *device])
    assert seen == [Worker("w3", "cuda:1"), Worker("w3", None)]


def test_workers_are_spread_over_the_devices(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(local, "cuda_devices", lambda: ("cuda:0", "cuda:1"))
    monkeypatch.setattr(local, "_worker", lambda path, name, device: started.append((name, device)))
    LocalExecutor(tmp_path, workers=3).start(threads=1)
    assert started == [("w0", ["cuda:0"]), ("w1", ["cuda:1"]), ("w2", ["cuda:0"])]
    assert LocalExecutor(tmp_path).count(threads=1) == 2


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Give the machine a driver file or none, and a torch that prints what it is told to."""

    def build(printed: str, exit_code: int = 0, driver: bool = True) -> list[list[str]]:
        if driver:
            (tmp_path / "driver").touch()
        asked: list[list[str]] = []

        def stand_in(command, **options):
            asked.append(command)
            return subprocess.CompletedProcess(command, exit_code, printed, "")

        monkeypatch.setattr(local, "DRIVERS", (tmp_path / "no driver", tmp_path / "driver"))
        monkeypatch.setattr(local.subprocess, "run", stand_in)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return asked

    local.cuda_devices.cache_clear()
    yield build
    local.cuda_devices.cache_clear()


def test_the_devices_are_counted_once_in_a_process_of_their_own(machine):
    asked = machine("cuda:0\ncuda:1\n")
    assert local.cuda_devices() == local.cuda_devices() == ("cuda:0", "cuda:1")
    assert len(asked) == 1


def test_a_device_with_room_for_several_workers_is_named_again_once_all_have_been(machine):
    machine("cuda:0\ncuda:0\ncuda:0\ncuda:1\n")
    assert local.cuda_devices() == ("cuda:0", "cuda:1", "cuda:0", "cuda:0")


@pytest.mark.parametrize(
    ("visible", "device", "seen"),
    [(None, "cuda:1", "1"), ("5, GPU-7f", "cuda:1", "GPU-7f"), ("5,3", "cuda:0", "5")],
)
def test_a_worker_sees_its_own_device_alone(visible, device, seen, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(
        local.subprocess, "Popen", lambda command, **options: started.append((command, options))
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    local._worker(tmp_path / "log", "w0", [device])
    local._worker(tmp_path / "log", "w1", [])
    (with_device, options), (without, rest) = started
    assert (with_device[-1], options["env"]["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", seen)
    assert (without[-1], rest["env"].get("CUDA_VISIBLE_DEVICES")) == ("w1", visible)


def test_without_a_driver_or_with_every_device_hidden_torch_is_not_even_asked(machine, monkeypatch):
    asked = machine("cuda:0\n", driver=False)
    assert local.cuda_devices() == ()
    machine("cuda:0\n")
    local.cuda_devices.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local.cuda_devices() == ()
    assert not asked


def test_a_torch_that_cannot_count_has_no_devices(machine):
    machine("", exit_code=1)
    assert local.cuda_devices() == ()


def test_what_was_found_before_a_device_killed_the_counting_is_kept(machine):
    machine("cuda:0\n", exit_code=-11)
    assert local.cuda_devices() == ("cuda:0",)


ONE_OF_THREE_IS_BAD = """
import torch
real = torch.ones
def ones(*size, device):
    if device == "cuda:1":
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
    return real(*size)
torch.ones, torch.cuda.device_count = ones, lambda: 3
"""


def test_a_device_that_torch_counts_but_cannot_start_on_is_left_out_and_hides_no_other(
    monkeypatch, tmp_path
):
    (tmp_path / "sitecustomize.py").write_text(ONE_OF_THREE_IS_BAD)  # run as each Python starts
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(local, "DRIVERS", (tmp_path,))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    local.cuda_devices.cache_clear()
    try:
        assert local.cuda_devices() == ("cuda:0", "cuda:2")
    finally:
        local.cuda_devices.cache_clear()
