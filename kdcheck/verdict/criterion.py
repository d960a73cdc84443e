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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When we look and what errors we accept; one plan per family of claims.

    Raises:
        ClaimError: looks that do not rise from 2 seeds or more, or a rate outside 0 to 0.5.

    Source: decision 0041, looks first, then Holm.

    >>> plan = Plan()
    >>> plan.looks, plan.supported
    ((3, 5, 7, 10), 0.025)
    """

    looks: tuple[int, ...] = (3, 5, 7, 10)
    """Numbers of seeds at which a claim is judged, rising. Each look costs: see decision 0041."""
    supported: float = 0.025
    """Bound on the chance of any false SUPPORTED in the family, over all looks together."""
    refuted: float = 0.025
    """The same for REFUTED."""
    equivalent: float = 0.025
    """The same for EQUIVALENT."""
    attempt: int = 1
    """Which attempt of its family it is."""

    @classmethod
    def of(cls, seeds: int) -> Self:
        """The plan of a scale that runs so many seeds by default."""
        looks = {seeds, math.ceil(1.6 * seeds), math.ceil(2.5 * seeds), 4 * seeds}
        return cls(looks=tuple(sorted(looks)))

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.looks, self.looks[1:], strict=False))
        if not self.looks or self.looks[0] < 2 or not rising:
            raise ClaimError(
                "Plan",
                f"looks = {self.looks}",
                "rising numbers of seeds, the first at least 2",
                "A t test needs two differences; the usual plan is (3, 5, 7, 10).",
            )
        if not all(
            0 < self.rate(word) < 0.5 for word in (Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT)
        ):
            raise ClaimError(
                "Plan",
                f"rates {self.supported}, {self.refuted}, {self.equivalent}",
                "rates between 0 and 0.5",
                "The usual rate is 0.025 for each word.",
            )

    def rate(self, word: Word) -> float:
        """The error rate that the plan grants to a word.

        >>> Plan().rate(Word.REFUTED)
        0.025
        """
        rate: float = getattr(self, word.value.lower())
        return rate

    def reached(self, seeds: int) -> int:
        """How many of the looks are reached with so many seeds.

        >>> Plan().reached(6)
        2
        """
        return sum(look <= seeds for look in self.looks)


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
    seeds: tuple[int, ...] = tuple(range(10))
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
    def needed(self) -> int:
        """On how many tasks the effect must be as claimed, for the claim to hold."""
        if isinstance(self.holds, int):
            return self.holds
        tasks = len(self.tasks)
        return {"every": tasks, "most": tasks // 2 + 1, "some": 1, "average": tasks}[self.holds]

    def needed_for(self, word: Word) -> int:
        """On how many tasks a word must be shown: ``needed``, or enough to break the claim.

        "At least u of m" is false as soon as m - u + 1 tasks fail.

        >>> Criterion(claim="c", tasks=("a", "b", "c"), margin=1, because="x", unit="nats",
        ...           holds="every").needed_for(Word.REFUTED)
        1
        """
        return self.needed if word is Word.SUPPORTED else len(self.tasks) - self.needed + 1

    def to_dict(self) -> dict[str, Any]:
        """JSON scalars, lists and objects only."""
        return asdict(self) | {
            "tasks": list(self.tasks),
            "rests_on": list(self.rests_on),
            "seeds": list(self.seeds),
            "plan": asdict(self.plan) | {"looks": list(self.plan.looks)},
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
        plan = stored["plan"]
        return cls(
            **{
                **stored,
                "tasks": tuple(stored["tasks"]),
                "rests_on": tuple(stored["rests_on"]),
                "seeds": tuple(stored["seeds"]),
                "plan": Plan(**{**plan, "looks": tuple(plan["looks"])}),
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
