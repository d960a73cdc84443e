"""The report as Markdown, for pull requests and terminals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kdcheck.evidence.board import EXPLAINED, board, heading, headline, mark, shared
from kdcheck.report import wording
from kdcheck.report.reproduce import commands

Record = Mapping[str, Any]


def markdown(record: Record) -> str:
    """What was learned, the board, a paragraph per claim, the finished models, deviations, cost."""
    summary = (
        f"{headline(record['claims'])} {len(record['seeds'])} seeds, "
        f"{record['cost']['runs']} trainings, kdcheck {record['kdcheck']}."
    )
    tasks = wording.listed([wording.task(task) for task in record["tasks"]])
    drawn = "; each seed draws its own training rows" if wording.rows_are_drawn(record) else ""
    blocks = [
        f"# Verdicts at {plain(record['scale'])} scale",
        plain(summary),
        plain(f"Tasks: {tasks}{drawn}."),
        *_boards(record["claims"]),
        "## Claims",
        *(block for claim in record["claims"] for block in _claim(record, claim)),
        "## Finished models",
        "Mean ± standard deviation over seeds; the paper's figure in brackets.",
        *_finals(record),
        *(["## Rows", bullets(wording.rows_said(record))] if wording.rows_said(record) else []),
        "## Deviations from the paper",
        bullets(record["deviations"]) or "None recorded.",
        *(["## Notes of runs", bullets(record["notes"])] if record["notes"] else []),
        "## Reproduce",
        *(f"{why}\n\n    {command}" for why, command in commands(record)),
    ]
    return "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """Text in which Markdown sees no mark-up and no cell border."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", " ".join(safe.split()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, all but its first column set to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def bullets(texts: Iterable[str]) -> str:
    """A list of texts, marks in them made harmless."""
    return "\n".join(f"- {plain(text)}" for text in texts)


def _boards(claims: Sequence[Record]) -> Iterator[str]:
    """One board of what was registered and one of what was not, theme by theme."""
    themes = board(claims)
    for standing in dict.fromkeys(theme.standing for theme in themes):
        own = [theme for theme in themes if theme.standing == standing]
        rows = [row for theme in own for row in theme.rows]
        common = shared(rows)
        yield f"## {plain(heading(standing, rows))}"
        if common:
            yield bullets(common)
        for theme in own:
            yield f"### {plain(theme.name or 'Without a theme')}"
            yield _verdicts(theme.rows)
            notes = bullets(text for row in theme.rows for text in _notes(row, common))
            if notes:
                yield notes


def _verdicts(claims: Iterable[Record]) -> str:
    head = ("claim", "verdict", "effect", "95 % interval", "seeds", "tasks as claimed", "id")
    rows = [
        (
            f"{'↳ ' * claim['depth']}{plain(claim['says'])}",
            _word(claim),
            plain(wording.effect(claim["effect"], claim["unit"])),
            plain(wording.interval(claim["interval"])),
            str(claim["seeds"]),
            f"{claim['tasks_as_claimed']} of {claim['task_count']}",
            plain(claim["id"]),
        )
        for claim in claims
    ]
    return table(head, rows)


def _word(claim: Record) -> str:
    return f"{wording.SIGNS[claim['word']]} {plain(claim['word'])} {mark(claim)}".rstrip()


def _notes(claim: Record, common: Iterable[str]) -> list[str]:
    notes = [claim["reason"]] if claim["word"] in EXPLAINED else []
    beside = [each for each in claim["rests_on"] if each != claim["under"]]
    notes += [f"Rests on {wording.listed(beside)}."] if beside else []
    notes += [f"{mark(claim)}: {text}" for text in claim["exploratory"] if text not in common]
    return [f"{claim['id']}: {text}" for text in notes]


def _claim(record: Record, claim: Record) -> list[str]:
    standing = f", {mark(claim)}" if mark(claim) else ""
    verdict = (
        f"**{plain(claim['word'])}{standing}** ({plain(claim['id'])}; {plain(claim['where'])}). "
        f"{plain(claim['reason'])}"
    )
    lines = [f"### {plain(claim['says'])}", verdict]
    if claim["exploratory"]:
        lines.append(bullets(claim["exploratory"]))
    if claim["rests_on"]:
        lines.append(plain(f"Rests on {wording.listed(claim['rests_on'])}."))
    if claim["tasks"]:
        rows = [
            (
                plain(wording.marked(record, task["name"])),
                wording.effect(task["effect"]),
                plain(wording.interval(task["interval"])),
                " ".join(wording.effect(seed["effect"]) for seed in task["per_seed"]),
            )
            for task in claim["tasks"]
        ]
        unit = f"effect, {plain(claim['unit'])}" if claim["unit"] else "effect"
        lines.append(table(("task", unit, "95 % interval", "by seed"), rows))
    criterion = f"Must show: {wording.criterion(claim)}, because {claim['because']}."
    lines.append(plain(criterion))
    if claim["paper"]:
        lines.append(plain(f"In the paper: {wording.in_paper(claim)}."))
    return lines


def _finals(record: Record) -> list[str]:
    cells = {(f["arm"], f["task"], f["metric"]): f for f in record["finals"]}
    names = [task["name"] for task in record["tasks"]]
    blocks = []
    for metric in record["metrics"]:
        rows = [
            (
                f"{plain(arm['label'])} ({arm['size']})",
                *(_final(record, cells.get((arm["key"], name, metric))) for name in names),
            )
            for arm in record["arms"]
        ]
        heads = (plain(wording.marked(record, name)) for name in names)
        blocks.append(table((f"test {wording.metric(metric)}", *heads), rows))
    return blocks


def _final(record: Record, cell: Record | None) -> str:
    if cell is None:
        return "–"
    shown = wording.spread(cell["metric"], cell["mean"], cell["sd"])
    marks = wording.marks_in_cell(record, cell)
    mark = f" {plain(f'[{marks}]')}" if marks else ""
    paper = f" ({plain(cell['paper']['printed'])})" if cell["paper"] else ""
    return f"{shown}{mark}{paper}"
