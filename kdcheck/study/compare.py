"""What of a stored claim is not as it was found again, each in a sentence's part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kdcheck.evidence.judged import Judged
from kdcheck.study.examine import close
from kdcheck.verdict import Criterion, Verdict


def with_itself(stored: Judged, criterion: Criterion) -> Iterator[str]:
    """How a claim's record contradicts itself, or the criterion that its claim and study make."""
    kept, wanted = stored.verdict.criterion.to_dict(), criterion.to_dict()
    for name, got, by in _differing(kept, wanted):
        yield f"judged by the {name} {_text(got)}, not {_text(by)}"
    yield from with_plan(stored, criterion)
    figures = stored.follows
    for name, got in stored.shown.items():
        if not _alike(got, figures.get(name)):
            yield f"{name} written as {_text(got)}, and its inputs make it {_text(figures.get(name))}"


def with_plan(stored: Judged, criterion: Criterion) -> Iterator[str]:
    """How a claim's table is not of the criterion's tasks and of the first of its seeds."""
    table = stored.table
    if table.tasks != criterion.tasks:
        yield f"runs on {', '.join(table.tasks)}, not on {', '.join(criterion.tasks)}"
    if table.seeds != criterion.seeds[: len(table.seeds)]:
        yield f"runs with seeds {_text(table.seeds)}, not the first of {_text(criterion.seeds)}"


def with_verdict(stored: Verdict, again: Verdict) -> Iterator[str]:
    """How a stored verdict is not the one that its evidence gives."""
    if stored.standing != again.standing:
        yield f"stored as {stored.standing}, not {again.standing}"
    for reason in again.exploratory:
        if reason not in stored.exploratory:
            yield f"stored without the reason: {reason.rstrip('.')}"
    then, now = (_judged(each) for each in (stored, again))
    for name, got, wanted in _differing(then, now):
        yield f"{name} stored as {_text(got)}, not {_text(wanted)}"
    effects, kept = _effects(again), _effects(stored)
    if effects.keys() != kept.keys():
        yield "stored for other tasks or seeds"
    for (task, seed), effect in effects.items():
        got = kept.get((task, seed), effect)
        if not close(got, effect):
            yield f"effect on {task} with seed {seed} stored as {got:+.6f}, not {effect:+.6f}"


def _judged(verdict: Verdict) -> dict[str, Any]:
    """All of a verdict that has no words of its own when it differs."""
    values = verdict.to_dict()
    told = {"criterion", "criterion_digest", "exploratory", "derived"}
    kept = {name: value for name, value in values.items() if name not in told}
    tasks = (values["measured"] or {}).get("tasks", {})
    seen = {t: {k: v for k, v in each.items() if k != "effects"} for t, each in tasks.items()}
    return kept | {"measured": seen}


def _differing(got: Any, wanted: Any, *place: str) -> Iterator[tuple[str, Any, Any]]:
    """Values in JSON that differ, each with its name."""
    if isinstance(got, Mapping) and isinstance(wanted, Mapping):
        for name in sorted({*got, *wanted}):
            yield from _differing(got.get(name), wanted.get(name), *place, name)
    elif not _alike(got, wanted):
        yield " ".join(place).replace("_", " "), got, wanted


def _alike(got: Any, wanted: Any) -> bool:
    """Whether JSON values are the same, but for the last digits of numbers."""
    if isinstance(got, Mapping) and isinstance(wanted, Mapping):
        return got.keys() == wanted.keys() and all(_alike(got[k], wanted[k]) for k in got)
    if isinstance(got, (list, tuple)) and isinstance(wanted, (list, tuple)):
        return len(got) == len(wanted) and all(map(_alike, got, wanted))
    if isinstance(got, float) and isinstance(wanted, float):
        return close(got, wanted)
    return bool(got == wanted)


def _effects(verdict: Verdict) -> dict[tuple[str, int], float]:
    return {
        (name, seed): effect
        for name, task in (verdict.measured.tasks if verdict.measured else {}).items()
        for seed, effect in zip(task.seeds, task.effects, strict=True)
    }


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return str(value) or "none"
