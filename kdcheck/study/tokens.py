"""Tokens of a whole task on disk: made by whichever process needs them first, read by all others.

A file holds what one tokenizer makes of one content at one length, and is named by a digest of these
three. It appears whole or not at all; one that cannot be read is made anew.
"""

# Shapes: N examples of a split.

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from filelock import FileLock

from kdcheck.encoders import Encoder, Tokenized
from kdcheck.tasks import SPLITS, Task

PARTS = ("ids", "types", "lengths", "truncated")


def tokens_of(
    task: Task, encoder: Encoder, max_length: int, folder: Path
) -> Mapping[str, Tokenized]:
    """Every split of a task, tokenised once for all processes that share the folder."""
    facts = [task.digest, encoder.tokenizer_digest, max_length, tokenizers.__version__]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    path = folder / f"{digest[:32]}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # others wait here while one makes them
        if (found := _read(path)) is None:
            found = {n: encoder.tokenize(task.split(n).texts, max_length) for n in SPLITS}
            with suppress(OSError):  # a full disk costs the others their time, and this one nothing
                _write(path, found)
    return found


def _write(path: Path, tokenized: Mapping[str, Tokenized]) -> None:
    arrays: dict[str, Any] = {}
    for name, part in tokenized.items():
        ids, types, _ = part.end_to_end
        flat = (ids, types.astype(np.uint8), part.lengths.astype(np.int32), part.truncated)
        arrays |= {f"{name}_{kind}": each for kind, each in zip(PARTS, flat, strict=True)}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Tokenized] | None:
    """What was written, or nothing where it is not there or, by its checksums, damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: _tokenized(*(arrays[f"{name}_{k}"] for k in PARTS)) for name in SPLITS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _tokenized(
    ids: npt.NDArray[Any],
    types: npt.NDArray[Any],
    lengths_N: npt.NDArray[Any],
    truncated_N: npt.NDArray[Any],
) -> Tokenized:
    cuts = np.cumsum(lengths_N[:-1])
    ids_of, types_of = (tuple(np.split(each, cuts)) for each in (ids, types.astype(np.int32)))
    return Tokenized(ids_of, types_of, truncated_N)
