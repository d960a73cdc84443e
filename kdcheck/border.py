"""The border: files that come from outside, of bounded size and depth, and none of them special.

Whatever is refused here raises an OSError (the file) or a ValueError (what is in it), whose message ends
the "got" of the error in which a caller names the file, what it wanted and the next step.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tomllib
from datetime import date, time
from pathlib import Path, PurePosixPath
from typing import Any

MEGABYTE = 2**20
MOST_BYTES = 1024 * MEGABYTE
"""Of any one file. All logits that a run leaves of a million texts are a tenth of that."""
MOST_TEXT = 64 * MEGABYTE
"""Of a file of JSON; the largest that kdcheck writes has a hundredth of that."""
MOST_TOML = MEGABYTE
"""Of a file that a person writes."""
MOST_DEPTH = 64
"""Of tables within tables: a third of what Python reads before it gives up."""


def read_file(path: Path, *, limit: int = MOST_BYTES) -> bytes:
    """Content of an ordinary file: a pipe would wait for ever, and a device may have no end.

    Raises:
        OSError: it cannot be read, is no ordinary file, or is larger than the limit.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path.name} is a pipe, socket or device, not a file")
        content = file.read(limit + 1)  # a size that the system tells may be wrong by now
    if len(content) > limit:
        raise OSError(f"{path.name} has more than {limit // MEGABYTE} MiB")
    return content


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe may have no writer, ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_inside(folder: Path, name: str, *, limit: int = MOST_BYTES) -> bytes:
    """Content of a file in a folder that a stranger made: no link on the way to it is followed.

    Raises:
        OSError: as :func:`read_file` says, or a part of the name is a link.
    """
    path = folder
    for part in PurePosixPath(name).parts:
        path /= part
        if path.is_symlink():
            raise OSError(f"{name} is reached by a link, {part}")
    return read_file(path, limit=limit)


def json_of(content: bytes) -> Any:
    """Values of strict JSON in UTF-8.

    Raises:
        ValueError: it is none, goes too deep, or has a key twice or a number that is not finite.

    >>> json_of(b'{"margin": NaN}')
    Traceback (most recent call last):
        ...
    ValueError: the number nan, where finite ones are read
    """
    try:
        values = json.loads(content, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(values)
    return values


def toml_of(content: bytes) -> dict[str, Any]:
    """Values of TOML in UTF-8, which are those that JSON has too: no dates.

    Raises:
        ValueError: it is none, goes too deep, or has a date or a number that is not finite.

    >>> toml_of(b"alpha = 1979-05-27")
    Traceback (most recent call last):
        ...
    ValueError: the date 1979-05-27, where text, numbers, lists and tables are read
    """
    try:
        values = tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(values)
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Values of a file that a person wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: its content is not what :func:`toml_of` reads.
    """
    return toml_of(read_file(path, limit=MOST_TOML))


_TOO_DEEP = f"lists or tables within each other, more than {MOST_DEPTH} deep"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):  # two readers could take two different ones
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} twice")
    return values


def _check(values: Any) -> None:
    """Refuse what goes deeper than later steps can follow, and what no text file can hold again."""
    level = [values]
    for _ in range(MOST_DEPTH):
        inner: list[Any] = []
        # One loop, no call for each value: a study is read with a million of them.
        for value in level:
            if isinstance(value, str):
                if not value.isascii():
                    value.encode()  # half a surrogate pair is a UnicodeEncodeError, a ValueError
            elif isinstance(value, float):
                if not math.isfinite(value):
                    raise ValueError(f"the number {value}, where finite ones are read")
            elif isinstance(value, dict):
                inner += value
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, (date, time)):
                got = f"the date {value}, where text, numbers, lists and tables are read"
                raise ValueError(got)  # noqa: TRY004 - it is what the file holds
        if not inner:
            return
        level = inner
    raise ValueError(_TOO_DEEP)
