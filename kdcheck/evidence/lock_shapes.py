"""What a lock file and its sections look like; the shapes of all other files are beside this."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kdcheck.evidence.shapes import Count, Direction, Expression, Shape, StoredPlan


class Facts(Shape):
    """What a lock knows of a task."""

    name: str
    digest: str
    classes: Count
    majority: float = 0.0
    labels: dict[str, str] = Field(default_factory=dict)


class Named(Shape):
    """An encoder of a pair."""

    name: str
    digest: str


class Encoders(Shape):
    """A pair."""

    larger: Named
    smaller: Named


class Training(Shape):
    """Recipe fields that all runs share; which there are, a recipe knows."""

    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)


class OfTask(Shape):
    """Recipe fields of a method on one task."""

    objective: dict[str, Any] = Field(default_factory=dict)


class Method(Shape):
    """Recipe fields of a method."""

    objective: dict[str, Any]
    tasks: dict[str, OfTask] = Field(default_factory=dict)


class Settings(Shape):
    """What a scale decides."""

    training: Training
    methods: dict[str, dict[str, Method | None]]
    rows: dict[str, dict[str, Count]]
    may_collapse: list[str]
    rehearsal: bool = False


class Registered(Shape):
    """The entry of a claim in a lock."""

    margin: float
    unit: str
    because: str
    says: str
    direction: Direction
    holds: Literal["every", "most", "some", "average"]
    rests_on: list[str]
    contrast: str
    measures: Expression


class StoredSection(Shape):
    """A section of a lock."""

    paper: str
    settings: Settings
    tasks: list[Facts]
    encoders: Encoders
    plan: StoredPlan
    seeds: Annotated[list[Count], Field(min_length=1)]
    claims: dict[str, Registered]
    earlier: list[str]
    engine_version: str


class StoredPast(Shape):
    """What is kept of a section that another took the place of."""

    paper: str
    attempt: Count
    tasks: list[str]
    encoders: list[str]
    claims: Count


class StoredLock(Shape):
    """A lock file; its sections are looked at one by one."""

    families: dict[str, dict[str, Any]]
    names: dict[str, str]
    history: dict[str, StoredPast]
