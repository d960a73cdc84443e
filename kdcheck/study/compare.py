"""What of a stored claim is not as it was found again, each in a sentence's part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kdcheck.evidence.judged import Judged
from kdcheck.study.examine import close
from kdcheck.verdict import Criterion, Verdict

P_TOLERANCE = 1e-6
"""Relative, between a stored p value and the same from effects that were read again."""


def with_itself(stored: Judged, criterion: Criterion) -> Iterator[str]:
    """How a claim's record contradicts itself, or the criterion that its claim and study make."""
    kept = stored.verdict.criterion.to_dict()
    for name, wanted in criterion.to_dict().items():
        if kept[name] != wanted:
            yield f"judged by {name} {_text(kept[name])}, not {_text(wanted)}"
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
    for name, got, wanted in (
        ("", stored.word.value, again.word.value),
        ("", stored.standing, again.standing),
        ("fault ", stored.fault and stored.fault.kind, again.fault and again.fault.kind),
        ("reason ", stored.untestable, again.untestable),
        ("family size ", stored.family_size, again.family_size),
        ("seeds used ", stored.seeds_used, again.seeds_used),
        ("rivals ", _by_word(stored.rivals), _by_word(again.rivals)),
    ):
        if got != wanted:
            yield f"stored with {name}{_text(got)}, not {_text(wanted)}"
    for reason in again.exploratory:
        if reason not in stored.exploratory:
            yield f"stored without the reason: {reason}"
    for word, p in again.adjusted_p.items():
        if not close(stored.adjusted_p.get(word, float("nan")), p, P_TOLERANCE):
            yield f"stored with p of {word} {stored.adjusted_p.get(word):.6g}, not {p:.6g}"
    yield from _measured(stored, again)


def _measured(stored: Verdict, again: Verdict) -> Iterator[str]:
    """Effects, and whatever else was measured, that are not as stored."""
    effects, kept = _effects(again), _effects(stored)
    if effects.keys() != kept.keys():
        yield "stored for other tasks or seeds"
    for (task, seed), effect in effects.items():
        if not close(kept.get((task, seed), effect), effect):
            got = kept[task, seed]
            yield f"effect on {task} with seed {seed} stored as {got:+.6f}, not {effect:+.6f}"
    now, then = (each.measured and each.measured.to_dict() for each in (again, stored))
    for name, place in _differing(then, now):
        if "effects" not in place:
            yield f"{name} stored otherwise than it was read again"


def _differing(got: Any, wanted: Any, *place: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Places in JSON values that differ, by name."""
    if isinstance(got, Mapping) and isinstance(wanted, Mapping):
        for name in sorted({*got, *wanted}):
            yield from _differing(got.get(name), wanted.get(name), *place, name)
    elif not _alike(got, wanted):
        yield " of ".join(reversed(place)) or "what was measured", place


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


def _by_word(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counts.items())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return str(value) or "none"
