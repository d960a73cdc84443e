"""The record of a report: plain JSON values, described by ``schema.json``; every format shows it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import kdcheck
from kdcheck.claims import Arm, Paper
from kdcheck.encoders import HUB_NAMES, PACKAGED_ENCODERS
from kdcheck.errors import InputError
from kdcheck.evidence.board import REHEARSAL, STANDINGS, WORDS, board
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.source import EvidenceSource
from kdcheck.report.claim_entry import claim_entry
from kdcheck.report.paper_tables import paper_tables
from kdcheck.report.reproduce import REHEARSAL_OF
from kdcheck.report.run_summary import RunSummary, collect
from kdcheck.report.series import Cells, curves, finals, metrics_shown
from kdcheck.tasks.corpora import PACKAGED
from kdcheck.tasks.glue import GLUE
from kdcheck.verdict.words import REHEARSED

COUNTED = ("steps", "train_tokens")
FORMAT = 4
"""Version of the record; raised when a field changes its meaning or goes."""


def build(claims: Sequence[Judged], source: EvidenceSource) -> dict[str, Any]:
    """The record from which the page, the Markdown and the badge are made.

    Args:
        claims: judged claims of one paper and one scale, at least one.
        source: where the runs are that they rest on.

    Returns:
        JSON values as ``schema.json`` describes them. It holds no date and no path, so the same
        evidence gives the same record.

    Raises:
        InputError: no claim, or claims of several papers or scales.
        EvidenceError: a run is missing or damaged.

    Source: docs/guides/report.md.

    >>> build([], source=None)
    Traceback (most recent call last):
        ...
    kdcheck.errors.InputError: report: got no judged claim; wanted judged claims of one paper and \
one scale. Run pytest claims/ first, or name another store.
    """
    asked = sorted(claims, key=lambda each: each.claim.id)
    _check_one_family(asked)
    paper, scale = asked[0].claim.paper, asked[0].scale
    digests = {digest for each in asked for digest in each.table.digests()}
    shown = metrics_shown(paper)
    runs = collect(digests, source, shown)
    cells, notes = _cells(asked, runs, paper)
    themes = board(claim_entry(each, runs) for each in asked)
    tasks, drawn = _tasks(asked, cells), curves(cells)
    record = {
        "format": FORMAT,
        "kdcheck": kdcheck.__version__,
        "paper": {"name": paper.name, "title": paper.title},
        "scale": scale,
        "scale_ships": scale.removeprefix(REHEARSAL_OF) in paper.scale_names,
        "tasks": tasks,
        "encoders": _encoders(runs.values()),
        "seeds": sorted({seed for each in asked for seed in each.table.seeds}),
        "counts": _counts(asked),
        "claims": [dict(claim) for theme in themes for claim in theme.rows],
        "arms": [_arm(arm, tasks, paper) for arm, tasks in cells.items()],
        "metrics": shown,
        "curves": drawn,
        "figures": _figures(paper, cells),
        "figures_waiting": _waiting(paper, drawn, tasks),
        "finals": finals(cells, paper, compared=not any(map(_is_rehearsed, asked))),
        "cost": _cost(runs.values()),
        "environment": _environment(runs.values()),
        "deviations": _distinct(d for each in asked for d in each.deviations),
        "notes": notes + _distinct(note for run in runs.values() for note in run.notes),
    }
    return record | {"paper_tables": paper_tables(paper, record)}


def to_json(record: Mapping[str, Any]) -> str:
    """The record as strict JSON, the same bytes for the same evidence."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of a record."""
    text = (resources.files("kdcheck.report") / "schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _check_one_family(claims: Sequence[Judged]) -> None:
    families = sorted({each.family for each in claims})
    if len(families) == 1:
        return
    named = ", ".join(f"{paper} at {scale}" for paper, scale in families)
    raise InputError(
        "report",
        f"claims of {named}" if families else "no judged claim",
        "judged claims of one paper and one scale",
        "Choose with --paper and --scale."
        if families
        else "Run pytest claims/ first, or name another store.",
    )


def _cells(
    claims: Iterable[Judged], runs: Mapping[str, RunSummary], paper: Paper
) -> tuple[Cells, list[str]]:
    """Runs by arm, task and seed, and notes on claims that rest on other runs of an arm."""
    digests: dict[Arm, dict[str, dict[int, str]]] = {}
    differing: set[str] = set()
    for each in claims:
        for arm, tasks in each.table.runs.items():
            for task, own in tasks.items():
                known = digests.setdefault(arm, {}).setdefault(task, {})
                if any(known.get(seed, digest) != digest for seed, digest in own.items()):
                    differing.add(each.claim.id)  # no seed of it: they have other settings
                else:
                    known.update(own)
    cells = {
        arm: {
            task: {seed: runs[digest] for seed, digest in sorted(seeds.items())}
            for task, seeds in digests[arm].items()
        }
        for arm in sorted(digests, key=lambda arm: _place(arm, paper))
    }
    notes = [
        f"Claim {claim} was judged on other runs than the tables and curves show, with other "
        "settings: judge all claims again, and all rest on the same."
        for claim in sorted(differing)
    ]
    return cells, notes


def _place(arm: Arm, paper: Paper) -> tuple[int, str]:
    """Where an arm stands in tables: in the paper's order of methods, unknown ones last."""
    known = list(paper.labels)
    return (known.index(arm.method) if arm.method in known else len(known), arm.key)


def _counts(claims: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """By standing and word: what was registered is never counted with what was not."""
    found = Counter((each.verdict.standing, each.verdict.word.value) for each in claims)
    return {standing: {word: found[standing, word] for word in WORDS} for standing in STANDINGS}


def _tasks(claims: Sequence[Judged], cells: Cells) -> list[dict[str, Any]]:
    """Its runs agree in K and in how many rows they use: both are the scale's."""
    found = {
        task: run
        for tasks in cells.values()
        for task, seeds in tasks.items()
        for run in seeds.values()
    }
    names = _distinct(name for each in claims for name in each.verdict.criterion.tasks)
    return [
        {
            "name": name,
            "classes": found[name].classes if name in found else None,
            "train_rows": found[name].recipe.train_rows if name in found else None,
            "test_rows": found[name].test_rows if name in found else None,
            "packaged": name in PACKAGED,
            "on_hub": name in GLUE,
            **_rows(name, claims, found.get(name)),
        }
        for name in names
    ]


def _rows(task: str, claims: Sequence[Judged], run: RunSummary | None) -> dict[str, Any]:
    """Sizes of the splits, and by mark what is not the whole of them; claims read other runs."""
    known = [each.data[task] for each in claims if task in each.data]
    rehearsed = {"rehearsal": REHEARSED} if any(_is_rehearsed(each) for each in claims) else {}
    texts: dict[str, list[str]] = {}
    for facts in known:
        for mark, text in facts["marks"].items():
            texts.setdefault(mark, []).append(text)
    if not known and run is not None and run.recipe.train_rows:
        # Of a bundle from before this was kept, the recipe alone tells.
        texts["cut"] = [f"Each run trains on {run.recipe.train_rows:,} rows."]
    marks = {mark: " ".join(dict.fromkeys(found)) for mark, found in texts.items()}
    return {"rows": known[0]["rows"] if known else None, "marks": rehearsed | marks}


def _encoders(runs: Iterable[RunSummary]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "packaged": name in PACKAGED_ENCODERS,
            "on_hub": name in HUB_NAMES,
        }
        for name in sorted({run.recipe.encoder for run in runs})
    ]


def _is_rehearsed(judged: Judged) -> bool:
    return judged.verdict.standing == REHEARSAL


def _arm(arm: Arm, tasks: Mapping[str, Mapping[int, RunSummary]], paper: Paper) -> dict[str, Any]:
    first = {task: next(iter(seeds.values())) for task, seeds in tasks.items()}
    return arm.to_dict() | {
        "key": arm.key,
        "label": paper.label(arm),
        "colour": paper.colours.get(arm.method),
        "plain": arm in paper.arms,
        "settings": {task: run.settings for task, run in first.items()},
    }


def _figures(paper: Paper, cells: Cells) -> list[dict[str, Any]]:
    """The paper's figures for which there are runs, each with those of its arms that were run."""
    return [
        {
            "name": figure.name,
            "title": figure.title,
            "arms": [arm.key for arm in figure.arms if arm in cells],
        }
        for figure in paper.figures
        if any(arm in cells for arm in figure.needs or figure.arms)
    ]


def _waiting(
    paper: Paper, drawn: Sequence[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """By figure of the paper, the runs whose curves it lacks."""
    followed = {(curve["arm"], curve["task"]) for curve in drawn}
    return {
        figure.name: [
            f"{arm.key} on {task['name']}"
            for arm in figure.arms
            for task in tasks
            if (arm.key, task["name"]) not in followed
        ]
        for figure in paper.figures
    }


def _cost(runs: Iterable[RunSummary]) -> dict[str, float]:
    found = list(runs)
    whole = {name: sum(int(run.cost.get(name, 0)) for run in found) for name in COUNTED}
    seconds = sum(run.cost.get("seconds", 0.0) for run in found)
    return {"runs": len(found), **whole, "seconds": seconds}


def _environment(runs: Iterable[RunSummary]) -> dict[str, list[str]]:
    names = sorted({name for run in runs for name in run.environment})
    return {
        name: sorted({run.environment[name] for run in runs if name in run.environment})
        for name in names
    }


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
