"""Parsed tasks on disk: written whole or not at all, and checked each time they are read.

A file is one line with the sha256 of the rest, then JSON. The file name carries the content
digest of the task, so a task whose content changed never meets the file of the older one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdcheck.border import json_of, read_file
from kdcheck.errors import FetchError
from kdcheck.tasks.split import SPLITS, Split
from kdcheck.tasks.task import Origin, Task


def task_path(root: Path, name: str, digest: str) -> Path:
    """Where the task of that name and content digest is kept."""
    return root / "tasks" / f"{name}-{digest[:16]}.json"


def store(task: Task, path: Path) -> None:
    """Write a task through a temporary name, so that a reader sees all of it or nothing."""
    content = {
        "name": task.name,
        "classes": task.classes,
        "text_columns": task.text_columns,
        "origin": asdict(task.origin),
        "splits": {name: _columns(task.split(name)) for name in SPLITS},
    }
    body = json.dumps(content, separators=(",", ":")).encode("ascii")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, hashlib.sha256(body).hexdigest().encode("ascii") + b"\n" + body)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        who = f"task {task.name!r}, {path}"
        got = "a full disk" if full else str(error)
        next_step = "Free some disk space, or give another --cache-dir (or KDCHECK_CACHE)."
        raise FetchError(who, got, f"room to write {len(body):,} bytes", next_step) from error


def load(path: Path, name: str, digest: str) -> Task:
    """Read a task back and check that it is what was stored, and what is wanted."""
    checksum, _, body = read_file(path).partition(b"\n")
    actual = hashlib.sha256(body).hexdigest()
    if actual.encode("ascii") != checksum:
        raise _damaged(
            path,
            name,
            f"{len(body):,} bytes with sha256 {actual[:16]}",
            checksum[:16].decode("ascii", "replace"),
        )
    try:
        task = _task_of(json_of(body))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        got = f"content that cannot be read ({type(error).__name__})"
        raise _damaged(path, name, got, digest[:16]) from error
    if task.digest != digest:
        raise _damaged(path, name, f"content digest {task.digest[:16]}", digest[:16])
    return task


def _task_of(content: Any) -> Task:
    splits = {
        split: Split(
            ids=tuple(columns["ids"]),
            texts=tuple(tuple(texts) for texts in columns["texts"]),
            labels=tuple(columns["labels"]),
        )
        for split, columns in content["splits"].items()
    }
    origin: dict[str, Any] = content["origin"]
    return Task(
        name=content["name"],
        classes=tuple(content["classes"]),
        text_columns=tuple(content["text_columns"]),
        origin=Origin(
            **origin | {part: tuple(origin.get(part, ())) for part in ("notes", "subsets")}
        ),
        **splits,
    )


def _columns(split: Split) -> dict[str, object]:
    return {"ids": split.ids, "texts": split.texts, "labels": split.labels}


def _damaged(path: Path, name: str, got: str, wanted: str) -> FetchError:
    next_step = f"The file was cut short or altered: `kdcheck data fetch {name}` replaces it."
    return FetchError(f"task {name!r}, {path}", got, f"{wanted}, as recorded", next_step)


def _write_whole(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
