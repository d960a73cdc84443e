"""The number of workers is that of the cores which this process may use, not of those in the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kdcheck.study import cores as room
from kdcheck.study.cores import cores

MACHINE = 64


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2 = {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}
V1 = {"proc/self/cgroup": "3:cpuset:/\n4:cpu,cpuacct:/a\n0::/\n"}


def quota_1(folder, quota, period="100000"):
    return {f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": quota, f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": period}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, MACHINE),
        (V2, MACHINE),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 2),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        (V2 | {"sys/fs/cgroup/cpu.max": "80000 20000\n"}, 4),
        (V2 | {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (V1 | quota_1("cpu/a", "-1\n"), MACHINE),
        (V1 | quota_1("cpu,cpuacct/a", "500000\n"), 5),
        (V1 | quota_1("cpu", "600000\n"), 6),
        (V1 | quota_1("memory/a", "100000\n"), MACHINE),
    ],
)
def test_a_quota_of_the_control_group_or_of_one_around_it_is_respected(
    monkeypatch, tmp_path, files, wanted
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MACHINE)), raising=False)
    write(tmp_path, files)
    assert cores(tmp_path) == wanted


def test_the_smaller_of_affinity_and_quota_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 9, 11}, raising=False)
    write(tmp_path, V2 | {"sys/fs/cgroup/cpu.max": "800000 100000\n"})
    assert cores(tmp_path) == 3


def test_where_there_is_no_affinity_the_cores_of_the_machine_count(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(room.os, "cpu_count", lambda: 12)
    assert cores(tmp_path) == 12


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process")
def test_a_process_that_is_bound_to_one_core_starts_one_worker():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from pathlib import Path\n"
        "from kdcheck.study.local import LocalExecutor\n"
        "print(LocalExecutor(Path()).count(threads=1))"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert told.stdout == "1\n"
