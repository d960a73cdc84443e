"""A process that trains ends when it is asked to, and when whoever started it has ended, however that was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAINS = """
import sys, time
from kdcheck.study import stopping
stopping.GRACE_SECONDS = 0.2
stopping.{watch}
with stopping.asked_to_stop() as stop:
    print("trains", flush=True)
    while not stop():
        time.sleep(0.01)
    print("checkpoint", flush=True)
{more}
"""
PIPE, PARENT = "end_with_controller(sys.stdin)", "end_with_parent()"
NEVER_ENDS = "    time.sleep(60)"
CONTROLS = """
import subprocess, sys, time
with open(sys.argv[2], "w") as log:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=log)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def worker():
    """A process that trains, for ever unless it is asked to stop; none is left behind."""
    started = []

    def start(more: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TRAINS.format(watch=PIPE, more=more)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes))
        assert started[-1].stdout.readline() == "trains\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(log: Path, word: str) -> bool:
    """Whether a log comes to say a word within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and word not in log.read_text():
        time.sleep(0.02)
    return word in log.read_text()


@pytest.mark.parametrize("watch", [PIPE, PARENT], ids=["pipe", "parent"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_whose_controller_is_killed_leaves_a_checkpoint_and_ends(tmp_path, how, watch):
    log = tmp_path / "log"
    command = [sys.executable, "-c", CONTROLS, TRAINS.format(watch=watch, more=""), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as controller:
        worker = int(controller.stdout.readline())
        try:
            assert said(log, "trains")
            assert "checkpoint" not in log.read_text()
            controller.send_signal(how)
            controller.wait()
            assert said(log, "checkpoint")
            assert _has_ended(worker)
        finally:
            if not _has_ended(worker, seconds=0):
                os.kill(worker, signal.SIGKILL)


def _has_ended(pid: int, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            # Whoever adopts it may never ask how it ended.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def test_a_worker_that_cannot_stop_is_ended_after_a_while(worker):
    process = worker(NEVER_ENDS)
    process.stdin.close()
    process.stdin = None  # the fixture's communicate would flush what is closed
    assert process.wait(timeout=60) == 128 + signal.SIGTERM


def test_a_second_sigterm_ends_a_process_at_once(worker):
    process = worker(NEVER_ENDS)
    process.terminate()
    assert process.stdout.readline() == "checkpoint\n"
    process.terminate()
    assert process.wait(timeout=60) == -signal.SIGTERM
