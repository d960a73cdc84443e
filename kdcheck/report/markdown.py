"""The report as Markdown, for pull requests and terminals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdcheck.report import wording
from kdcheck.report.reproduce import commands

Record = Mapping[str, Any]


def markdown(record: Record) -> str:
    """The verdict table, a paragraph per claim, the finished models, deviations and cost."""
    summary = (
        f"{wording.tally(record['counts'])}; {len(record['seeds'])} seeds, "
        f"{record['cost']['runs']} trainings, kdcheck {record['kdcheck']}."
    )
    blocks = [
        f"# Verdicts at {plain(record['scale'])} scale",
        summary,
        _verdicts(record["claims"]),
        "## Claims",
        *(block for claim in record["claims"] for block in _claim(claim)),
        "## Finished models",
        "Mean ± standard deviation over seeds; the paper's figure in brackets.",
        *_finals(record),
        "## Deviations from the paper",
        _bullets(record["deviations"]) or "None recorded.",
        *(["## Notes of runs", _bullets(record["notes"])] if record["notes"] else []),
        "## Reproduce",
        *(f"{why}\n\n    {command}" for why, command in commands(record)),
    ]
    return "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """Text in which Markdown sees no mark-up and no cell border."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", " ".join(safe.split()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {plain(text)}" for text in texts)


def _verdicts(claims: Iterable[Record]) -> str:
    head = ("claim", "verdict", "effect", "95 % interval", "seeds", "tasks as claimed")
    rows = [
        (
            plain(claim["id"]),
            f"{wording.SIGNS[claim['word']]} {plain(claim['word'])}",
            plain(wording.effect(claim["effect"], claim["unit"])),
            plain(wording.interval(claim["interval"])),
            str(claim["seeds"]),
            f"{claim['tasks_as_claimed']} of {len(claim['tasks'])}",
        )
        for claim in claims
    ]
    return _table(head, rows)


def _claim(claim: Record) -> list[str]:
    verdict = (
        f"**{plain(claim['word'])}** ({plain(claim['id'])}; {plain(claim['where'])}). "
        f"{plain(claim['reason'])}"
    )
    lines = [f"### {plain(claim['says'])}", verdict]
    if claim["tasks"]:
        rows = [
            (
                plain(task["name"]),
                wording.effect(task["effect"]),
                plain(wording.interval(task["interval"])),
                " ".join(wording.effect(seed["effect"]) for seed in task["per_seed"]),
            )
            for task in claim["tasks"]
        ]
        unit = f"effect, {plain(claim['unit'])}" if claim["unit"] else "effect"
        lines.append(_table(("task", unit, "95 % interval", "by seed"), rows))
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
                *(_final(metric, cells.get((arm["key"], name, metric))) for name in names),
            )
            for arm in record["arms"]
        ]
        blocks.append(_table((f"test {wording.metric(metric)}", *map(plain, names)), rows))
    return blocks


def _final(metric: str, cell: Record | None) -> str:
    if cell is None:
        return "–"
    paper = f" ({plain(cell['paper']['printed'])})" if cell["paper"] else ""
    return wording.spread(metric, cell["mean"], cell["sd"]) + paper
