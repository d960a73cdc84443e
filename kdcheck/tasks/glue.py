"""The paper's four tasks and its splits of them (Appendix A.1, Table 6), from any source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kdcheck import pins
from kdcheck.errors import TaskError
from kdcheck.tasks.columns import Layout
from kdcheck.tasks.content import cut, overlap
from kdcheck.tasks.hub import REPOSITORY
from kdcheck.tasks.split import SPLITS, Split
from kdcheck.tasks.task import Origin, Task

CUT_SEED = 0
"""Seed of the cut of train. The paper does not give its own, so its very rows cannot be had."""


class Source(Protocol):
    """What a source of GLUE files must do; see folder.py and hub.py."""

    def read(self, layout: Layout, split: str) -> Split:
        """The published split of that name, checked."""
        ...

    def check(self, name: str) -> str:
        """Refuse changed files; a sentence on why those of a task are unpinned, if they are."""
        ...

    def describe(self, name: str) -> str:
        """One line for :class:`~kdcheck.tasks.task.Origin`."""
        ...


@dataclass(frozen=True, kw_only=True)
class GlueTask:
    """One of the four, with the paper's rule for its splits."""

    layout: Layout
    published: Mapping[str, int]
    """Our split -> rows of the published split it is read from."""
    read_from: Mapping[str, str]
    """Our split -> name of the published split."""
    cut_into: str | None
    """Our split that is cut from the published train, if any."""
    cut_rows: int
    tokens: Mapping[str, float]
    """Our split -> mean tokens of a row in BERT's uncased vocabulary, special ones included, at most
    128: counted on whole splits, of QNLI's train on 28,657 rows and of MNLI's on 28,502."""
    licence: str
    citation: str

    @property
    def sizes(self) -> dict[str, int]:
        """Rows per split as in Table 6."""
        sizes = {**self.published, "train": self.published["train"] - self.cut_rows}
        if self.cut_into:
            sizes[self.cut_into] = self.cut_rows
        return {name: sizes[name] for name in SPLITS}


_SAME = {name: name for name in SPLITS}
_GLUE_PAPER = "Wang et al., 2019 (GLUE)"

GLUE: Mapping[str, GlueTask] = {
    "mrpc": GlueTask(
        layout=Layout(
            name="mrpc",
            text_columns=("sentence1", "sentence2"),
            classes=("not_equivalent", "equivalent"),
        ),
        published={"train": 3_668, "validation": 408, "test": 1_725},
        read_from=_SAME,
        cut_into=None,
        cut_rows=0,
        tokens={"train": 53.24, "validation": 53.24, "test": 52.98},
        licence="Microsoft Research Paraphrase Corpus, its own terms; commonly taken as research use",
        citation=f"Dolan and Brockett, 2005; {_GLUE_PAPER}",
    ),
    "qnli": GlueTask(
        layout=Layout(
            name="qnli",
            text_columns=("question", "sentence"),
            classes=("entailment", "not_entailment"),
        ),
        published={"train": 104_743, "test": 5_463},
        read_from={"train": "train", "test": "validation"},
        cut_into="validation",
        cut_rows=5_000,
        tokens={"train": 49.22, "validation": 49.22, "test": 50.97},
        licence="CC BY-SA 4.0 (SQuAD 1.1, from which GLUE made it)",
        citation=f"Rajpurkar et al., 2016; {_GLUE_PAPER}",
    ),
    "sst2": GlueTask(
        layout=Layout(name="sst2", text_columns=("sentence",), classes=("negative", "positive")),
        published={"train": 67_349, "validation": 872},
        read_from={"train": "train", "validation": "validation"},
        cut_into="test",
        cut_rows=1_800,
        tokens={"train": 13.32, "validation": 25.16, "test": 13.35},
        licence="none stated (Stanford Sentiment Treebank, sentences from Rotten Tomatoes reviews)",
        citation=f"Socher et al., 2013; Pang and Lee, 2005; {_GLUE_PAPER}",
    ),
    "mnli": GlueTask(
        layout=Layout(
            name="mnli",
            text_columns=("premise", "hypothesis"),
            classes=("entailment", "neutral", "contradiction"),
        ),
        published={"train": 392_702, "test": 9_815},
        read_from={"train": "train", "test": "validation_matched"},
        cut_into="validation",
        cut_rows=9_815,
        tokens={"train": 39.91, "validation": 39.91, "test": 39.05},
        licence="mostly OANC; fiction parts CC BY 3.0, CC BY-SA 3.0 or public domain (MultiNLI)",
        citation=f"Williams et al., 2018; {_GLUE_PAPER}",
    ),
}


def assemble(glue: GlueTask, source: Source) -> Task:
    """Read the published splits from a source and cut them as the paper does.

    A train split smaller than GLUE's is used as the subset it is, and the notes say so. The cut
    has the paper's size as long as train keeps at least as many rows; of a smaller file the
    paper's share is cut.
    """
    layout = glue.layout
    unpinned = source.check(layout.name)
    parts = {ours: source.read(layout, theirs) for ours, theirs in glue.read_from.items()}
    found = {ours: (len(parts[ours]), rows) for ours, rows in glue.published.items()}
    smaller = {
        ours: f"{here:,} of {rows:,} rows" for ours, (here, rows) in found.items() if here != rows
    }
    notes = [
        f"{ours}: a subset, {share}; results do not compare with the full set"
        for ours, share in smaller.items()
    ]
    if glue.cut_into:
        size = _cut_size(glue, len(parts["train"]))
        parts["train"], parts[glue.cut_into] = cut(parts["train"], size, CUT_SEED)
        notes.append(f"{glue.cut_into}: {size:,} rows cut from train by content, seed {CUT_SEED}")
    notes += _overlap_notes(parts)
    return Task(
        name=layout.name,
        classes=layout.classes,
        text_columns=layout.text_columns,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        origin=Origin(
            source=source.describe(layout.name),
            licence=glue.licence,
            citation=glue.citation,
            notes=tuple(filter(None, (*notes, unpinned))),
            unpinned=unpinned,
            subsets=tuple(f"{ours}: {share}" for ours, share in smaller.items()),
        ),
    )


def fetch(name: str, data_dir: Path, *, pin: bool = False) -> pins.Pin:
    """Bring the files of a task from the hub into a folder, for a machine without a network.

    Raises:
        FetchError: the hub cannot be reached, or serves other content than is pinned.
    """
    published = dict.fromkeys(GLUE[name].read_from.values())
    files = {f"{split}.parquet": f"{name}/{split}-*.parquet" for split in published}
    return pins.fetch(name, REPOSITORY, "dataset", files, data_dir / name, pin=pin)


def _cut_size(glue: GlueTask, rows: int) -> int:
    if rows >= 2 * glue.cut_rows:
        return glue.cut_rows
    if rows < 2:
        who = f"task {glue.layout.name!r}"
        wanted = f"enough rows to cut {glue.cut_into} from it"
        raise TaskError(who, f"{rows} row in train", wanted, "Use a larger file.")
    return max(1, round(rows * glue.cut_rows / glue.published["train"]))


def _overlap_notes(parts: Mapping[str, Split]) -> list[str]:
    """The paper drops no repeats, and its sizes hold only if we drop none: so count and say."""
    counts = {name: overlap(parts["train"], parts[name]) for name in ("validation", "test")}
    return [
        f"rows of train whose text is also in {name}: {count:,} (kept, as in the paper)"
        for name, count in counts.items()
        if count
    ]
