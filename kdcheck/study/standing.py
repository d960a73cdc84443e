"""The standing of verdicts: what differs from the lock, in sentences, and judging under the lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kdcheck.study.lock import Section
from kdcheck.verdict import Criterion, Measured, Plan, Verdict, judge_family
from kdcheck.verdict.words import REHEARSED

SHOWN = 3
"""Settings that are named one by one where many differ."""
FIELDS = {
    "margin": "margin",
    "unit": "unit",
    "direction": "direction",
    "holds": "quantifier over tasks",
    "rests_on": "list of premises",
    "contrast": "contrast",
    "says": "sentence",
    "because": "reason for the margin",
}
"""What a claim's entry holds, in words."""
NO_LOCK = "No lock registers these claims at this scale; kdcheck lock would."


def shared_reasons(present: Section, registered: Section) -> tuple[str, ...]:
    """How a study differs from a registered one in what all its claims share, a sentence each."""
    return (
        *_engine(present, registered),
        *_settings(present, registered),
        *_content("Task", present.tasks, registered.tasks),
        *_content("Encoder", present.encoders, registered.encoders),
        *_plan(present.plan, registered.plan),
        *_seeds(present, registered),
    )


def claim_reasons(present: Section, registered: Section) -> dict[str, tuple[str, ...]]:
    """How each present claim differs from its registered self, a sentence each."""
    return {
        claim: tuple(_entry(entry, registered.claims.get(claim)))
        for claim, entry in present.claims.items()
    }


def _engine(present: Section, registered: Section) -> Iterator[str]:
    now, then = present.engine_version, registered.engine_version
    if now != then:
        yield f"The engine is of version {now}, registered was {then}."


def _settings(present: Section, registered: Section) -> Iterator[str]:
    """Of methods that both have: another's hyper-parameters decide nothing of the registered runs."""
    both = {
        (method, size)
        for method, sizes in registered.settings["methods"].items()
        for size in sizes
        if size in present.settings["methods"].get(method, {})
    }
    now, then = (_flat(_only(each.settings, both)) for each in (present, registered))
    differing = [key for key in sorted({*now, *then}) if now.get(key) != then.get(key)]
    for key in differing[:SHOWN]:
        yield f"Setting {key} is {_shown(now.get(key))}, registered was {_shown(then.get(key))}."
    if (more := len(differing) - SHOWN) > 0:
        yield f"{more} more settings differ." if more > 1 else "1 more setting differs."


def _only(settings: Mapping[str, Any], methods: set[tuple[str, str]]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for method, size in methods:
        kept.setdefault(method, {})[size] = settings["methods"][method][size]
    collapsing = [method for method in settings["may_collapse"] if method in kept]
    return {**settings, "methods": kept, "may_collapse": collapsing}


def _flat(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{place}{key}.") if inner else {f"{place}{key}": value}
    return flat


def _content(what: str, present: Mapping[str, Any], registered: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*present, *registered}):
        now, then = (_digest(each.get(name)) for each in (present, registered))
        if now is None or then is None:
            which = "is not registered" if then is None else "is registered and not run"
            yield f"{what} {name!r} {which}."
        elif now != then:
            yield f"{what} {name!r} has the content {now[:8]}, registered was {then[:8]}."


def _digest(known: Any) -> str | None:
    if known is None:
        return None
    digest: str = known["digest"] if isinstance(known, Mapping) else known.digest
    return digest


def _plan(present: Plan, registered: Plan) -> Iterator[str]:
    then = replace(registered, attempt=present.attempt)
    if present != then:
        yield f"The plan has the looks {present.looks}, registered was {_plan_text(then)}."


def _plan_text(plan: Plan) -> str:
    return f"{plan.looks} with the rate {plan.supported:g}"


def _seeds(present: Section, registered: Section) -> Iterator[str]:
    if present.seeds != registered.seeds and present.plan.looks == registered.plan.looks:
        yield f"The seeds are {_range(present.seeds)}, registered were {_range(registered.seeds)}."


def _range(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}"


def _entry(now: Mapping[str, Any], then: Mapping[str, Any] | None) -> Iterator[str]:
    if then is None:
        yield "The lock does not register this claim."
        return
    for name, words in FIELDS.items():
        if now[name] != then[name]:
            yield f"Its {words} is {_shown(now[name])}, registered was {_shown(then[name])}."
    if now["measures"] != then["measures"] and now["contrast"] == then["contrast"]:
        yield "Its contrast reads other arms than the registered one, which is written alike."


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "absent" if value is None else repr(value)


@dataclass(frozen=True)
class Standing:
    """A study held against the family that a lock registers for it, if any."""

    present: Section
    registered: Section | None

    @cached_property
    def common(self) -> tuple[str, ...]:
        """What makes every verdict exploratory whatever its claim."""
        if self.present.settings.get("rehearsal", False):
            return (REHEARSED,)
        if self.registered is None:
            return (NO_LOCK,)
        return shared_reasons(self.present, self.registered)

    @cached_property
    def own(self) -> dict[str, tuple[str, ...]]:
        """By present claim: how it differs itself."""
        if self.registered is None:
            return dict.fromkeys(self.present.claims, ())
        return claim_reasons(self.present, self.registered)

    def measures_registered(self, claim: str) -> bool:
        """Whether what was measured for a present claim is what its registered self asks for.

        A moved margin does not change that: the registered claim can still be judged.
        """
        if self.registered is None or self.common or claim not in self.registered.claims:
            return False
        now, then = self.present.claims[claim], self.registered.claims[claim]
        return all(now[name] == then[name] for name in ("measures", "unit"))


def judge_under(
    registered: Section | None,
    criteria: Sequence[Criterion],
    measured: Mapping[str, Measured],
    *,
    as_registered: Mapping[str, Measured],
    differing: Mapping[str, tuple[str, ...]],
) -> dict[str, Verdict]:
    """Verdicts on the whole registered family and on the claims that differ from it.

    What is as registered is judged in the registered family, all of which counts, run or not. What
    differs is judged beside it, in a family of both.

    Args:
        registered: the family of the lock, if there is one.
        criteria: of the present claims.
        measured: for the present claims.
        as_registered: for registered claims, what was measured as the lock says.
        differing: by present claim, why it is not as registered; empty if it is.
    """
    verdicts: dict[str, Verdict] = {}
    scale, plan, seeds = criteria[0].scale, criteria[0].plan, criteria[0].seeds
    family = (
        [registered.criterion(claim, scale) for claim in registered.claims] if registered else []
    )
    if family:
        verdicts |= judge_family(family, as_registered)
    others = [criterion for criterion in criteria if differing[criterion.claim]]
    if others:
        present = {criterion.claim for criterion in criteria}
        beside = [replace(c, plan=plan, seeds=seeds) for c in family if c.claim not in present]
        found = judge_family(_with_premises([*beside, *criteria]), measured)
        verdicts |= {each.claim: found[each.claim] for each in others}
    return verdicts


def _with_premises(criteria: Sequence[Criterion]) -> list[Criterion]:
    """The criteria, and one that stands for each premise that is not at hand: it was not run."""
    known = {criterion.claim for criterion in criteria}
    missing = sorted({premise for c in criteria for premise in c.rests_on} - known)
    first = criteria[0]
    stand_ins = [
        replace(first, claim=premise, says="", contrast="", holds="every", rests_on=())
        for premise in missing
    ]
    return [*criteria, *stand_ins]
