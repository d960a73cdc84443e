"""Premises: a claim says something only where the claims that it rests on are SUPPORTED."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdcheck.errors import ClaimError
from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.verdict import Verdict
from kdcheck.verdict.words import DECIDING, Word, signed

GATED = (*DECIDING, Word.UNDECIDED)
"""Words that a failing premise takes back; INVALID and NOT_RUN say more of the claim itself."""


def premises_first(criteria: Sequence[Criterion]) -> list[Criterion]:
    """The criteria, each after all that it rests on, else in their order.

    Raises:
        ClaimError: a premise that the family does not have, or claims that rest on each other.
    """
    by_id = {criterion.claim: criterion for criterion in criteria}
    placed: dict[str, Criterion] = {}

    def place(criterion: Criterion, above: tuple[str, ...]) -> None:
        circle = (*above, criterion.claim)
        if criterion.claim in above:
            got, wanted = " rests on ".join(circle), "premises that do not rest on it"
            raise ClaimError("judge_family", got, wanted, "Drop one of these from rests_on.")
        for premise in criterion.rests_on:
            if premise not in by_id:
                got, wanted = f"the premise {premise!r}", "a claim of the same family"
                step = "Check its id, or judge it beside this claim."
                raise ClaimError(f"criterion of {criterion.claim!r}", got, wanted, step)
            if premise not in placed:
                place(by_id[premise], circle)
        placed[criterion.claim] = criterion

    for criterion in criteria:
        if criterion.claim not in placed:
            place(criterion, ())
    return list(placed.values())


def gate(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """The verdicts with NOT_TESTABLE for what rests on a premise that is not SUPPORTED.

    It takes words back and gives none, so it costs no error.
    """
    found = dict(verdicts)
    for criterion in premises_first([verdict.criterion for verdict in verdicts.values()]):
        verdict = found[criterion.claim]
        failing = [
            found[premise]
            for premise in criterion.rests_on
            if found[premise].word is not Word.SUPPORTED
        ]
        if failing and verdict.word in GATED:
            found[criterion.claim] = replace(
                verdict,
                word=Word.NOT_TESTABLE,
                untestable=" ".join(_sentence(premise) for premise in failing),
                premise_seeds=_seeds_of(failing),
            )
    return found


def _seeds_of(failing: Sequence[Verdict]) -> int | None:
    """How many more seeds would decide every failing premise; None: one never will be SUPPORTED."""
    waiting = (Word.UNDECIDED, Word.NOT_TESTABLE)
    more = [premise.more_seeds if premise.word in waiting else None for premise in failing]
    return None if None in more else max(each for each in more if each is not None)


def _sentence(premise: Verdict) -> str:
    criterion = premise.criterion
    start = f"It rests on {criterion.claim!r}, which is {premise.word}"
    if premise.word is Word.NOT_TESTABLE:
        return f"{start} itself. {premise.untestable}"
    if premise.seeds < 2:
        return f"{start}."
    low, high = premise.interval()
    figures = f"{signed(premise.effect or 0.0)} [{signed(low)}, {signed(high)}] {criterion.unit}"
    wanted = f"{criterion.direction.replace('_', ' ')} {signed(criterion.margin)}"
    return f"{start}: {figures.strip()}, where {wanted} was claimed."
