"""A section of the lock: one registered family, with all that decides its verdicts.

It is known by the digest of its content, never by the name of a scale. Every recipe of the family can
be made from it alone, without data at hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kdcheck.claims import Arm, Claim, Contrast
from kdcheck.errors import ClaimError, InputError
from kdcheck.evidence.files import digest_of
from kdcheck.evidence.lock_shapes import StoredSection
from kdcheck.evidence.shapes import departure
from kdcheck.recipe import ENGINE_VERSION, Recipe
from kdcheck.study.graph import Digests, recipe_of
from kdcheck.study.scale import Scale
from kdcheck.verdict import Criterion, Plan

if TYPE_CHECKING:
    from kdcheck.tasks import Task

NEXT_STEP = "Take the file back from version control, or write it anew with kdcheck lock."
WORDS = ("says", "because")
"""What a claim's entry explains; rewording it is no other attempt."""


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """What a lock knows of a task."""

    digest: str
    """Of its whole content."""
    classes: int
    majority: float = 0.0
    """Share of the largest class in the test split, as it is cut."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Digest of ids and labels by split: the whole training split, the others as they are cut."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One registered family."""

    paper: str
    settings: Mapping[str, Any]
    """What the scale decides for the family's arms: see :meth:`Scale.content`."""
    tasks: Mapping[str, TaskFacts]
    encoders: Mapping[str, Mapping[str, str]]
    """Name and digest of the larger and the smaller one."""
    plan: Plan
    seeds: tuple[int, ...]
    """In the order in which they count."""
    claims: Mapping[str, Mapping[str, Any]]
    """By id: what decides it, and its contrast in full."""
    earlier: tuple[str, ...] = ()
    """Digests of the sections for the same data that count as attempts before this one."""
    engine_version: str = ENGINE_VERSION

    @property
    def attempt(self) -> int:
        """Which attempt at this data it is; each later one has a tenth of the error rate."""
        return self.plan.attempt

    @cached_property
    def digest(self) -> str:
        """sha256 of the content."""
        return digest_of(self.to_dict())

    @cached_property
    def scale(self) -> Scale:
        """The scale that it was made from, as far as it decides anything."""
        settings = self.settings
        return Scale(
            name=self.digest[:8],
            pair=(self.encoders["larger"]["name"], self.encoders["smaller"]["name"]),
            tasks=tuple(self.tasks),
            seeds=self.plan.looks[0],
            first_seed=self.seeds[0],
            training={**settings["training"], "engine_version": self.engine_version},
            methods=settings["methods"],
            rows=settings["rows"],
            may_collapse=tuple(settings["may_collapse"]),
            rehearsal=settings.get("rehearsal", False),
        )

    def criterion(self, claim: str, scale: str) -> Criterion:
        """The registered criterion of a claim; a verdict shows it under the name of a scale."""
        entry = {k: v for k, v in self.claims[claim].items() if k != "measures"}
        return Criterion(
            **{**entry, "rests_on": tuple(entry["rests_on"])},
            claim=claim,
            tasks=tuple(self.tasks),
            paper=self.paper,
            scale=scale,
            seeds=self.seeds,
            plan=self.plan,
        )

    def measures(self, claim: str) -> Contrast:
        """The registered contrast of a claim."""
        return Contrast.from_dict(self.claims[claim]["measures"])

    @cached_property
    def study(self) -> Mapping[str, Any]:
        """What was run, whichever claims asked for it, as JSON values."""
        return self.to_dict() | {"claims": {}}

    def same_data(self, other: Section | Past) -> bool:
        """Whether they share a task and an encoder by content: then one is a further try of the other."""
        return _same_data(self.facts, other if isinstance(other, Past) else other.facts)

    @cached_property
    def facts(self) -> Past:
        """What the history keeps of it."""
        return Past(
            paper=self.paper,
            attempt=self.attempt,
            tasks=tuple(sorted(task.digest for task in self.tasks.values())),
            encoders=tuple(sorted({each["digest"] for each in self.encoders.values()})),
            claims=len(self.claims),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values; tasks as a list, since their order shows."""
        plain = {
            "paper": self.paper,
            "settings": self.settings,
            "tasks": [{"name": name, **asdict(task)} for name, task in self.tasks.items()],
            "encoders": self.encoders,
            "plan": asdict(self.plan),
            "seeds": self.seeds,
            "claims": self.claims,
            "earlier": self.earlier,
            "engine_version": self.engine_version,
        }
        values: dict[str, Any] = json.loads(json.dumps(plain))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Section:
        """The section that :meth:`to_dict` wrote.

        Raises:
            InputError: a field is missing or of another kind.
        """
        if told := departure(StoredSection, values):
            got = f"a section that cannot be read ({told})"
            raise InputError("lock", got, "one of this version", NEXT_STEP)
        try:
            tasks = {
                task["name"]: TaskFacts(**{k: v for k, v in task.items() if k != "name"})
                for task in values["tasks"]
            }
            given = {
                "tasks": tasks,
                "plan": Plan.from_dict(values["plan"]),
                "seeds": tuple(values["seeds"]),
            }
            return cls(**{**values, **given, "earlier": tuple(values["earlier"])})
        except (ClaimError, KeyError, TypeError, AttributeError) as error:
            got, wanted = f"a section that cannot be read ({error!r})", "one of this version"
            raise InputError("lock", got, wanted, NEXT_STEP) from error


@dataclass(frozen=True, kw_only=True)
class Past:
    """What is kept of a section that another took the place of."""

    paper: str
    attempt: int
    tasks: tuple[str, ...]
    """Digests."""
    encoders: tuple[str, ...]
    """Digests."""
    claims: int
    """How many there were."""


def _same_data(one: Past, other: Past) -> bool:
    shared = [set(one.tasks) & set(other.tasks), set(one.encoders) & set(other.encoders)]
    return one.paper == other.paper and all(shared)


def section_of(
    claims: Iterable[Claim],
    scale: Scale,
    digests: Digests,
    facts: Callable[[str], TaskFacts],
    seeds: tuple[int, ...],
    plan: Plan,
) -> Section:
    """The section that planned claims would have at a scale, as a first attempt."""
    planned = list(claims)
    arms = {arm for claim in planned for arm in claim.measures.arms()}
    encoders = {
        size: {"name": digests.encoder_name(size), "digest": digests.encoder(size)}
        for size in ("larger", "smaller")
    }
    return Section(
        paper=planned[0].paper.name,
        settings=scale.content(arms),
        tasks={task: facts(task) for task in scale.tasks},
        encoders=encoders,
        plan=plan,
        seeds=seeds,
        claims={claim.id: entry_of(claim) for claim in sorted(planned, key=lambda c: c.id)},
    )


def entry_of(claim: Claim) -> dict[str, Any]:
    """What a lock holds of a planned claim, as JSON values."""
    return {
        "margin": float(claim.margin.size),
        "unit": claim.margin.unit,
        "because": claim.because,
        "says": claim.says,
        "direction": claim.direction,
        "holds": claim.holds,
        "rests_on": list(claim.rests_on),
        "contrast": claim.measures.text,
        "measures": json.loads(json.dumps(claim.measures.to_dict())),
    }


def facts_of(task: Task, rows: Mapping[str, int]) -> TaskFacts:
    """What a lock says of a task that is cut to so many rows of a split."""
    cut = task.subset(validation=rows.get("validation"), test=rows.get("test"))
    counts = [cut.test.labels.count(label) for label in range(task.num_classes)]
    return TaskFacts(
        digest=task.digest,
        classes=task.num_classes,
        majority=max(counts) / len(cut.test.labels),
        labels={
            name: labels_digest(part.ids, part.labels)
            for name, part in (
                ("train", task.train),
                ("validation", cut.validation),
                ("test", cut.test),
            )
        },
    )


def labels_digest(ids: Iterable[str], labels: Iterable[int]) -> str:
    """Digest of labels by example, in whatever order they come."""
    pairs = sorted((example, int(label)) for example, label in zip(ids, labels, strict=True))
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


class _Registered:
    """The digests of a section, for making its recipes."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def task(self, name: str) -> str:
        return self._section.tasks[name].digest

    def encoder(self, size: str) -> str:
        return self._section.encoders[size]["digest"]

    def encoder_name(self, size: str) -> str:
        return self._section.encoders[size]["name"]


def expected_recipe(section: Section, arm: Arm, task: str, seed: int) -> Recipe:
    """The recipe that a section registers for an arm on a task with a seed.

    Raises:
        InputError: the section has no such task or method.
    """
    if task not in section.tasks:
        got, wanted = f"the task {task!r}", f"one of {', '.join(section.tasks)}"
        raise InputError(f"lock {section.digest[:8]}", got, wanted, "Look up its tasks.")
    return recipe_of(arm, section.scale, task, seed, _Registered(section))
