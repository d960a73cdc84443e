"""How often the judge itself is wrong: simulated families of null claims, through the real code."""

# F = families, C = claims, T = tasks, S = seeds (of one task)

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kdcheck.errors import InputError
from kdcheck.verdict.criterion import Criterion, Plan
from kdcheck.verdict.family import NONE_YET, settle
from kdcheck.verdict.guards import Arrays, unfit
from kdcheck.verdict.looks import look_at
from kdcheck.verdict.spread import Floats
from kdcheck.verdict.words import DECIDING, Word

Shape = tuple[int, ...]
Draw = Callable[[np.random.Generator, Shape], Floats]

USUAL = Plan()
"""The plan of a scale of five seeds."""
FAR = 1e3
"""Effect, in standard deviations, of a task that is to stand out of the way of the null."""
WIDE_MARGIN = 30.0
"""Margin, in standard deviations, of the nulls at an edge: wide, so that EQUIVALENT could be shown."""


def _exponential(rng: np.random.Generator, shape: Shape) -> Floats:
    return rng.exponential(size=shape) - 1


def _exponential_arms(rng: np.random.Generator, shape: Shape) -> Floats:
    return rng.exponential(size=shape) - rng.exponential(size=shape)


def _lognormal(rng: np.random.Generator, shape: Shape) -> Floats:
    return rng.lognormal(size=shape) - math.exp(0.5)


def _student_3(rng: np.random.Generator, shape: Shape) -> Floats:
    return rng.standard_t(3, size=shape)


def _correlated(rng: np.random.Generator, shape: Shape) -> Floats:
    """Normal; two claims or tasks of a family correlate by 0.8, as claims that share an arm do."""
    common = rng.standard_normal((shape[0], 1, 1, shape[-1]))
    return math.sqrt(0.8) * common + math.sqrt(0.2) * rng.standard_normal(shape)


def _spread(first: float, others: float) -> Draw:
    """Normal; the first claim of a family has the one standard deviation, all others the other."""

    def draw(rng: np.random.Generator, shape: Shape) -> Floats:
        of_claims_C = np.array([first, *[others] * (shape[1] - 1)])
        return of_claims_C[:, None, None] * rng.standard_normal(shape)

    return draw


def _two_spreads(rng: np.random.Generator, shape: Shape) -> Floats:
    """Normal; by turns a standard deviation of 1 and of 3. Kinds of claims are mixed in both."""
    sd_C = np.where(np.arange(shape[1]) // 4 % 2, 3.0, 1.0)
    return sd_C[:, None, None] * rng.standard_normal(shape)


def _many_spreads(rng: np.random.Generator, shape: Shape) -> Floats:
    """Normal; log standard deviations of claims are normal with a standard deviation of 0.5."""
    sd_FC: Floats = np.exp(0.5 * rng.standard_normal(shape[:2]))
    return sd_FC[..., None, None] * rng.standard_normal(shape)


def _coarse(rng: np.random.Generator, shape: Shape) -> Floats:
    """Normal, rounded to whole standard deviations: accuracy on a small test split."""
    return np.round(rng.standard_normal(shape))


def _two_point(rng: np.random.Generator, shape: Shape) -> Floats:
    return rng.choice(np.array([-1.0, 1.0]), size=shape)


def _rare_collapse(rng: np.random.Generator, shape: Shape) -> Floats:
    """One run in twenty loses 19, the others gain 1, with a little noise: mean zero."""
    collapsed = rng.random(shape) < 0.05
    middle: Floats = np.where(collapsed, -19.0, 1.0)
    return middle + 0.1 * rng.standard_normal(shape)


def _identical(rng: np.random.Generator, shape: Shape) -> Floats:
    return np.zeros(shape) + rng.standard_normal((*shape[:-1], 1))


SEEDS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "normal, spreads unequal (lognormal 0.5)": _many_spreads,
    "normal, spreads of 1 and 3 by turns": _two_spreads,
    "normal, one claim with 3 times the spread": _spread(3.0, 1.0),
    "normal, one claim with 10 times the spread": _spread(10.0, 1.0),
    "normal, claims and tasks correlated 0.8": _correlated,
    "coarse (rounded normal)": _coarse,
    "heavy-tailed (t, 3 df)": _student_3,
    "both arms skewed (exponential)": _exponential_arms,
    "skewed difference (exponential)": _exponential,
    "skewed difference (lognormal)": _lognormal,
    "two-point (+1 or -1)": _two_point,
    "rare collapse (1 run in 20)": _rare_collapse,
    "identical differences": _identical,
}
"""How the paired differences of a null claim scatter: mean zero each."""
HELD_TO_THE_BOUND = tuple(name for name in SEEDS if name.startswith("normal"))
"""Rows for which the bound is promised; the others show what breaks it."""

THREE_SIGMA = 0.00135
"""Chance that a normal variable exceeds its mean by three standard deviations."""

Null = Literal["zero", Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT]
NULLS: dict[Null, str] = {
    "zero": "effect 0, margin 0",
    Word.SUPPORTED: "edge of SUPPORTED",
    Word.REFUTED: "edge of REFUTED",
    Word.EQUIVALENT: "edge of EQUIVALENT",
}
"""Effects at which a word is just not true, so that it is shown most often by mistake."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Shares of simulated families and claims, for one way of scattering and one null."""

    seeds: str
    null: str
    families: int
    claims: int
    any_false_supported: float
    """Share of families with at least one false SUPPORTED."""
    any_false_refuted: float
    any_false_equivalent: float
    invalid: float
    """Share of claims."""
    undecided: float
    """Share of claims."""
    bound: float

    def standard_error(self, rate: float) -> float:
        """Monte Carlo standard error of a share of families: sqrt(rate (1 - rate) / families)."""
        return math.sqrt(rate * (1 - rate) / self.families)

    @property
    def keeps_the_bound(self) -> bool:
        """Whether chance explains the worst rate: binomial, true rate at the bound, three sigma."""
        from scipy.special import bdtrc

        worst = max(self.any_false_supported, self.any_false_refuted, self.any_false_equivalent)
        count = round(worst * self.families)
        # bdtrc is P(X > count - 1). It agrees with "bound + 3 standard errors" for many families.
        return bool(bdtrc(count - 1, self.families, self.bound) >= THREE_SIGMA)


def null_family(claims: int, null: Null, plan: Plan = USUAL) -> list[Criterion]:
    """Criteria of a family: by turns one task, and "every", "some" and "average" of two tasks.

    >>> [criterion.holds for criterion in null_family(4, "zero")]
    ['every', 'every', 'some', 'average']
    """
    base = Criterion(
        claim="0",
        tasks=("a",),
        margin=0.0 if null == "zero" else WIDE_MARGIN,
        because="simulated",
        unit="standard deviations",
        seeds=tuple(range(plan.looks[-1])),
        plan=plan,
    )
    kinds = (
        base,
        replace(base, tasks=("a", "b")),
        replace(base, tasks=("a", "b"), holds="some"),
        replace(base, tasks=("a", "b"), holds="average"),
    )
    return [replace(kinds[c % len(kinds)], claim=str(c)) for c in range(claims)]


def null_effects(criterion: Criterion, null: Null) -> Floats:
    """True effects per task at which a word is false by the smallest step, shape (T,).

    One task fewer than the word needs has the effect it asks for, beyond doubt; the rest lie at the
    very edge. That is where a partial conjunction errs most.

    >>> null_effects(null_family(2, Word.SUPPORTED)[1], Word.SUPPORTED).tolist()
    [1000.0, 30.0]
    """
    if null == "zero":
        return np.zeros(len(criterion.tasks))
    edge = {Word.SUPPORTED: 1, Word.REFUTED: -1, Word.EQUIVALENT: 1}[null] * criterion.margin
    beyond = {Word.SUPPORTED: FAR, Word.REFUTED: -FAR, Word.EQUIVALENT: 0.0}[null]
    truly = criterion.needed_for(null) - 1
    return np.array([beyond] * truly + [edge] * (len(criterion.tasks) - truly))


def simulate(
    draw: Draw,
    criteria: Sequence[Criterion],
    effects: Callable[[Criterion], Floats],
    *,
    families: int,
    rng: np.random.Generator,
) -> list[Arrays]:
    """Measurements of many replications of a family, by claim, with leading axis F.

    Both arms are simulated: a plain one, and one that differs by effect and scatter. Arrays are of
    shape (F, T, S) with S the last planned look.

    Args:
        draw: how the differences scatter.
        criteria: of the family.
        effects: a claim's true effects, shape (T,).
        families: how many replications.
        rng: where chance comes from.
    """
    seeds = criteria[0].plan.looks[-1]
    shape = (families, len(criteria), 2, seeds)
    scatter_FCTS = draw(rng, shape)
    plain_FCTS = rng.standard_normal(shape)
    arrays = []
    for c, criterion in enumerate(criteria):
        tasks = len(criterion.tasks)
        effects_FTS = scatter_FCTS[:, c, :tasks] + effects(criterion)[:, None]
        plain_FTS = plain_FCTS[:, c, :tasks]
        other_FTS = plain_FTS + effects_FTS
        # Subtracting again rounds as real differences do, so "identical" ones differ in the last bits.
        arrays.append(Arrays(other_FTS - plain_FTS, (plain_FTS, other_FTS)))
    return arrays


def calibrate_row(
    seeds: str, null: Null, *, families: int, claims: int, seed: int, plan: Plan = USUAL
) -> Row:
    """Judge many families of null claims with ``look_at`` and ``settle``, as ``judge_family`` does."""
    rng = np.random.default_rng([seed, list(SEEDS).index(seeds), list(NULLS).index(null)])
    criteria = null_family(claims, null, plan)
    arrays = simulate(
        SEEDS[seeds], criteria, lambda each: null_effects(each, null), families=families, rng=rng
    )
    words_FC = settle(look_at(criteria, arrays, plan), plan).words
    invalid_FC = np.stack([unfit(claim) for claim in arrays], axis=-1)
    any_false = {
        word: float((words_FC == w).any(axis=-1).mean()) for w, word in enumerate(DECIDING)
    }
    return Row(
        seeds=seeds,
        null=NULLS[null],
        families=families,
        claims=claims,
        any_false_supported=any_false[Word.SUPPORTED],
        any_false_refuted=any_false[Word.REFUTED],
        any_false_equivalent=any_false[Word.EQUIVALENT],
        invalid=float(invalid_FC.mean()),
        undecided=float(((words_FC == NONE_YET) & ~invalid_FC).mean()),
        bound=plan.supported,
    )


def calibrate(*, families: int, claims: int, seed: int, plan: Plan = USUAL) -> Iterator[Row]:
    """All rows of the table, one after the other."""
    check_numbers(families, claims, seed)
    return (
        calibrate_row(seeds, null, families=families, claims=claims, seed=seed, plan=plan)
        for seeds in SEEDS
        for null in NULLS
    )


def check_numbers(families: int, claims: int, seed: int) -> None:
    """Refuse numbers with which nothing can be simulated.

    Raises:
        InputError: fewer than one family or claim, or a negative seed.
    """
    if families < 1 or claims < 1 or seed < 0:
        raise InputError(
            "calibrate",
            f"{families} families of {claims} claims, seed {seed}",
            "at least one family and one claim, and a seed >= 0",
            "The documented table has 2000 families of 12 claims.",
        )


def number_of_rows() -> int:
    """How many rows ``calibrate`` yields."""
    return len(SEEDS) * len(NULLS)
