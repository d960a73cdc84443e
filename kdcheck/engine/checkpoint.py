"""Checkpoints that survive a kill at any moment: safetensors and JSON, manifest last.

A checkpoint is a folder, written under a temporary name, flushed and renamed. Its manifest holds the
sha256 of each file. The loader believes nothing without a valid manifest and falls back to the
checkpoint before.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from kdcheck.errors import CheckpointError

MANIFEST, STATE, TENSORS = "manifest.json", "state.json", "tensors.safetensors"
FORMAT = 2
KEPT = 2
"""Checkpoints that are kept: the last, and the one before in case the last is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read back, and why later ones were not used."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]
    ignored: tuple[str, ...]


def save(
    folder: Path, *, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> Path:
    """Write the checkpoint of a step, tensors contiguous and on the CPU; drop all but the last two."""
    final = folder / f"step-{step:010d}"
    temporary = folder / f".writing-{step:010d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".writing-*"):  # of tries that were killed
            shutil.rmtree(stale)
        temporary.mkdir()
        safetensors.torch.save_file(dict(tensors), temporary / TENSORS)
        body = json.dumps({"step": step, "state": state}, separators=(",", ":"))
        (temporary / STATE).write_text(body, encoding="utf-8")
        files = {name: _fingerprint(temporary / name) for name in (STATE, TENSORS)}
        manifest = json.dumps({"files": files, "format": FORMAT}, separators=(",", ":"))
        for name in (STATE, TENSORS):
            _flush(temporary / name)
        (temporary / MANIFEST).write_text(manifest, encoding="utf-8")
        _flush(temporary / MANIFEST)
        _flush(temporary)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _flush(folder)
        for other in _superseded(folder, final):
            shutil.rmtree(other)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _unwritable(folder, step, error) from error
    return final


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose every byte is as its manifest says, if there is one."""
    ignored: list[str] = []
    for candidate in _found(folder):
        try:
            _verify(candidate)
            body = json.loads((candidate / STATE).read_text(encoding="utf-8"))
            tensors = safetensors.torch.load_file(candidate / TENSORS)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            ignored.append(f"{candidate.name}: {error}")
            continue
        return Checkpoint(body["step"], tensors, body["state"], tuple(ignored))
    return None


def _found(folder: Path) -> list[Path]:
    """Checkpoints by name, the newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _superseded(folder: Path, newest: Path) -> list[Path]:
    """All but the last two; later ones were damaged, or the run would have resumed from them."""
    found = _found(folder)
    rank = found.index(newest)
    return [*found[:rank], *found[rank + KEPT :]]


def _verify(checkpoint: Path) -> None:
    manifest = json.loads((checkpoint / MANIFEST).read_bytes())
    if manifest["format"] != FORMAT or set(manifest["files"]) != {STATE, TENSORS}:
        raise ValueError(f"{MANIFEST} is damaged or of another format")
    for name, wanted in manifest["files"].items():
        if _fingerprint(checkpoint / name) != wanted:
            raise ValueError(f"{name} does not have the sha256 that {MANIFEST} gives")


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder: Path, step: int, error: Exception) -> CheckpointError:
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    return CheckpointError(
        f"checkpoint of step {step} in {folder}",
        "a full disk" if full else str(error),
        "a folder that can be written",
        "Free some space or choose another folder, then start again: the run resumes from the "
        "checkpoint before, which is untouched.",
    )
