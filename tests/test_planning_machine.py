"""What of a machine stands in the way: each fault made on purpose, and the command that mends it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kdcheck.cli import doctor, main
from kdcheck.evidence import network
from kdcheck.evidence.store import Store
from kdcheck.paper import PAPER
from kdcheck.places import Location, Places
from kdcheck.planning import machine
from kdcheck.planning.at_hand import can_be_sized, check_inputs
from kdcheck.planning.machine import Check, State
from kdcheck.study.scale import load

GIGA = 10**9


def nothing(_place):
    """Opens a store that is whole."""


def meminfo(root, free, limit=None, used=0):
    """A machine of so many bytes free, in a group that may use so many."""
    (root / "proc").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {int(free) // 1024} kB\n")
    if limit is not None:
        (root / "sys/fs/cgroup").mkdir(parents=True)
        (root / "sys/fs/cgroup/memory.max").write_text(f"{limit}\n")
        (root / "sys/fs/cgroup/memory.current").write_text(f"{used}\n")
    return root


def test_a_python_that_is_too_old_is_red():
    found = machine.check_python((3, 10, 4))
    assert (found.state, "3.10.4" in found.said, "3.11" in found.mend) == (State.RED, True, True)
    assert machine.check_python((3, 11, 0)).state is State.OK
    assert machine.check_python((4, 0, 0)).state is State.OK


def test_a_library_that_cannot_be_imported_is_red_and_one_to_do_without_a_note(
    tmp_path, monkeypatch
):
    (tmp_path / "broken_torch.py").write_text("raise OSError('libcudart.so.12: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    found = machine.check_library("broken_torch", "torch", "pip install torch")
    assert (found.state, found.mend) == (State.RED, "pip install torch")
    assert "libcudart.so.12" in found.said
    assert machine.check_library("no_such_library", "xdist", needed=False).state is State.NOTE
    assert machine.check_library("numpy", "numpy").state is State.OK


def test_a_driver_on_whose_device_torch_cannot_start_is_told_with_both_versions(tmp_path):
    driver = tmp_path / "version"
    driver.write_text("NVRM version: 535.104\nGCC\n")
    found = machine.check_accelerator((), "CUDA 13.0", (driver,), driver)
    assert found.state is State.NOTE
    assert "535.104" in found.said
    assert "CUDA 13.0" in found.said
    assert "pip install" in found.mend
    assert machine.check_accelerator(("cuda:0",), "ROCm 6.4", (driver,), driver).said.startswith(
        "cuda:0; ROCm 6.4"
    )
    absent = tmp_path / "gone"
    assert machine.check_accelerator((), "CPU", (absent,), absent).state is State.OK


@pytest.mark.parametrize(
    ("free", "limit", "used", "state"),
    [
        (8 * GIGA, None, 0, State.OK),
        (2 * GIGA, None, 0, State.RED),
        (8 * GIGA, 4 * GIGA, 2 * GIGA, State.RED),
        (8 * GIGA, 4 * GIGA, 1 * GIGA, State.OK),
        (8 * GIGA, "max", 1 * GIGA, State.OK),
    ],
)
def test_memory_is_that_of_the_machine_and_of_its_control_group(tmp_path, free, limit, used, state):
    found = machine.check_memory(2, meminfo(tmp_path, free, limit, used))
    assert found.state is state
    if state is State.RED:
        assert found.mend == "pytest claims/ --workers 1"


def test_without_memory_for_one_worker_fewer_workers_are_no_help(tmp_path):
    assert "--workers" not in machine.check_memory(2, meminfo(tmp_path, GIGA)).mend


def test_a_core_that_is_kept_from_this_process_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda _: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert "1 of 8" in machine.check_cores().said
    monkeypatch.setattr(machine, "cores", lambda _: 8)
    assert "of 8" not in machine.check_cores().said


def test_a_store_on_a_network_file_system_is_red(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(network, "MOUNTS", mounts)
    found = machine.check_store(Location.parse(tmp_path / "store"), 0, nothing)
    assert found.state is State.RED
    assert "nfs4" in found.said
    assert "--store" in found.mend


def test_a_disk_without_room_for_the_default_scale_is_red(tmp_path):
    place = Location.parse(tmp_path / "store")
    found = machine.check_store(place, 3 * GIGA, nothing, free=2 * GIGA)
    assert (found.state, "3.0 GB needed" in found.said) == (State.RED, True)
    assert machine.check_store(place, GIGA, nothing, free=2 * GIGA).state is State.OK


def test_a_damaged_database_is_red(tmp_path):
    place = Location.parse(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    found = machine.check_store(place, 0, lambda each: Store.open(each).digests())
    assert found.state is State.RED
    assert str(tmp_path) in found.said


def test_a_folder_that_cannot_be_written_is_red(tmp_path):
    (tmp_path / "file").write_text("no folder")
    place = Location.parse(tmp_path / "file" / "store")
    assert machine.check_store(place, 0, nothing).state is State.RED


def test_a_hub_that_does_not_answer_is_a_note_with_the_way_round(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        found = machine.check_hub(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert found.state is State.NOTE
    assert "--model-dir" in found.mend


def test_a_hub_that_is_silent_is_given_up_after_its_seconds(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with contextlib.closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert machine.check_hub(address, seconds=0.05).state is State.NOTE


@pytest.mark.parametrize("code", [200, 403])
def test_a_hub_that_answers_in_whatever_way_is_there(monkeypatch, code):
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = machine.check_hub(f"http://127.0.0.1:{server.server_port}")
    assert found.state is State.OK


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://hub", "hub"])
def test_an_address_that_is_no_hub_is_none_though_something_may_be_read_there(monkeypatch, address):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = machine.check_hub(address)
    assert (found.state, found.said) == (
        State.NOTE,
        f"HF_ENDPOINT is {address!r}, no http(s) address",
    )


def test_a_hub_that_is_switched_off_is_told_without_asking(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in machine.check_hub("http://127.0.0.1:1").said


def of(checks, what):
    return next(each for each in checks if each.what == what)


def test_a_damaged_task_is_red_at_the_default_scale_alone(tmp_path):
    scale = load("embedded", PAPER)
    from kdcheck.tasks import packaged
    from kdcheck.tasks.corpora import PACKAGED

    name = scale.tasks[0]
    path = packaged._path(PACKAGED[name], tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text('{"train": ')
    places = Places.resolve(cache_dir=tmp_path)
    found = of(check_inputs(scale, places, is_default=True), f"task {name}")
    assert (found.state, found.mend) == (State.RED, f"kdcheck data fetch {name}")
    other = of(check_inputs(scale, places, is_default=False), f"task {name}")
    assert other.state is State.NOTE


def test_what_is_not_fetched_yet_is_a_note_and_nothing_is_fetched(tmp_path):
    scale = load("embedded", PAPER)
    places = Places.resolve(cache_dir=tmp_path)
    found = list(check_inputs(scale, places, is_default=True))
    assert {each.state for each in found} == {State.NOTE}
    assert not can_be_sized(scale, places)
    assert not list(tmp_path.rglob("*.json"))
    assert can_be_sized(load("paper", PAPER), places), "its sizes are published"


def test_an_encoder_whose_file_is_missing_is_named(tmp_path):
    folder = tmp_path / "bert-base-uncased"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    places = Places.resolve(model_dir=tmp_path)
    scale = replace(load("paper", PAPER), tasks=())
    found = of(check_inputs(scale, places, is_default=True), "encoder bert-base-uncased")
    assert found.state is State.RED
    assert "model.safetensors" in found.said
    assert "--model-dir" in found.mend


@pytest.mark.parametrize(("state", "code"), [(State.RED, 1), (State.NOTE, 0), (State.OK, 0)])
def test_the_exit_code_says_whether_something_stands_in_the_way(monkeypatch, capsys, state, code):
    checks = [Check("one", State.OK, "fine"), Check("two", state, "said", "mend it")]
    monkeypatch.setattr(doctor, "_checks", lambda *_: iter(checks))
    assert main(["doctor"]) == code
    printed = capsys.readouterr().out
    assert ("mend: mend it" in printed) == (state is not State.OK)
    assert f"{state:<4}  two" in printed
