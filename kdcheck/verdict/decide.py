"""Judging: criteria and measurements in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from kdcheck.errors import ClaimError
from kdcheck.verdict.criterion import Criterion, Plan
from kdcheck.verdict.family import settle, word_at
from kdcheck.verdict.guards import Arrays, Fault, as_arrays, find_fault
from kdcheck.verdict.looks import Evidence, look_at
from kdcheck.verdict.measured import Measured
from kdcheck.verdict.premises import gate, premises_first
from kdcheck.verdict.spread import NO_PRIOR, Prior
from kdcheck.verdict.verdict import Verdict
from kdcheck.verdict.words import DECIDING, Word

NOT_REACHED = -1
"""In the place of a look's index: the first one is still to come."""


def judge(criterion: Criterion, measured: Measured | None) -> Verdict:
    """The verdict on one claim that is a family by itself.

    A claim that is judged beside others belongs into ``judge_family``, which pays for the company.

    Args:
        criterion: registered before the first run.
        measured: None or empty is NOT_RUN.

    Returns:
        The word with its inputs; effect, interval and reason are computed from them.

    Source: docs/verdicts.md, "How it is decided".

    >>> from kdcheck.verdict import TaskEffects
    >>> criterion = Criterion(claim="ls_raises_entropy", tasks=("reviews",), margin=0.05, unit="nats",
    ...                       because="the paper's smallest gap is six times as large")
    >>> effects = TaskEffects(seeds=(0, 1, 2, 3, 4), effects=(0.46, 0.49, 0.48, 0.50, 0.47))
    >>> print(judge(criterion, Measured(tasks={"reviews": effects})))
    ls_raises_entropy: SUPPORTED, +0.48 [+0.46, +0.5] nats. The effect is above +0.05 nats \
on 'reviews' (adjusted p = 3.1e-07 at the look of 5 seeds).
    """
    return judge_family([criterion], {criterion.claim: measured})[criterion.claim]


def judge_family(
    criteria: Sequence[Criterion],
    measured: Mapping[str, Measured | None],
    *,
    exploratory: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, Verdict]:
    """Verdicts on all claims of a family, by claim id, in the order of the criteria.

    Every registered claim counts in Holm, also one that was not run, is INVALID or NOT_TESTABLE:
    leaving a claim out must never make another one easier.

    Args:
        criteria: one per claim, the whole family: of one paper at one scale and with one plan.
        measured: by claim id; a claim that is absent, None or empty is NOT_RUN, and paid for.
        exploratory: by claim id, what differs from the registered study, a sentence each.

    Returns:
        By claim id, in the order of the criteria.

    Raises:
        ClaimError: no criteria, an id twice, plans, papers or scales that differ, evidence for an
            unknown claim, or premises that are unknown or rest on each other.

    Source: docs/verdicts.md, "How it is decided"; decisions 0100 and 0101.

    >>> one, other = (
    ...     Criterion(claim=claim, tasks=("reviews",), margin=0.05, unit="nats", because="x")
    ...     for claim in ("ls_raises_entropy", "kd_raises_entropy"))
    >>> from kdcheck.verdict import TaskEffects
    >>> effects = TaskEffects(seeds=(0, 1, 2, 3, 4), effects=(0.46, 0.49, 0.48, 0.50, 0.47))
    >>> found = judge_family([one, other], {one.claim: Measured(tasks={"reviews": effects})})
    >>> {claim: verdict.word.value for claim, verdict in found.items()}
    {'ls_raises_entropy': 'SUPPORTED', 'kd_raises_entropy': 'NOT_RUN'}
    """
    plan = _check_family(criteria, measured)
    found = [None if m is None or m.is_empty else m for m in map(measured.get, _ids(criteria))]
    faults = [find_fault(c, m) if m else None for c, m in zip(criteria, found, strict=True)]
    judged = _fit_to_judge(criteria, found, faults)
    evidence = look_at(criteria, judged, plan)
    settled = settle(evidence, plan)
    used = list(map(partial(_look_used, plan), settled.looks.tolist(), judged))
    rivals = dict(zip(DECIDING, settled.rivals.tolist(), strict=True))
    verdicts = {
        criterion.claim: Verdict(
            criterion=criterion,
            measured=measured.get(criterion.claim),
            word=_word(int(settled.words[c]), found[c], faults[c]),
            seeds_used=0 if used[c] == NOT_REACHED else plan.looks[used[c]],
            prior=_prior(evidence, c, used[c]),
            adjusted_p=dict(zip(DECIDING, settled.adjusted_p[c].tolist(), strict=True)),
            family_size=len(criteria),
            rivals=rivals,
            fault=faults[c],
            exploratory=exploratory.get(criterion.claim, ()),
        )
        for c, criterion in enumerate(criteria)
    }
    return gate(verdicts)


def _fit_to_judge(
    criteria: Sequence[Criterion],
    measured: Sequence[Measured | None],
    faults: Sequence[Fault | None],
) -> list[Arrays | None]:
    return [
        None if m is None or fault else as_arrays(criterion, m)
        for criterion, m, fault in zip(criteria, measured, faults, strict=True)
    ]


def _ids(criteria: Sequence[Criterion]) -> list[str]:
    return [criterion.claim for criterion in criteria]


def _check_family(criteria: Sequence[Criterion], measured: Mapping[str, object]) -> Plan:
    ids = _ids(criteria)
    if not ids or len(set(ids)) < len(ids):
        raise ClaimError(
            "judge_family",
            f"claims {ids}",
            "at least one claim, each once",
            "Two criteria of one claim are two claims: give each its own id.",
        )
    if unknown := sorted(set(measured) - set(ids)):
        raise ClaimError(
            "judge_family",
            f"evidence for {unknown}",
            "a criterion for each",
            "Register the claim before its first run.",
        )
    plans = {criterion.plan for criterion in criteria}
    if len(plans) > 1:
        raise ClaimError(
            "judge_family",
            f"{len(plans)} different plans",
            "one plan per family",
            "Looks and error rates belong to the family, not to a claim.",
        )
    if len(families := {(criterion.paper, criterion.scale) for criterion in criteria}) > 1:
        raise ClaimError(
            "judge_family",
            f"claims of {len(families)} papers or scales: {sorted(families)}",
            "one paper at one scale",
            "Claims pay for each other within a family alone: judge each family by itself.",
        )
    premises_first(criteria)
    return plans.pop()


def _word(index: int, measured: Measured | None, fault: Fault | None) -> Word:
    if measured is None:
        return Word.NOT_RUN
    return Word.INVALID if fault else word_at(index)


def _look_used(plan: Plan, look: int, arrays: Arrays | None) -> int:
    """Index of the deciding look, or of the last one reached where others decided later."""
    reached = 0 if arrays is None else plan.reached(arrays.effects.shape[-1])
    return min(look, reached - 1) if reached else NOT_REACHED


def _prior(evidence: Evidence, claim: int, look: int) -> Prior:
    found = NO_PRIOR if look == NOT_REACHED else evidence.priors[claim][look]
    return Prior(*map(float, found))
