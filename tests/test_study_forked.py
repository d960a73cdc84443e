"""Workers forked from one nursery: one import, own inputs and logs, and fates told as subprocess tells them."""

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

from kdcheck.places import Places
from kdcheck.study import forked, local
from kdcheck.study.forked import LOST, Forked, Nursery
from kdcheck.study.local import LocalExecutor
from kdcheck.study.progress import Display
from kdcheck.study.work import Job

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux alone")

STAND_IN = """
import json, os, sys, time, types
import kdcheck.study
from kdcheck.study import nursery

def import_ahead():
    print("imported", file=open("imports", "a"), flush=True)
    exec(os.environ["AHEAD"])

def main(arguments):
    assert len(arguments) == 1
    exec(json.loads(os.environ["SCRIPTS"])[arguments[0]], globals())
    return 0

worker = types.SimpleNamespace(import_ahead=import_ahead, main=main)
sys.modules["kdcheck.study.worker"] = kdcheck.study.worker = worker
sys.exit(nursery.main())
"""
"""A nursery as it is, of workers that are short scripts in place of the real one, which imports for seconds."""

WRITES_WHAT_IT_IS_TOLD = "print(sys.stdin.readline().strip(), os.environ['OMP_NUM_THREADS'])"
WAITS_ON = "print('waits', flush=True); time.sleep(60)"


@pytest.fixture
def nursery_of(monkeypatch, tmp_path):
    """A nursery whose workers are scripts, by name; none of them is left behind."""
    monkeypatch.setattr(forked, "PROGRAM", ("-c", STAND_IN))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # of whoever starts it; for a worker it is 1
    monkeypatch.chdir(tmp_path)
    # What is started in the background by a shell ignores Ctrl-C, and so would all of these.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started, workers = [], []
    fork = Nursery.fork
    monkeypatch.setattr(Nursery, "fork", lambda *of: workers.append(fork(*of)) or workers[-1])

    def start(ahead: str = "", **scripts: str) -> Nursery:
        monkeypatch.setenv("AHEAD", ahead)
        monkeypatch.setenv("SCRIPTS", json.dumps(scripts))
        started.append(Nursery())
        return started[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.communicate(timeout=60)
    for nursery in started:
        nursery.close()
    signal.signal(signal.SIGINT, before)


def until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def tell(worker: Forked, line: str) -> None:
    worker.stdin.write(f"{line}\n")
    worker.stdin.flush()


def test_workers_share_one_import_and_have_inputs_logs_and_names_of_their_own(nursery_of, tmp_path):
    holds_on = f"{WRITES_WHAT_IT_IS_TOLD}; sys.stdin.readline()"
    nursery = nursery_of(w0=holds_on, w1=holds_on)
    workers = [nursery.fork(tmp_path / f"{name}.log", name) for name in ("w0", "w1")]
    for number, worker in enumerate(workers):
        tell(worker, f"job {number}")
    until(lambda: all(worker.poll() is None and worker.pid for worker in workers))
    names = [f"/proc/{worker.pid}/comm" for worker in workers]
    until(lambda: [Path(n).read_text() for n in names] == ["kdcheck w0\n", "kdcheck w1\n"])
    for worker in workers:
        worker.communicate(timeout=60)
    logs = [(tmp_path / f"w{number}.log").read_text() for number in (0, 1)]
    assert logs == ["job 0 1\n", "job 1 1\n"]
    assert Path("imports").read_text() == "imported\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("pass", 0),
        ("sys.exit(70)", 70),
        ("raise OSError('no room')", 1),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 2)", -2),
    ],
)
def test_how_a_forked_worker_ended_is_told_as_subprocess_tells_it(
    nursery_of, tmp_path, script, code
):
    worker = nursery_of(w0=script).fork(tmp_path / "log", "w0")
    assert worker.wait(60) == worker.poll() == code
    assert ("OSError: no room" in (tmp_path / "log").read_text()) == (code == 1)


def test_a_forked_worker_is_ended_by_its_own_process_and_no_other_with_it(nursery_of, tmp_path):
    nursery = nursery_of(w0=WAITS_ON, w1=WAITS_ON)
    asked, killed = (nursery.fork(tmp_path / name, name) for name in ("w0", "w1"))
    until(lambda: all((tmp_path / name).read_text() for name in ("w0", "w1")))
    with pytest.raises(subprocess.TimeoutExpired):
        asked.wait(0.1)
    asked.terminate()
    assert asked.wait(60) == -signal.SIGTERM
    assert killed.poll() is None
    killed.kill()
    assert killed.wait(60) == -signal.SIGKILL


def test_a_worker_that_is_not_born_yet_can_be_ended(nursery_of, tmp_path):
    worker = nursery_of(ahead="time.sleep(60)", w0=WAITS_ON).fork(tmp_path / "log", "w0")
    until(Path("imports").exists)
    begun = time.monotonic()
    worker.terminate()
    worker.communicate(timeout=60)
    assert worker.returncode == LOST
    assert time.monotonic() - begun < 30


def test_a_worker_asked_of_a_nursery_that_has_ended_is_lost(nursery_of, tmp_path):
    nursery = nursery_of(ahead="os._exit(3)")
    nursery._process.wait()
    assert nursery.fork(tmp_path / "log", "w0").wait(60) == LOST


def test_what_cannot_be_imported_is_told_in_the_log_of_each_worker(nursery_of, tmp_path):
    import_it = "import no_such_library"
    worker = nursery_of(ahead=import_it, w0=import_it).fork(tmp_path / "log", "w0")
    assert worker.wait(60) == 1
    assert "No module named 'no_such_library'" in (tmp_path / "log").read_text()


def test_a_worker_whose_nursery_was_killed_counts_as_lost_only_once_it_has_ended(
    nursery_of, tmp_path
):
    nursery = nursery_of(w0=WAITS_ON, w1=WAITS_ON)
    first, second = (nursery.fork(tmp_path / name, name) for name in ("w0", "w1"))
    until(lambda: all((tmp_path / name).read_text() for name in ("w0", "w1")))
    nursery._process.kill()
    nursery._process.wait()
    assert first.poll() is None
    first.terminate()
    assert first.wait(60) == LOST  # though the second, forked later, lives
    assert second.poll() is None
    second.kill()
    assert second.wait(60) == LOST


def test_a_worker_tells_its_exit_code_though_its_nursery_was_killed(nursery_of, tmp_path):
    ends = f"{WAITS_ON.replace('60', '0')}; sys.stdin.readline()"
    nursery = nursery_of(w0=ends, w1=ends)
    workers = [nursery.fork(tmp_path / name, name) for name in ("w0", "w1")]
    until(lambda: all((tmp_path / name).read_text() for name in ("w0", "w1")))
    nursery._process.kill()
    nursery._process.wait()
    assert nursery.fork(tmp_path / "log", "w2").wait(60) == LOST  # while others live
    for worker in workers:
        assert worker.poll() is None
        tell(worker, "end")
        assert worker.wait(60) == 0


def test_what_workers_import_starts_no_thread_but_the_allocators():
    """Another could hold a lock at the moment of the fork, which no worker would ever get."""
    shown = (
        "import os, pathlib; from kdcheck.study import nursery; nursery._import_ahead();"
        "print(*(pathlib.Path(f'/proc/self/task/{each}/comm').read_text().strip()"
        " for each in os.listdir('/proc/self/task') if each != str(os.getpid())))"
    )
    command = [sys.executable, "-c", shown]
    environment = {**os.environ, **forked.ENVIRONMENT}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"jemalloc_bg_thd"}


def test_no_nursery_leaves_no_socket_where_no_process_can_be_had(monkeypatch):
    def none_left(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = set(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr(forked.subprocess, "Popen", none_left)
    with pytest.raises(BlockingIOError):
        Nursery()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_ctrl_c_is_for_the_workers_and_leaves_the_nursery(nursery_of, tmp_path):
    nursery = nursery_of(w0=WAITS_ON, w1="pass")
    worker = nursery.fork(tmp_path / "log", "w0")
    until((tmp_path / "log").read_text)
    for process in (nursery._process.pid, worker.pid):
        os.kill(process, signal.SIGINT)
    assert worker.wait(60) == -signal.SIGINT
    assert "KeyboardInterrupt" in (tmp_path / "log").read_text()
    assert nursery.fork(tmp_path / "log", "w1").wait(60) == 0


CONTROLS = """
import pathlib, sys, time
from kdcheck.study import forked
forked.PROGRAM = ("-c", sys.argv[1])
nursery = forked.Nursery()
worker = nursery.fork(pathlib.Path("log"), "w0")
while worker.poll() is None and worker.pid is None:
    time.sleep(0.01)
print(nursery._process.pid, worker.pid, flush=True)
time.sleep(60)
"""
TRAINS = """
from kdcheck.study import stopping
stopping.end_with_controller(sys.stdin)
with stopping.asked_to_stop() as stop:
    print("trains", flush=True)
    while not stop():
        time.sleep(0.01)
    print("checkpoint", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nursery_and_workers_end_with_a_controller_that_is_killed_and_leave_checkpoints(
    tmp_path, how
):
    environment = {**os.environ, "AHEAD": "", "SCRIPTS": json.dumps({"w0": TRAINS})}
    command = [sys.executable, "-c", CONTROLS, STAND_IN]
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as controller:
        processes = [int(each) for each in controller.stdout.readline().split()]
        until(lambda: "trains" in (tmp_path / "log").read_text())
        assert all(map(_lives, processes))
        controller.send_signal(how)
        controller.wait()
        until(lambda: not any(map(_lives, processes)))
    assert (tmp_path / "log").read_text() == "trains\ncheckpoint\n"


def _lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    # Whoever adopts it may never ask how it ended.
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


DIES_WHILE_IT_TRAINS = """
job = sys.stdin.readline().strip()
status = os.path.join(os.path.dirname(job), "workers", "w0.json")
open(status, "w").write('{"digest": "d", "step": 0, "total": 1, "trained": []}')
os.kill(os.getpid(), 9)
"""


def test_an_executor_that_imports_ahead_forks_its_workers_and_replaces_the_dead(
    nursery_of, monkeypatch, tmp_path, capsys
):
    scripts = {"w0": DIES_WHILE_IT_TRAINS, "w0.1": "print('goes on')", "w1": "sys.stdin.readline()"}
    executor = LocalExecutor(tmp_path, workers=2)
    monkeypatch.setattr(local, "Nursery", lambda: nursery_of(**scripts))
    monkeypatch.setattr(local, "_may_have_cuda", lambda: False)
    executor.import_ahead()
    executor.import_ahead()
    nursery = executor._nursery
    with Display((), (), tmp_path, stream=io.StringIO()) as display:
        executor.run(Job((), Places.resolve(store=tmp_path / "s", work=tmp_path)), display, len)
    assert "worker w0 died while it trained (signal 9, log " in capsys.readouterr().out
    assert Path("imports").read_text() == "imported\n"
    said = {log.name: log.read_text() for log in (tmp_path / "workers").glob("*.log")}
    assert said == {f"w0-{os.getpid()}.log": "", f"w0.1-{os.getpid()}.log": "goes on\n"}
    assert nursery._process.returncode is not None, "it is closed with the workers"


@pytest.mark.parametrize(
    ("platform", "cuda"), [("darwin", False), ("win32", False), ("linux", True)]
)
def test_beside_cuda_and_on_other_systems_each_worker_is_started_by_itself(
    monkeypatch, tmp_path, platform, cuda
):
    started = []
    monkeypatch.setattr(local, "_may_have_cuda", lambda: cuda)
    monkeypatch.setattr(local, "cuda_devices", tuple)
    monkeypatch.setattr(local.sys, "platform", platform)
    monkeypatch.setattr(local, "Nursery", lambda: pytest.fail("forks"))
    monkeypatch.setattr(local, "_worker", lambda log, name, device: started.append(name))
    executor = LocalExecutor(tmp_path, workers=2)
    executor.import_ahead()
    executor.start(threads=1)
    assert started == ["w0", "w1"]
