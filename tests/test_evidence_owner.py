"""Who owns a run: a process by its id, its start and its boot, on its machine and under its controller."""

from __future__ import annotations

import os
import platform

import pytest

from kdcheck.evidence import owner

BOOT_FILE = "/proc/sys/kernel/random/boot_id"


def stat(
    pid: int, started: str, *, state: str = "S", name: str = "py (x) y", more: int = 30
) -> str:
    """A line of /proc/PID/stat; the 22nd field, the start, is the 20th after the name."""
    fields = [state, *(f"{number}." for number in range(4, 22)), started]
    return f"{pid} ({name}) {' '.join([*fields, *('0' * more)])}\n"


class Machine:
    """Processes and files of /proc, invented."""

    def __init__(self) -> None:
        self.files = {BOOT_FILE: "boot-1\n"}
        self.killed: list[tuple[int, int]] = []
        self.foreign: set[int] = set()

    def kill(self, pid: int, number: int) -> None:
        self.killed.append((pid, number))
        if pid in self.foreign:
            raise PermissionError
        if f"/proc/{pid}/stat" not in self.files:
            raise ProcessLookupError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    made.files |= {"/proc/10/stat": stat(10, "100"), "/proc/20/stat": stat(20, "200")}
    monkeypatch.setattr(owner, "_read", lambda path: made.files.get(path, ""))
    monkeypatch.setattr(platform, "node", lambda: "here")
    for name, found in (("getpid", lambda: 10), ("getppid", lambda: 20), ("kill", made.kill)):
        monkeypatch.setattr(os, name, found)
    return made


ME = {
    "kdcheck.host": "here",
    "kdcheck.pid": "10",
    "kdcheck.boot": "boot-1",
    "kdcheck.started": "100",
}
CONTROLLER = {"kdcheck.controller": "20 200"}


def test_a_process_and_its_controller_are_named_by_host_id_boot_and_start(machine) -> None:
    assert owner.this_process() == ME
    assert owner.controller() == CONTROLLER


@pytest.mark.parametrize(
    ("line", "started"),
    [
        (stat(10, "7", more=0), "7"),
        (stat(10, "7", name="a) R 1 2"), "7"),
        (stat(10, "7", state="Z"), ""),
        (" ".join(stat(10, "7", more=0).split()[:-1]), ""),
        ("", ""),
    ],
)
def test_the_start_is_the_22nd_field_however_a_process_is_called_and_a_zombie_has_none(
    machine, line: str, started: str
) -> None:
    machine.files["/proc/10/stat"] = line
    assert owner.this_process()["kdcheck.started"] == started


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({}, True),
        ({"kdcheck.host": "there"}, None),
        ({"kdcheck.boot": "boot-0"}, False),
        ({"kdcheck.pid": "11"}, False),
        ({"kdcheck.started": "99"}, False),
        ({"kdcheck.host": "there", "kdcheck.boot": "boot-0"}, None),
    ],
)
def test_an_owner_lives_if_its_process_does_on_this_machine_since_this_boot(
    machine, changes: dict[str, str], alive: bool | None
) -> None:
    tags = ME | changes
    assert owner.owner_is_alive(tags) is alive
    assert owner.is_this_process({**tags, "more": "x"}) is (not changes)
    assert all(number == 0 for _, number in machine.killed), "it is asked for, not ended"
    assert owner.owner_is_alive({}) is None


def test_a_process_of_another_user_lives(machine) -> None:
    machine.foreign.add(20)
    tags = ME | {"kdcheck.pid": "20", "kdcheck.started": "200"}
    assert owner.owner_is_alive(tags) is True
    assert owner.owner_is_alive(tags | {"kdcheck.started": "201"}) is False


@pytest.mark.parametrize(
    ("changes", "died"),
    [
        ({"kdcheck.pid": "11"}, True),
        ({}, False),
        ({"kdcheck.pid": "11", "kdcheck.controller": "20 201"}, False),
        ({"kdcheck.pid": "11", "kdcheck.controller": "21 200"}, False),
        ({"kdcheck.pid": "11", "kdcheck.host": "there"}, False),
        ({"kdcheck.pid": "11", "kdcheck.boot": "boot-0"}, False),
    ],
)
def test_whoever_died_under_this_controller_is_told_from_a_session_that_was_killed(
    machine, changes: dict[str, str], died: bool
) -> None:
    assert owner.died_under_this_controller(ME | CONTROLLER | changes) is died


def test_where_there_is_no_proc_boot_and_start_are_empty(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(owner, "Path", lambda path: tmp_path / path.lstrip("/"))
    mine = owner.this_process()
    assert (mine["kdcheck.boot"], mine["kdcheck.started"]) == ("", "")
    assert mine["kdcheck.pid"] == str(os.getpid())
    assert owner.owner_is_alive(mine) is True
