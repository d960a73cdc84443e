"""The record of a report: plain JSON values, described by ``schema.json``; every format shows it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import kdcheck
from kdcheck.errors import InputError
from kdcheck.evidence.source import EvidenceSource
from kdcheck.report.arms import read
from kdcheck.report.judgement import judgement
from kdcheck.report.runs import Run, collect
from kdcheck.report.series import Cells, curves, finals
from kdcheck.report.wording import WORDS
from kdcheck.study.record import Judged

FORMAT = 1
"""Version of the record; raised when a field changes its meaning or goes."""


def build(claims: Sequence[Judged], source: EvidenceSource) -> dict[str, Any]:
    """The record from which the page, the Markdown and the badge are made.

    Args:
        claims: judged claims of one scale, at least one.
        source: where the runs are that they rest on.

    Returns:
        JSON values as ``schema.json`` describes them. It holds no date and no path, so the same
        evidence gives the same record.

    Raises:
        InputError: no claim, or claims of several scales.
        EvidenceError: a run is missing or damaged.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> record = build([sample_judged()], SampleStore())
    >>> record["counts"]["SUPPORTED"], record["cost"]["runs"], record["seeds"]
    (1, 6, [0, 1, 2])
    """
    asked = sorted(claims, key=lambda each: each.claim.id)
    scale = _only_scale(asked)
    runs = collect((digest for each in asked for digest in each.digests()), source)
    cells, notes = _cells(asked, runs)
    words = Counter(each.verdict.word.value for each in asked)
    return {
        "format": FORMAT,
        "kdcheck": kdcheck.__version__,
        "scale": scale,
        "tasks": _tasks(asked, cells),
        "seeds": sorted({seed for each in asked for seed in each.runs.seeds}),
        "counts": {word: words[word] for word in WORDS},
        "claims": [judgement(each, runs) for each in asked],
        "arms": [_arm(key, cells[key]) for key in cells],
        "curves": curves(cells),
        "finals": finals(cells),
        "cost": _cost(runs.values()),
        "environment": _environment(runs.values()),
        "deviations": _distinct(d for each in asked for d in each.deviations),
        "notes": notes + _distinct(note for run in runs.values() for note in run.notes),
    }


def to_json(record: Mapping[str, Any]) -> str:
    """The record as strict JSON, the same bytes for the same evidence.

    Source: none.

    >>> to_json({"b": 1, "a": None}).splitlines()[1]
    ' "a": null,'
    """
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of a record.

    Source: none.

    >>> schema()["properties"]["format"]["const"] == FORMAT
    True
    """
    text = (resources.files("kdcheck.report") / "schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _only_scale(claims: Sequence[Judged]) -> str:
    scales = sorted({each.scale for each in claims})
    if len(scales) == 1:
        return scales[0]
    raise InputError(
        "report",
        f"claims of the scales {', '.join(scales)}" if scales else "no judged claim",
        "judged claims of one scale",
        "Name one with --scale." if scales else "Run pytest claims/ first, or name another store.",
    )


def _cells(claims: Iterable[Judged], runs: Mapping[str, Run]) -> tuple[Cells, list[str]]:
    """Runs by arm, task and seed, and notes on claims that rest on other runs of an arm."""
    digests: dict[str, dict[str, dict[int, str]]] = {}
    differing: set[str] = set()
    for each in claims:
        for arm, tasks in each.runs.runs.items():
            for task, seeds in tasks.items():
                known = digests.setdefault(arm, {}).setdefault(task, {})
                own = {int(seed): digest for seed, digest in seeds.items()}
                if any(known.get(seed, digest) != digest for seed, digest in own.items()):
                    differing.add(each.claim.id)  # no seed of it: they have other settings
                else:
                    known.update(own)
    cells = {
        arm: {
            task: {seed: runs[digest] for seed, digest in sorted(seeds.items())}
            for task, seeds in tasks.items()
        }
        for arm, tasks in digests.items()
    }
    notes = [
        f"Claim {claim} was judged on other runs than the tables and curves show, with other "
        "settings: judge all claims again, and all rest on the same."
        for claim in sorted(differing)
    ]
    return cells, notes


def _tasks(claims: Iterable[Judged], cells: Cells) -> list[dict[str, Any]]:
    classes = {
        task: run.classes
        for tasks in cells.values()
        for task, seeds in tasks.items()
        for run in seeds.values()
    }
    names = _distinct(name for each in claims for name in each.verdict.criterion.tasks)
    return [{"name": name, "classes": classes.get(name)} for name in names]


def _arm(key: str, tasks: Mapping[str, Mapping[int, Run]]) -> dict[str, Any]:
    reading = read(key)
    first = {task: next(iter(seeds.values())) for task, seeds in tasks.items()}
    return {
        "key": key,
        "label": reading.label,
        "method": reading.method,
        "size": reading.size,
        "plain": reading.is_plain,
        "settings": {task: run.settings for task, run in first.items()},
    }


def _cost(runs: Iterable[Run]) -> dict[str, float]:
    totals: Counter[str] = Counter()
    for run in runs:
        totals.update({"runs": 1, "train_tokens": int(run.cost.get("train_tokens", 0))})
        totals["steps"] += int(run.cost.get("steps", 0))
    return {**totals, "seconds": sum(run.cost.get("seconds", 0.0) for run in runs)}


def _environment(runs: Iterable[Run]) -> dict[str, list[str]]:
    names = sorted({name for run in runs for name in run.environment})
    return {
        name: sorted({run.environment[name] for run in runs if name in run.environment})
        for name in names
    }


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
