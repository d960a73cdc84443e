"""A criterion: what a claim must show, fixed before the first run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from kdcheck.errors import ClaimError
from kdcheck.verdict.words import REGIONS, Direction, Word

Holds = Literal["every", "most", "some", "average"] | int

QUANTIFIERS = ("every", "most", "some", "average")
REWORDABLE = ("says", "because")
"""Fields that explain and do not decide: they are stored, but are no part of the digest."""


MAIN_SHARE = 0.7
"""What the first look may spend of each error rate; the later ones share the rest."""
FIRST_ATTEMPT = 0.9
"""What a first attempt may spend of it; each further one has a tenth of the one before it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When we look and what errors we accept; one plan per family of claims.

    Raises:
        ClaimError: looks that do not rise from 2 seeds or more, weights that do not fit them, an
            attempt below 1, or a rate outside 0 to 0.5.

    Source: decision 0100, one main look; decision 0102, attempts share the error rate.

    >>> plan = Plan.of(5)
    >>> plan.looks, plan.weights, plan.rate(Word.SUPPORTED)
    ((5, 8, 13, 20), (0.7, 0.1, 0.1, 0.1), 0.0225)
    """

    looks: tuple[int, ...] = (5, 8, 13, 20)
    """Numbers of seeds at which a claim is judged, rising."""
    weights: tuple[float, ...] = ()
    """Per look, the share of each error rate that it may spend; left out: 0.7 for the first."""
    supported: float = 0.025
    """Bound on the chance of any false SUPPORTED in the family, over all looks and attempts together."""
    refuted: float = 0.025
    """The same for REFUTED."""
    equivalent: float = 0.025
    """The same for EQUIVALENT."""
    attempt: int = 1
    """Which attempt at its data it is: a changed family that is run again pays for the ones before."""

    @classmethod
    def of(cls, seeds: int) -> Self:
        """The plan of a scale that runs so many seeds by default, at least 2.

        >>> Plan.of(3).looks
        (3, 5, 8, 12)
        """
        n = max(2, seeds)
        return cls(looks=(n, math.ceil(n * 8 / 5), math.ceil(n * 5 / 2), 4 * n))

    def __post_init__(self) -> None:
        if not self.weights:
            object.__setattr__(self, "weights", _shares(len(self.looks)))
        for wrong, got, wanted, next_step in self._complaints():
            if wrong:
                raise ClaimError("Plan", got, wanted, next_step)

    def _complaints(self) -> tuple[tuple[bool, str, str, str], ...]:
        rising = all(a < b for a, b in zip(self.looks, self.looks[1:], strict=False))
        rates = (self.supported, self.refuted, self.equivalent)
        return (
            (
                not self.looks or self.looks[0] < 2 or not rising,
                f"looks = {self.looks}",
                "rising numbers of seeds, the first at least 2",
                "A t test needs two differences; Plan.of(5) is the usual plan.",
            ),
            (
                len(self.weights) != len(self.looks)
                or not all(weight > 0 for weight in self.weights)
                or sum(self.weights) > 1 + 1e-9,
                f"weights = {self.weights} for {len(self.looks)} looks",
                "one positive share for each look, together at most 1",
                "Leave them out: the first look gets 0.7, the others share the rest.",
            ),
            (
                type(self.attempt) is not int or self.attempt < 1,
                f"attempt = {self.attempt!r}",
                "a whole number from 1",
                "kdcheck lock counts the attempts.",
            ),
            (
                not all(0 < rate < 0.5 for rate in rates),
                f"rates {', '.join(map(str, rates))}",
                "rates between 0 and 0.5",
                "The usual rate is 0.025 for each word.",
            ),
        )

    @property
    def price(self) -> float:
        """The share of each error rate that this attempt may spend; all attempts together spend 1.

        >>> round(Plan(attempt=2).price, 3)
        0.09
        """
        return FIRST_ATTEMPT * (1 - FIRST_ATTEMPT) ** (self.attempt - 1)

    def rate(self, word: Word) -> float:
        """The error rate that a word may spend in this attempt.

        >>> Plan().rate(Word.REFUTED)
        0.0225
        """
        rate: float = getattr(self, word.value.lower())
        # Rounded, so that people read .0225 and not .022500000000000003.
        return round(rate * self.price, 15)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back."""
        return asdict(self) | {"looks": list(self.looks), "weights": list(self.weights)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The plan that :meth:`to_dict` wrote."""
        lists = {name: tuple(stored[name]) for name in ("looks", "weights")}
        return cls(**{**stored, **lists})

    def reached(self, seeds: int) -> int:
        """How many of the looks are reached with so many seeds.

        >>> Plan().reached(9)
        2
        """
        return sum(look <= seeds for look in self.looks)


def _shares(looks: int) -> tuple[float, ...]:
    later = [round((1 - MAIN_SHARE) / (looks - 1), 12)] * (looks - 1) if looks > 1 else []
    return (MAIN_SHARE if later else 1.0, *later)


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What a claim must show, fixed before the first run.

    Per task, the effect is the expected paired difference of one seed. A claim "above" says
    effect > margin (write the contrast so that the claimed direction is positive), "not_below"
    says effect > -margin, "within" says |effect| < margin.

    Raises:
        ClaimError: a margin, task, seed or quantifier that cannot be judged; the message names it.

    Source: decision 0040, what the words of a verdict mean.

    >>> criterion = Criterion(
    ...     claim="ls_raises_entropy", contrast="entropy(LS) - entropy(ERM)", unit="nats",
    ...     margin=0.05, because="the smallest gap in print is six times as large",
    ...     tasks=("tweets", "snippets"))
    >>> criterion.needed, Criterion.from_dict(criterion.to_dict()) == criterion
    (2, True)
    """

    claim: str
    """Id of the claim, unique within its family."""
    tasks: tuple[str, ...]
    """Tasks that must be run: no more, no fewer."""
    margin: float
    """Smallest effect of interest, in ``unit``; 0 or more."""
    because: str
    """Why this margin, in a sentence."""
    unit: str
    """Unit of effect and margin, such as "nats" or "accuracy points"."""
    contrast: str = ""
    """What is subtracted from what; part of the digest, so its sign cannot be turned later."""
    direction: Direction = "above"
    """Where the claim says that the effect lies."""
    says: str = ""
    """The claim as a sentence."""
    holds: Holds = "every"
    """On which tasks: "every", "most" (more than half), "some", at least this many, or "average":
    of the mean over all tasks."""
    rests_on: tuple[str, ...] = ()
    """Ids of the claims of its family that must be SUPPORTED for it to say anything: its premises."""
    paper: str = ""
    """Name of the paper whose claim it is; a family is the claims of one paper at one scale."""
    scale: str = ""
    """Name of the scale at which it is judged; a verdict always says it."""
    seeds: tuple[int, ...] = tuple(range(20))
    """Seeds in the order in which they count: a look at n uses the first n."""
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        for wrong, got, wanted, next_step in self._complaints():
            if wrong:
                raise ClaimError(f"criterion of {self.claim!r}", got, wanted, next_step)

    def _complaints(self) -> tuple[tuple[bool, str, str, str], ...]:
        margin_ok = math.isfinite(self.margin) and self.margin >= 0
        count = self.holds if isinstance(self.holds, int) else 1
        return (
            (not self.claim, "no claim id", "an id", "Give the claim a name."),
            (
                not margin_ok,
                f"margin {self.margin!r}",
                "a finite margin >= 0",
                "Turn the contrast round if the claim says that the effect is negative.",
            ),
            (
                self.direction not in REGIONS,
                f"direction={self.direction!r}",
                f"one of {sorted(REGIONS)}",
                "See docs/verdicts.md for what each kind means.",
            ),
            (
                self.direction == "within" and self.margin == 0,
                "margin 0 for direction='within'",
                "a positive margin",
                "No number of seeds shows that an effect is exactly zero.",
            ),
            (
                not self.because.strip(),
                "no reason for the margin",
                "a sentence",
                "Say in `because` why a smaller effect would not matter.",
            ),
            (
                not self.tasks or len(set(self.tasks)) < len(self.tasks),
                f"tasks {self.tasks}",
                "at least one task, each once",
                "List the tasks of this scale.",
            ),
            (
                isinstance(self.holds, str) and self.holds not in QUANTIFIERS,
                f"holds={self.holds!r}",
                f"one of {', '.join(QUANTIFIERS)}, or a count",
                "Name the quantifier.",
            ),
            (
                not 1 <= count <= max(len(self.tasks), 1),
                f"holds={self.holds!r}",
                f"a count from 1 to {len(self.tasks)}",
                "A claim cannot need more tasks than it has.",
            ),
            (
                len(set(self.seeds)) < max(len(self.seeds), self.plan.looks[-1]),
                f"{len(set(self.seeds))} distinct seeds in {len(self.seeds)}",
                f"at least {self.plan.looks[-1]}, each once",
                "The last planned look needs them.",
            ),
        )

    @property
    def parts(self) -> int:
        """Among how many effects per seed the quantifier chooses: the tasks, or their one mean."""
        return 1 if self.holds == "average" else len(self.tasks)

    @property
    def needed(self) -> int:
        """On how many of them the effect must be as claimed, for the claim to hold."""
        if isinstance(self.holds, int):
            return self.holds
        tasks = len(self.tasks)
        return {"every": tasks, "most": tasks // 2 + 1, "some": 1, "average": 1}[self.holds]

    def needed_for(self, word: Word) -> int:
        """On how many parts a word must be shown: ``needed``, or enough to break the claim.

        "At least u of m" is false as soon as m - u + 1 tasks fail.

        >>> Criterion(claim="c", tasks=("a", "b", "c"), margin=1, because="x", unit="nats",
        ...           holds="every").needed_for(Word.REFUTED)
        1
        """
        return self.needed if word is Word.SUPPORTED else self.parts - self.needed + 1

    def to_dict(self) -> dict[str, Any]:
        """JSON scalars, lists and objects only."""
        return asdict(self) | {
            "tasks": list(self.tasks),
            "rests_on": list(self.rests_on),
            "seeds": list(self.seeds),
            "plan": self.plan.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The criterion that ``to_dict`` wrote.

        Raises:
            ClaimError: a field that this version does not know.
        """
        unknown = set(stored) - {f.name for f in fields(cls)}
        if unknown:
            raise ClaimError(
                "Criterion.from_dict",
                f"unknown fields {sorted(unknown)}",
                "a criterion of this version",
                "Was it written by a newer kdcheck?",
            )
        return cls(
            **{
                **stored,
                "tasks": tuple(stored["tasks"]),
                "rests_on": tuple(stored["rests_on"]),
                "seeds": tuple(stored["seeds"]),
                "plan": Plan.from_dict(stored["plan"]),
            }
        )

    @property
    def digest(self) -> str:
        """sha256 over everything that decides a verdict; rewording an explanation keeps it.

        >>> from dataclasses import replace
        >>> one = Criterion(claim="c", tasks=("a",), margin=1, because="x", unit="nats")
        >>> replace(one, because="better said").digest == one.digest
        True
        >>> replace(one, margin=2).digest == one.digest
        False
        """
        decides = {k: v for k, v in self.to_dict().items() if k not in REWORDABLE}
        # float() so that a margin written 1 and one read back as 1.0 are one criterion.
        text = json.dumps(decides | {"margin": float(self.margin)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
