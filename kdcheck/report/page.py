"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from kdcheck.evidence.board import (
    CONFIRMATORY,
    EXPLORATORY,
    REHEARSAL,
    WORDS,
    headline,
)
from kdcheck.report import wording
from kdcheck.report.cards import badge, card
from kdcheck.report.curves import figures
from kdcheck.report.finished import tables
from kdcheck.report.markup import Markup, tag
from kdcheck.report.reproduce import commands
from kdcheck.report.themes import boards

Record = Mapping[str, Any]
# The page may run and show what it brings and load nothing at all, whatever slips into a text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
SECTIONS = {
    "verdicts": "Verdicts",
    "claims": "Claims",
    "curves": "Curves",
    "tables": "Tables",
    "deviations": "Deviations",
    "runs": "Runs and cost",
    "reproduce": "Reproduce",
}


def html(record: Record) -> str:
    """The whole page.

    Args:
        record: from :func:`kdcheck.report.build`.

    Returns:
        HTML that refers to nothing outside itself.

    Source: docs/guides/report.md.

    >>> from kdcheck.report import schema
    >>> from kdcheck.verdict import Word
    >>> counts = {"CONFIRMATORY": dict.fromkeys(Word, 0)}
    >>> record = dict.fromkeys(schema()["required"], []) | {
    ...     "scale": "mini", "counts": counts, "paper": {"name": "own", "title": "T"},
    ...     "tasks": [{"name": "a", "classes": 2, "train_rows": None, "test_rows": 9, "packaged": True,
    ...                "on_hub": False, "rows": None, "marks": {}}],
    ...     "seeds": [0],
    ...     "cost": {"runs": 1, "seconds": 2.5, "steps": 3, "train_tokens": 4}, "environment": {}}
    >>> "<title>kdcheck: 0 of 0 claims decided, EXPLORATORY at mini scale</title>" in html(record)
    True
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"kdcheck: {_learned(record)[0]} at {record['scale']} scale"),
        tag("style", Markup(_shipped("style.css"))),
    )
    body = tag(
        "body",
        tag("a", "Skip to the verdicts", href="#verdicts", class_="skip"),
        _masthead(record),
        tag("main", _board(record), _cards(record), _curves(record), _tables(record),
            _deviations(record), _runs(record), _reproduce(record)),
        tag("footer", tag("p", f"Written by kdcheck {record['kdcheck']}."), class_="quiet"),
        tag("script", Markup(_shipped("script.js"))),
    )  # fmt: skip
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _shipped(name: str) -> str:
    return (resources.files("kdcheck.report") / name).read_text(encoding="utf-8")


def _section(name: str, *children: object, lead: str | None = None) -> Markup:
    heading = tag("h2", SECTIONS[name])
    return tag("section", heading, tag("p", lead, class_="lead") if lead else None, children,
               id=name, aria_label=SECTIONS[name])  # fmt: skip


def _masthead(record: Record) -> Markup:
    links = [tag("a", title, href=f"#{name}") for name, title in SECTIONS.items()]
    learned, lead = _learned(record)
    of_what = f"“{record['paper']['title']}”, at {record['scale']} scale"
    return tag(
        "header",
        tag("nav", tag("strong", "kdcheck"), links, aria_label="Sections"),
        tag("p", of_what, class_="eyebrow"),
        tag("h1", learned),
        tag("p", lead, class_="lead"),
        _proportions(record),
        _facts(record),
        class_="masthead",
    )


def _learned(record: Record) -> tuple[str, str]:
    """What was learned, in a heading, and the rest of that sentence."""
    decided, _, rest = headline(record["claims"]).partition(" decided")
    counts = record["counts"]
    rehearsed = any(counts.get(REHEARSAL, {}).values())
    other = REHEARSAL if rehearsed else EXPLORATORY
    standing = "" if any(counts[CONFIRMATORY].values()) else f", {other}"
    return f"{decided} decided{standing}", rest.lstrip(":; ")


def _proportions(record: Record) -> list[Markup]:
    """Per standing a bar, the registered one first."""
    bars = []
    for standing, counts in record["counts"].items():
        parts = [
            tag("span", count, class_=word.lower(), style=f"flex-grow:{count}",
                title=f"{count} {wording.plain_word(word)}, {standing.lower()}")
            for word, count in counts.items()
            if count
        ]  # fmt: skip
        name = f"proportions {standing.lower()}"
        bars += [tag("p", parts, class_=name, aria_hidden="true")] if parts else []
    return bars


def _facts(record: Record) -> Markup:
    cost = record["cost"]
    facts = {
        "tasks": wording.listed([wording.task(task) for task in record["tasks"]]),
        "seeds": wording.listed([str(seed) for seed in record["seeds"]]),
        "trainings": f"{cost['runs']:,}",
        "time in training": wording.seconds(cost["seconds"]),
    }
    if wording.rows_are_drawn(record):
        facts["training rows"] = "each seed draws its own"
    pairs = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()]
    return tag("dl", pairs, class_="facts")


def _board(record: Record) -> Markup:
    return _section("verdicts", _filters(record), boards(record), _how_to_read(record))


def _filters(record: Record) -> Markup:
    """Shown by the script, since they do nothing without it."""
    everything = tag("button", f"All {len(record['claims'])}", type="button", data_filter="",
                     aria_pressed="true")  # fmt: skip
    buttons = [
        tag("button", f"{wording.plain_word(word)} {count}", type="button", data_filter=word,
            aria_pressed="false", class_=word.lower())
        for word in WORDS
        if (count := sum(counts[word] for counts in record["counts"].values()))
    ]  # fmt: skip
    search = tag("input", type="search", placeholder="Find a claim", aria_label="Find a claim")
    status = tag("span", role="status", class_="quiet")
    return tag("div", everything, buttons, search, status, class_="filters", hidden=True)


def _how_to_read(record: Record) -> Markup:
    rows = [
        (tag("dt", badge(word)), tag("dd", meaning)) for word, meaning in wording.MEANINGS.items()
    ]
    rows += [
        (tag("dt", tag("span", word, class_="word")), tag("dd", meaning))
        for word, meaning in wording.STANDING_MEANINGS.items()
    ]
    rule = (
        "The unit of replication is one seed of the whole pipeline, teacher included. The lock "
        "registers claims, margins and looks before the first run; all claims of a family are judged "
        "together, so that the chance of any false SUPPORTED, of any false REFUTED and of any false "
        "EQUIVALENT is at most 2.5 % each. Intervals are estimates and pay no such price. Every "
        f"verdict holds at {record['scale']} scale alone."
    )
    return tag("details", tag("summary", "How to read a verdict"), tag("p", rule), tag("dl", rows),
               class_="how")  # fmt: skip


def _cards(record: Record) -> Markup:
    cards = [card(record, claim, _common_deviations(record)) for claim in record["claims"]]
    key = (
        "In each picture, point and line are mean and 95 % interval on a task, small dots its "
        "seeds, and the diamond the effect on which the claim turns. The grey band holds effects "
        "too small to matter; the claim must pass the dashed line."
    )
    return _section("claims", tag("div", cards, class_="cards"), lead=key)


def _common_deviations(record: Record) -> list[str]:
    return [
        text
        for text in record["deviations"]
        if all(text in claim["deviations"] for claim in record["claims"])
    ]


def _curves(record: Record) -> Markup | None:
    drawn = figures(record)
    return _section("curves", drawn) if drawn else None


def _tables(record: Record) -> Markup:
    lead = "Mean ± standard deviation over seeds. Point at a figure for its seeds."
    printed = [cell["paper"] for cell in record["finals"] if cell["paper"]]
    if printed:
        lead += " The paper's figures stand beside ours; they come from one seed each."
    if any(cell["comparison"] for cell in printed):
        lead += (
            " Below them, where one more seed of ours would fall (95 %), and whether the figure agrees "
            "with that."
        )
    return _section("tables", tables(record), lead=lead)


def _deviations(record: Record) -> Markup:
    lead = "Where this evidence departs from the paper; every verdict is subject to it."
    items = [tag("li", text) for text in record["deviations"]]
    listed = tag("ul", items) if items else tag("p", "None recorded.")
    notes = [tag("li", text) for text in record["notes"]]
    rows = [tag("li", text) for text in wording.rows_said(record)]
    return _section(
        "deviations", listed, tag("h3", "Rows") if rows else None,
        tag("ul", rows) if rows else None, tag("h3", "Notes of runs") if notes else None,
        tag("ul", notes) if notes else None, lead=lead,
    )  # fmt: skip


def _runs(record: Record) -> Markup:
    cost = record["cost"]
    values = {
        "trainings": f"{cost['runs']:,}",
        "time in training": wording.seconds(cost["seconds"]),
        "steps": f"{cost['steps']:,}",
        "tokens trained on": f"{cost['train_tokens']:,}",
        **{name: ", ".join(found) for name, found in record["environment"].items()},
    }
    pairs = [
        (tag("dt", name.replace("_", " ")), tag("dd", value)) for name, value in values.items()
    ]
    return _section("runs", tag("dl", pairs, class_="pairs"))


def _reproduce(record: Record) -> Markup:
    steps = [
        (tag("p", why), tag("pre", tag("code", command), tabindex="0"))
        for why, command in commands(record)
    ]
    return _section("reproduce", steps)
