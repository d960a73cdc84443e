"""Checkpoints: every damage is seen, the one before is used, and nothing is left half-written."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kdcheck.engine import checkpoint
from kdcheck.engine.checkpoint import MANIFEST, STATE, TENSORS, load_latest
from kdcheck.errors import CheckpointError
from tests.refusal import refused


def save(folder: Path, step: int) -> Path:
    tensors = {"a": torch.full((3,), float(step)), "b": torch.arange(step)}
    return checkpoint.save(folder, step=step, tensors=tensors, state={"x": step})


@pytest.fixture
def two(tmp_path):
    """A folder with the checkpoints of steps 1 and 2."""
    save(tmp_path, 1)
    save(tmp_path, 2)
    return tmp_path


def newest(folder: Path) -> Path:
    return folder / "step-0000000002"


def test_what_was_saved_comes_back_exactly(two):
    found = load_latest(two)
    assert (found.step, found.state, found.ignored) == (2, {"x": 2}, ())
    assert torch.equal(found.tensors["a"], torch.full((3,), 2.0))
    assert torch.equal(found.tensors["b"], torch.arange(2))


@pytest.mark.parametrize("name", [MANIFEST, STATE, TENSORS])
def test_a_flipped_bit_in_any_byte_is_detected_and_the_checkpoint_before_is_used(two, name):
    path = newest(two) / name
    whole = path.read_bytes()
    for byte in range(len(whole)):
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << byte % 8
        path.write_bytes(damaged)
        found = load_latest(two)
        assert found.step == 1, f"bit {byte % 8} of byte {byte}"
        assert found.ignored[0].startswith("step-0000000002: ")
    path.write_bytes(whole)
    assert load_latest(two).step == 2


@pytest.mark.parametrize("name", [MANIFEST, STATE, TENSORS])
def test_every_truncation_is_detected_and_the_checkpoint_before_is_used(two, name):
    path = newest(two) / name
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert load_latest(two).step == 1, f"{length} of {len(whole)} bytes"
    path.unlink()
    assert load_latest(two).step == 1


def test_a_loader_that_trusts_files_without_their_sums_would_be_caught(two, monkeypatch):
    monkeypatch.setattr(checkpoint, "_verify", lambda _checkpoint: None)
    path = newest(two) / TENSORS
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert load_latest(two).step == 2


def test_without_one_valid_checkpoint_there_is_none(two):
    for folder in two.glob("step-*"):
        (folder / MANIFEST).unlink()
    assert load_latest(two) is None


def test_the_folder_of_a_run_is_made_with_those_above_it(tmp_path):
    assert load_latest(save(tmp_path / "runs" / "d", 1).parent).step == 1


def test_the_last_two_are_kept(two):
    save(two, 3)
    assert sorted(p.name for p in two.iterdir()) == ["step-0000000002", "step-0000000003"]


def test_a_damaged_later_checkpoint_makes_room_once_the_run_has_written_another(two):
    save(two, 9)
    (two / "step-0000000009" / STATE).unlink()
    assert load_latest(two).step == 2
    save(two, 4)
    assert sorted(p.name for p in two.iterdir()) == ["step-0000000002", "step-0000000004"]


def test_a_step_that_is_written_again_replaces_the_one_that_was_there(two):
    (newest(two) / STATE).write_text("damaged")
    save(two, 2)
    assert load_latest(two).step == 2


def test_what_a_killed_write_left_is_not_read_and_goes_at_the_next_write(two):
    stale = two / ".writing-0000000003"
    shutil.copytree(newest(two), stale)
    (stale / MANIFEST).unlink()
    assert load_latest(two).step == 2
    save(two, 5)
    assert not stale.exists()


def full_disk(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_disk_in_rust(*_args, **_kwargs):
    raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")


WRITES = {
    "tensors": (safetensors.torch, "save_file", full_disk_in_rust),
    "text": (Path, "write_text", full_disk),
    "flush": (os, "fsync", full_disk),
    "rename": (Path, "rename", full_disk),
    "folder": (Path, "mkdir", full_disk),
}


@pytest.mark.parametrize("moment", WRITES)
def test_a_full_disk_leaves_nothing_half_written_and_the_checkpoint_before(
    two, moment, monkeypatch
):
    where, name, failing = WRITES[moment]
    with monkeypatch.context() as patched:
        patched.setattr(where, name, failing)
        with refused(
            CheckpointError, "step 3", str(two), "a full disk", "Free some space", "resumes"
        ):
            save(two, 3)
    assert sorted(p.name for p in two.iterdir()) == ["step-0000000001", "step-0000000002"]
    assert load_latest(two).step == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="a folder that can be written"):
        save(tmp_path / "file", 1)


def test_the_manifest_is_written_and_flushed_after_the_files_it_vouches_for(tmp_path, monkeypatch):
    events = []
    real = checkpoint._flush
    monkeypatch.setattr(checkpoint, "_flush", lambda path: (events.append(path.name), real(path)))
    save(tmp_path, 1)
    assert events == [STATE, TENSORS, MANIFEST, ".writing-0000000001", tmp_path.name]
