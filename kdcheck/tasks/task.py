"""What a task is: K classes, three splits that were checked, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from kdcheck.errors import TaskError
from kdcheck.tasks.content import content_order
from kdcheck.tasks.examples import check_split, check_unique_ids
from kdcheck.tasks.split import SPLITS, Split, sha256_of_json


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the examples come from and on what terms."""

    source: str
    """The file, package or hub name that was read."""
    licence: str
    """Licence or terms, as far as they are stated."""
    citation: str
    """What to cite."""
    notes: tuple[str, ...] = ()
    """What was done to the rows and what a reader of a result has to know."""
    unpinned: str = ""
    """Why nothing says that the files are those that were published, a sentence; empty if something does."""
    subsets: tuple[str, ...] = ()
    """Splits that were read with other rows than were published, as ``train: 3 of 10 rows``."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set with K classes, its text columns and its train / validation / test split.

    Every example is checked when a task is made: text that is not empty, a label from 0 to K - 1,
    an id of its own.
    """

    name: str
    classes: tuple[str, ...]
    text_columns: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    origin: Origin

    def __post_init__(self) -> None:
        who = f"task {self.name!r}"
        for what, names in (("class", self.classes), ("text column", self.text_columns)):
            if len(set(names)) != len(names):
                raise TaskError(
                    who, f"{what} names {names}", "each once", "Rename the repeated one."
                )
        if len(self.classes) < 2 or len(self.text_columns) not in {1, 2}:
            got = f"{len(self.classes)} classes and {len(self.text_columns)} text columns"
            next_step = "An encoder reads one text or a pair; put further columns into one of them."
            raise TaskError(who, got, "at least 2 classes and 1 or 2 text columns", next_step)
        for name in SPLITS:
            check_split(
                self.split(name),
                who=f"{who}, {name}",
                classes=self.classes,
                text_columns=self.text_columns,
            )
        check_unique_ids(who, [example for name in SPLITS for example in self.split(name).ids])

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return len(self.classes)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of the content: class names and the three splits. Names and notes are not in it."""
        return sha256_of_json([self.classes, *(self.split(name).digest for name in SPLITS)])

    def split(self, name: str) -> Split:
        """A split by name."""
        if name not in SPLITS:
            wanted = "one of " + ", ".join(SPLITS)
            raise TaskError(f"task {self.name!r}", f"split {name!r}", wanted, "Check the name.")
        split: Split = getattr(self, name)
        return split

    def check_sizes(self, sizes: Mapping[str, int | None]) -> None:
        """Refuse a cut of no rows, or of more than a split has; none means all."""
        for name, size in sizes.items():
            available = len(self.split(name))
            if size is not None and not 1 <= size <= available:
                who = f"task {self.name!r}, subset of {name}"
                wanted, next_step = f"1 to {available}", "Ask for no more than there is."
                raise TaskError(who, f"size {size}", wanted, next_step)

    def subset(
        self,
        *,
        train: int | None = None,
        validation: int | None = None,
        test: int | None = None,
        seed: int = 0,
    ) -> Task:
        """A smaller task: a pure function of seed and content, recorded by its digest.

        Which rows are kept depends on the seed and their texts, not on their order or number, so
        that a smaller subset lies within a larger one of the same seed. Order is kept.
        """
        parts: dict[str, Split] = {}
        notes = list(self.origin.notes)
        sizes = {"train": train, "validation": validation, "test": test}
        self.check_sizes(sizes)
        for name, size in sizes.items():
            whole = self.split(name)
            if size is None or size == len(whole):
                continue
            parts[name] = whole.take(sorted(content_order(whole, seed)[:size]))
            notes.append(f"{name}: a subset, {size:,} of {len(whole):,} rows (seed {seed})")
        if not parts:
            return self
        return replace(
            self,
            train=parts.get("train", self.train),
            validation=parts.get("validation", self.validation),
            test=parts.get("test", self.test),
            origin=replace(self.origin, notes=tuple(notes)),
        )
