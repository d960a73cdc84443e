"""Hostile input for Hypothesis: a good file with parts of it in another place, of another kind, or gone."""

from __future__ import annotations

import copy
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from kdcheck.errors import KdcheckError

MOST_SECONDS = 20.0
"""Of processor time for one example: the dearest honest one takes a tenth."""
MOST_BYTES = 2**29
"""By which one example may raise the most that the process ever held."""

DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
LEAVES = [
    *(None, True, False, 0, -1, 1, 2, 10**30, 10**400, 2**63, -0.0, 0.5, 1e308, 5e-324),
    *("", "x", "0", "-1", "nan", "erm", "larger", "..", "../../up", "/etc/passwd", "a\0b", "a\nb"),
    *("\ud800", "\u202e", "<script>", "é" * 3, "x" * 70_000, [], {}, [[]], {"": {}}, DEEP),
    *(["a", "a"], [1, "1"], {"name": "kd"}, {"tasks": []}, float("nan"), float("inf")),
]
# A copy of each: a later change may go into one, and the next example is to find it as it was.
leaves = st.sampled_from(LEAVES).map(copy.deepcopy)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON values, each as the keys that lead there."""
    yield at
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, inner in inside:
        yield from places(inner, (*at, key))


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """Values with one to three places changed, taken out, doubled, or swapped for another's."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        spots = list(places(value))
        *way, key = (None, *draw(st.sampled_from(spots)))
        if key is None:
            value = draw(leaves | st.just(value))
            continue
        holder = value
        for step in way[1:]:
            holder = holder[step]
        change = draw(st.sampled_from(["put", "put", "take out", "rename", "double", "swap"]))
        _change(draw, holder, key, change, value, spots)
    return value


def _change(
    draw: st.DrawFn, holder: Any, key: Any, change: str, value: Any, spots: list[tuple[Any, ...]]
) -> None:
    if change == "take out":
        del holder[key]
    elif change == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from(["", "x", f"{key} ", str(key).upper()]))] = holder.pop(key)
    elif change == "double" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif change == "swap":
        other = value
        for step in draw(st.sampled_from(spots)):
            other = other[step]
        holder[key] = copy.deepcopy(other)
    else:
        holder[key] = draw(leaves)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Bytes with one to three stretches overwritten, cut out or put in, or of another encoding."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 1, 2, 8, 64, 4096]))
        new = draw(
            st.binary(max_size=8) | st.sampled_from([b"", b"\xff\xfe", b"\0" * 64, b"[" * 999])
        )
        content[start : start + length] = new
    return bytes(content)


def as_json(value: Any) -> bytes:
    """JSON as a stranger may write it: NaN and half characters included."""
    return json.dumps(value).encode()


def as_toml(value: Any) -> bytes:
    """TOML of a table, as far as TOML can say it; what it cannot say is left out."""
    lines = [f"{_key(key)} = {_inline(inner)}" for key, inner in value.items() if inner is not None]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _key(key: Any) -> str:
    return json.dumps(str(key))


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        inner = (f"{_key(k)} = {_inline(v)}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(each) for each in value if each is not None)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value).lower() if isinstance(value, (bool, float)) else str(value)


@contextmanager
def only_documented(outside: Path) -> Iterator[None]:
    """Around what meets hostile input: it is taken, or refused by an error of ours that can be printed.

    Nothing is written outside, and time and memory are bounded.
    """
    before, started, most = sorted(outside.iterdir()), time.process_time(), _most_bytes()
    try:
        yield
    except KdcheckError as error:
        _check_words(error)
    assert sorted(outside.iterdir()) == before, "something was written outside"
    assert time.process_time() - started < MOST_SECONDS
    assert _most_bytes() - most < MOST_BYTES


def _check_words(error: KdcheckError) -> None:
    assert all((error.who, error.got, error.wanted, error.next_step)), error
    assert len(str(error)) < 10**6
    str(error).encode()


def _most_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def sandbox() -> Iterator[tuple[Path, Path]]:
    """A folder that is given away, and the one around it, in which nothing may appear."""
    with tempfile.TemporaryDirectory(prefix="kdcheck-fuzz-") as outside:
        given = Path(outside) / "given"
        given.mkdir()
        yield given, Path(outside)


@contextmanager
def put_back(*paths: Path) -> Iterator[None]:
    """Let files be changed, and put them back: that costs less than a copy of a folder for each example."""
    before = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif path.is_symlink() or not path.is_file():  # to write into a pipe waits for a reader
                path.unlink(missing_ok=True)
            path.write_bytes(content)
