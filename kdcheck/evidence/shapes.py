"""What the files of a bundle, a store and a lock look like: each is held against this before it is used.

A shape has every field that is read and its kind; a field that it does not name is no part of it. What
names mean (a metric, an operation, an objective) is asked where the values become objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

Count = Annotated[int, Field(ge=0, le=2**53)]
Pair = Annotated[tuple[float, float], Field(strict=False)]
Direction = Literal["above", "not_below", "within"]
Loose = float | Literal["nan", "inf", "-inf"]
"""A number as a record of what was measured has it: JSON has none that are not finite."""


STRICT = ConfigDict(strict=True, allow_inf_nan=False)
"""Text is no number and a number no text; none is infinite."""


class Shape(BaseModel):
    """Named fields."""

    model_config = STRICT


class Fields(RootModel[dict[str, Any]]):
    """Fields that a recipe or a section of a lock knows."""

    model_config = STRICT


class Texts(RootModel[dict[str, str]]):
    """Texts by name."""

    model_config = STRICT


class Numbers(RootModel[dict[str, float]]):
    """Numbers by name."""

    model_config = STRICT


class Entry(Shape):
    """Where a part of a bundle lies, and the sum of its manifest."""

    folder: str
    manifest: str


class Contents(Shape):
    """The manifest of a bundle."""

    trainings: dict[str, Entry]
    claims: list[Entry]
    locks: list[str]


class Sums(Shape):
    """The manifest of one part: sha256 by file."""

    files: dict[str, str]


class Point(Shape):
    """One look at a model while it trains."""

    step: Count
    epoch: float
    values: dict[str, float]
    weights_digest: str


class Points(Shape):
    """The looks of a run."""

    points: Annotated[list[Point], Field(min_length=1)]
    notes: list[str]


class StoredArm(Shape):
    """A way of training."""

    method: str
    size: Literal["smaller", "larger"]
    teacher: StoredArm | None = None
    teacher_temperature: float = 1.0
    teacher_shuffled: bool = False
    budget: StoredArm | None = None


class StoredReading(Shape):
    """One statistic of an arm."""

    metric: str
    arm: StoredArm
    split: str
    temperature: float
    point: str


class Expression(Shape):
    """A contrast; its leaves hold a reading or a number."""

    operation: str
    of: list[Expression | StoredReading | float]


class StoredMargin(Shape):
    """The smallest effect that matters."""

    size: float
    unit: str


class StoredClaim(Shape):
    """A claim that was planned."""

    id: str
    says: str
    where: str
    holds: Literal["every", "most", "some", "average"]
    margin: StoredMargin
    because: str
    direction: Direction
    at_two_classes: str
    rests_on: list[str]
    theme: str
    paper: str
    contrast: Expression


class StoredPlan(Shape):
    """Looks and error rates."""

    looks: list[Count]
    weights: list[float]
    supported: float
    refuted: float
    equivalent: float
    attempt: Count


class StoredCriterion(Shape):
    """What a claim is judged by."""

    claim: str
    tasks: list[str]
    margin: float
    because: str
    unit: str
    contrast: str
    direction: Direction
    says: str
    holds: Literal["every", "most", "some", "average"] | Count
    rests_on: list[str]
    paper: str
    scale: str
    seeds: list[Count]
    plan: StoredPlan


class StoredEffects(Shape):
    """What was measured on one task."""

    seeds: list[Count]
    effects: list[Loose]
    arms: dict[str, list[Loose]]
    curves: dict[str, list[list[Loose]]]
    constants: dict[str, list[Loose]]
    limits: dict[str, Annotated[tuple[Loose, Loose], Field(strict=False)]]
    runs: dict[str, list[str]]
    data: str
    degenerate_runs: list[str]


class StoredMeasured(Shape):
    """What was measured for a claim."""

    tasks: dict[str, StoredEffects]
    seeds_expected: Count | None
    contrast: Expression | None


class Probabilities(Shape):
    """One for each word that seeds can decide."""

    SUPPORTED: float
    REFUTED: float
    EQUIVALENT: float


class Rivals(Shape):
    """The same, counts."""

    SUPPORTED: Count
    REFUTED: Count
    EQUIVALENT: Count


class StoredFault(Shape):
    """Why evidence is INVALID."""

    kind: str
    detail: str


class StoredVerdict(Shape):
    """A verdict with its inputs."""

    criterion: StoredCriterion
    criterion_digest: str
    measured: StoredMeasured | None
    word: str
    seeds_used: Count
    adjusted_p: Probabilities
    family_size: Count
    prior: Pair
    rivals: Rivals
    fault: StoredFault | None
    untestable: str
    premise_seeds: Count | None
    exploratory: list[str]
    derived: dict[str, Any]


class Row(Shape):
    """The runs of one arm: a digest by task and seed."""

    arm: StoredArm
    tasks: dict[str, dict[Annotated[str, Field(pattern=r"^\d{1,10}$")], str]]


class Table(Shape):
    """Which run is which."""

    tasks: list[str]
    seeds: list[Count]
    runs: list[Row]


class OfData(Shape):
    """What a reader of a figure must know of the data of a task."""

    marks: dict[str, str]


class StoredJudged(Shape):
    """A judged claim; what was run for it is a section, which is looked at with its lock."""

    claim: StoredClaim
    contrast_text: str
    verdict: StoredVerdict
    table: Table
    deviations: list[str]
    lock: str
    study: dict[str, Any]
    beside: list[str]
    data: dict[str, OfData] = {}


class Cells(Shape):
    """Figures of one arm in one table: value, half a unit of its last digit, and its text."""

    experiment: str
    table: str
    metric: str
    arm: StoredArm
    tasks: dict[str, Annotated[tuple[float, float, str], Field(strict=False)]]


class StoredFigure(Shape):
    """A figure of a paper."""

    name: str
    title: str
    arms: list[StoredArm]
    needs: list[StoredArm]


class StoredPaper(Shape):
    """A paper as a report shows it."""

    name: str
    title: str
    printed: list[Cells]
    figures: list[StoredFigure]
    labels: list[Annotated[tuple[str, str], Field(strict=False)]]
    colours: dict[str, str]
    arms: list[StoredArm]
    scale_names: list[str] = []


FILES: Mapping[str, type[BaseModel]] = {
    "recipe.json": Fields,
    "environment.json": Texts,
    "cost.json": Numbers,
    "points.json": Points,
    "judged.json": StoredJudged,
    "paper.json": StoredPaper,
    "lock.json": Fields,
    "manifest.json": Sums,
}
"""The shape of each JSON file of a part of a bundle or of a run in a store, by name."""


def departure(shape: type[BaseModel], values: Any) -> str:
    """Where JSON values first are not of a shape, and what is there; empty if they are.

    >>> departure(Point, {"step": "3", "epoch": 1.0, "values": {}, "weights_digest": ""})
    "step: '3' (input should be a valid integer)"
    """
    try:
        shape.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        said = f"{first['msg'][0].lower()}{first['msg'][1:]}"
        return f"{place}: {str(first['input'])[:60]!r} ({said})"
    return ""
