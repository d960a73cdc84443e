"""The procedures that the judge's was chosen from: what each decides, and how often wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np

from kdcheck.verdict.calibration import (
    HELD_TO_THE_BOUND,
    NULLS,
    SEEDS,
    check_numbers,
    null_effects,
    null_family,
    simulate,
)
from kdcheck.verdict.criterion import Criterion, Plan
from kdcheck.verdict.family import NONE_YET, Ints, settle
from kdcheck.verdict.looks import Evidence, look_at
from kdcheck.verdict.p_values import Bools
from kdcheck.verdict.spread import Floats, Rule, moderated, raised
from kdcheck.verdict.words import DECIDING, Word

SUPPORTED = DECIDING.index(Word.SUPPORTED)
BEYOND = (1.0, 2.0, 4.0, 8.0)
"""How far true effects lie beyond their margin, in usual standard deviations, by turns."""
UNEQUAL = "normal, spreads unequal (lognormal 0.5)"
"""How the differences of true claims scatter."""
SEEDS_TRIED = (5, 8, 10)
RESTING = 3
"""Claims that rest on each premise."""
See = Callable[[Plan, Rule], Evidence]


@dataclass(frozen=True)
class Candidate:
    """A procedure."""

    name: str
    rule: Rule | None = None
    """How variances stand beside their class; None: each by itself."""
    itself: bool = True
    """Whether a word needs the claim's own spread, too."""
    looks: tuple[int, ...] = ()
    """Looks of equal shares; none: those of a plan for the number of seeds."""
    single: bool = False
    """Whether it looks once."""
    premises: str = ""
    """``gate``: a claim needs its premises; ``graph``: they have the error rate of what rests on them."""

    def plan(self, seeds: int) -> Plan:
        """Its looks where so many seeds are run by default."""
        if self.looks:
            return Plan(looks=self.looks, weights=(1 / len(self.looks),) * len(self.looks))
        return Plan(looks=(seeds,)) if self.single else Plan.of(seeds)

    def words(self, criteria: Sequence[Criterion], plan: Plan, see: See) -> Ints:
        """What it says of each claim of each family, shape (F, C), as ``Settled.words``."""
        evidence = see(plan, self.rule or raised)
        if self.rule is None:
            evidence = evidence._replace(p=evidence.own)
        if not self.itself:
            evidence = evidence._replace(own=np.zeros_like(evidence.own))
        words_FC = settle(evidence, plan).words
        if self.premises == "graph":
            words_FC = _by_graph(words_FC, evidence, criteria, plan)
        return _gated(words_FC, criteria) if self.premises else words_FC


CANDIDATES = (
    Candidate("t, looks at 3, 5, 7, 10 alike", looks=(3, 5, 7, 10)),
    Candidate("t, one look", single=True),
    Candidate("t, one main look"),
    Candidate("moderated t, one main look", rule=moderated, itself=False),
    Candidate("moderated t, and by itself", rule=moderated),
    Candidate("raised t, one main look", rule=raised, itself=False),
    Candidate("raised t, and by itself", rule=raised, premises="gate"),
    Candidate("the same, without premises", rule=raised),
    Candidate("the same, a graph of premises", rule=raised, premises="graph"),
)
CHOSEN = CANDIDATES[6]


@dataclass
class Compared:
    """What a procedure does."""

    name: str
    worst: float = 0.0
    """The highest share of families with a false word, over normal rows, nulls and words."""
    where: str = ""
    """Where that is."""
    decided: dict[int, float] = field(default_factory=dict)
    """By number of seeds: share of true claims that are SUPPORTED with so many, at a plan for them."""
    in_the_end: float = 0.0
    """The same after all looks of the plan for the smallest number."""


def compare(*, families: int, claims: int, seed: int) -> list[Compared]:
    """Every candidate on the same simulated families, every fourth claim a premise of the next three.

    Raises:
        InputError: numbers with which nothing can be simulated.
    """
    check_numbers(families, claims, seed)
    found = {candidate: Compared(candidate.name) for candidate in CANDIDATES}
    for row in HELD_TO_THE_BOUND:
        for null in NULLS:
            rng = np.random.default_rng([seed, list(SEEDS).index(row), list(NULLS).index(null)])
            effects = partial(null_effects, null=null)
            criteria = _resting(null_family(claims, null))
            see = _seen(row, criteria, effects, families, rng)
            for candidate, compared in found.items():
                words_FC = candidate.words(criteria, candidate.plan(SEEDS_TRIED[0]), see)
                for w, word in enumerate(DECIDING):
                    rate = float((words_FC == w).any(axis=-1).mean())
                    if rate > compared.worst:
                        compared.worst, compared.where = rate, f"{word}, {row}, {NULLS[null]}"
    _measure_power(found, families, claims, np.random.default_rng([seed, len(SEEDS)]))
    return list(found.values())


def _measure_power(
    found: dict[Candidate, Compared], families: int, claims: int, rng: np.random.Generator
) -> None:
    most = Plan.of(max(SEEDS_TRIED))
    criteria = _resting(null_family(claims, "zero", most))
    place = {criterion.claim: c for c, criterion in enumerate(criteria)}

    def effects(criterion: Criterion) -> Floats:
        beyond = BEYOND[place[criterion.claim] // (RESTING + 1) % len(BEYOND)]
        return np.full(len(criterion.tasks), beyond)

    see = _seen(UNEQUAL, criteria, effects, families, rng)
    for candidate, compared in found.items():

        def share(plan: Plan, seeds: int, candidate: Candidate = candidate) -> float:
            words_FC = candidate.words(criteria, _until(plan, seeds), see)
            return float((words_FC == SUPPORTED).mean())

        compared.decided = {n: share(candidate.plan(n), n) for n in SEEDS_TRIED}
        first = candidate.plan(SEEDS_TRIED[0])
        compared.in_the_end = share(first, first.looks[-1])


def _until(plan: Plan, seeds: int) -> Plan:
    """The looks of a plan that so many seeds reach, at their shares."""
    reached = plan.reached(seeds)
    return replace(plan, looks=plan.looks[:reached], weights=plan.weights[:reached])


def _seen(
    row: str,
    criteria: Sequence[Criterion],
    effects: Callable[[Criterion], Floats],
    families: int,
    rng: np.random.Generator,
) -> See:
    """Evidence of the same simulated families under any plan and rule, each computed once."""
    arrays = simulate(SEEDS[row], criteria, effects, families=families, rng=rng)
    return cache(lambda plan, rule: look_at(criteria, arrays, plan, rule))


def _resting(criteria: Sequence[Criterion]) -> list[Criterion]:
    """The criteria, every fourth one a premise of the three that follow."""
    group = RESTING + 1
    return [
        replace(criterion, rests_on=(criteria[c - c % group].claim,)) if c % group else criterion
        for c, criterion in enumerate(criteria)
    ]


def _premise_of(criteria: Sequence[Criterion]) -> Ints:
    """Per claim, the place of its premise, or its own: shape (C,)."""
    return np.arange(len(criteria)) // (RESTING + 1) * (RESTING + 1)


def _gated(words_FC: Ints, criteria: Sequence[Criterion]) -> Ints:
    premise_C = _premise_of(criteria)
    free_C = premise_C == np.arange(len(criteria))
    return np.where(free_C | (words_FC[:, premise_C] == SUPPORTED), words_FC, NONE_YET)


def _by_graph(
    words_FC: Ints, evidence: Evidence, criteria: Sequence[Criterion], plan: Plan
) -> Ints:
    """SUPPORTED by a graph, other words by Holm as they are.

    A premise starts with the weight of all that rest on it, and hands it to them once it is shown.
    """
    claims = len(criteria)
    premise_C = _premise_of(criteria)
    free_C = premise_C == np.arange(claims)
    weights_C = np.where(free_C, np.bincount(premise_C, minlength=claims), 0) / claims
    # What is shown hands its weight on: a premise to its own, the others to every other one alike.
    hands_CC = np.where(free_C[:, None], premise_C[None] == premise_C[:, None], True).astype(float)
    np.fill_diagonal(hands_CC, 0.0)
    hands_CC /= np.maximum(hands_CC.sum(axis=1, keepdims=True), 1.0)
    shown_FC = np.zeros(words_FC.shape, dtype=bool)
    for k in range(len(plan.looks)):
        p_FC = evidence.p[..., k, SUPPORTED]
        by_graph_FC = _rejected(p_FC, weights_C, hands_CC, plan.rate(Word.SUPPORTED))
        own_FC = np.asarray(evidence.own[..., k, SUPPORTED])
        shown_FC |= by_graph_FC & (own_FC <= plan.rate(Word.SUPPORTED))
    others_FC = np.where(words_FC == SUPPORTED, NONE_YET, words_FC)
    return np.where(shown_FC, SUPPORTED, others_FC)


def _rejected(p_FC: Floats, weights_C: Floats, hands_CC: Floats, rate: float) -> Bools:
    """Sequentially rejective graph, algorithm 1 of Bretz et al. 2009, all families at once."""
    families, claims = p_FC.shape
    weights_FC = np.tile(weights_C, (families, 1))
    hands_FCC = np.tile(hands_CC, (families, 1, 1))
    shown_FC: Bools = np.zeros(p_FC.shape, dtype=bool)
    row_F = np.arange(families)
    for _ in range(claims):
        open_FC = np.asarray(~shown_FC & (p_FC <= weights_FC * rate))
        some_F = np.asarray(open_FC.any(axis=1))
        if not some_F.any():
            break
        one_F = open_FC.argmax(axis=1)
        from_FC, to_FC = hands_FCC[row_F, :, one_F], hands_FCC[row_F, one_F]
        gained_FC = weights_FC + weights_FC[row_F, one_F][:, None] * to_FC
        through_FCC = hands_FCC + from_FC[:, :, None] * to_FC[:, None, :]
        left_FC1 = 1 - from_FC * to_FC
        new_FCC = np.where(
            left_FC1[..., None] > 0, through_FCC / np.maximum(left_FC1, 1e-300)[..., None], 0
        )
        new_FCC[:, np.arange(claims), np.arange(claims)] = 0.0
        new_FCC[row_F, one_F] = 0.0
        new_FCC[row_F, :, one_F] = 0.0
        gained_FC[row_F, one_F] = 0.0
        weights_FC = np.where(some_F[:, None], gained_FC, weights_FC)
        hands_FCC = np.where(some_F[:, None, None], new_FCC, hands_FCC)
        shown_FC[row_F[some_F], one_F[some_F]] = True
    return shown_FC
