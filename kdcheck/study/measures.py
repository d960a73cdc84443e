"""Measures: what is read off a run, and the contrasts that claims build from them.

An expression is evaluated once per task and seed. It can be written as JSON and read back, so that
a verdict can be recomputed from stored evidence without the claim's code.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kdcheck.errors import EvidenceError

Values = npt.NDArray[np.float64]
FLOOR = "smoothing_floor_nats"
"""A reading that no seed changes: the closed-form entropy floor of a label-smoothing run."""
AT_TEMPERATURE = "@"
"""Stands between the name of an entropy and the temperature that its logits are divided by."""


class RunView(Protocol):
    """What a measure may see of one run.

    Source: none.

    >>> hasattr(RunView, "metric"), hasattr(RunView, "curve")
    (True, True)
    """

    def metric(self, name: str) -> float:
        """A metric of the finished model, such as ``test/mean_entropy_nats``."""
        ...

    def curve(self, name: str) -> Values:
        """The same metric at every evaluation point."""
        ...


Lookup = Callable[[str], RunView]
"""From the key of an arm to its run, for one task and seed."""


class Measure(ABC):
    """A number (or a curve) computed from the runs of one task and one seed.

    Source: the contrasts of section 4 and appendix A.3.

    >>> gap = Read("ls/smaller", "test/mean_entropy_nats") - Read("erm/smaller", "test/accuracy")
    >>> gap.text, sorted(gap.arms())
    ('mean_entropy_nats(ls/smaller) - accuracy(erm/smaller)', ['erm/smaller', 'ls/smaller'])
    """

    @abstractmethod
    def value(self, runs: Lookup) -> Any:
        """The number, or an array for a curve."""

    @abstractmethod
    def reads(self) -> frozenset[Read]:
        """Every reading it is made of."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The expression as people write it."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON values; :func:`from_dict` reads them back."""

    @property
    def is_curve(self) -> bool:
        """Whether its value is an array, one number per evaluation point."""
        return False

    def arms(self) -> frozenset[str]:
        """Keys of all arms that must have been run."""
        return frozenset(read.arm for read in self.reads())

    def __add__(self, other: Measure | float) -> Measure:
        return Operation("+", self, _lift(other))

    def __radd__(self, other: float) -> Measure:
        return Operation("+", _lift(other), self)

    def __sub__(self, other: Measure | float) -> Measure:
        return Operation("-", self, _lift(other))

    def __rsub__(self, other: float) -> Measure:
        return Operation("-", _lift(other), self)

    def __neg__(self) -> Measure:
        return -1.0 * self

    def __mul__(self, other: Measure | float) -> Measure:
        return Operation("*", self, _lift(other))

    def __rmul__(self, other: float) -> Measure:
        return Operation("*", _lift(other), self)

    def __truediv__(self, other: Measure | float) -> Measure:
        return Operation("/", self, _lift(other))


@dataclass(frozen=True)
class Read(Measure):
    """One metric of one arm: of the finished model, or at every evaluation point.

    Source: Tables 2 to 5 (finished); Figures 1 to 4 (curves).

    >>> Read("erm/smaller", "test/mean_entropy_nats", curve=True).text
    'curve of mean_entropy_nats(erm/smaller)'
    """

    arm: str
    name: str
    curve: bool = False

    def value(self, runs: Lookup) -> Any:
        """The metric, or its curve."""
        run = runs(self.arm)
        return run.curve(self.name) if self.curve else run.metric(self.name)

    @property
    def is_curve(self) -> bool:
        """Whether it was read at every evaluation point."""
        return self.curve

    def reads(self) -> frozenset[Read]:
        """Itself."""
        return frozenset({self})

    @property
    def text(self) -> str:
        """The expression as people write it."""
        shown = self.name.removeprefix("test/").replace("/", " ")
        return f"{'curve of ' if self.curve else ''}{shown}({self.arm})"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"read": self.name, "arm": self.arm, "curve": self.curve}


@dataclass(frozen=True)
class Constant(Measure):
    """A number known beforehand, such as a closed-form floor.

    Source: none.

    >>> Constant(0.5).text
    '0.5'
    """

    number: float

    def value(self, runs: Lookup) -> Any:  # noqa: ARG002 - one signature for all measures
        """The number."""
        return self.number

    def reads(self) -> frozenset[Read]:
        """Nothing."""
        return frozenset()

    @property
    def text(self) -> str:
        """The number."""
        return f"{self.number:g}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"constant": self.number}


OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True)
class Operation(Measure):
    """Two measures joined by + - * or /, element by element where they are curves.

    Source: none.

    >>> (Constant(3.0) / Constant(2.0)).value(lambda arm: None)
    1.5
    """

    sign: str
    left: Measure
    right: Measure

    def value(self, runs: Lookup) -> Any:
        """The joined value."""
        left, right = self.left.value(runs), self.right.value(runs)
        shapes = {np.shape(left), np.shape(right)} - {()}
        if len(shapes) > 1:
            raise EvidenceError(
                self.text,
                f"curves of {' and '.join(str(shape[0]) for shape in sorted(shapes))} points",
                "curves with the same evaluation points",
                "Compare arms of equal budget: arm.on_budget_of(other).",
            )
        return OPERATIONS[self.sign](left, right)

    @property
    def is_curve(self) -> bool:
        """Whether either side is one."""
        return self.left.is_curve or self.right.is_curve

    def reads(self) -> frozenset[Read]:
        """Those of both sides."""
        return self.left.reads() | self.right.reads()

    @property
    def text(self) -> str:
        """The expression as people write it."""
        left, right = self.left.text, self.right.text
        if self.sign in "*/" and isinstance(self.left, Operation):
            left = f"({left})"
        if self.sign != "+" and isinstance(self.right, Operation):
            right = f"({right})"
        return f"{left} {self.sign} {right}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"operation": self.sign, "of": [self.left.to_dict(), self.right.to_dict()]}


def _first(curve: Values) -> float:
    return float(curve[0])


REDUCTIONS: Mapping[str, Callable[[Values], float]] = {
    "least": lambda curve: float(np.min(curve)),
    "mean": lambda curve: float(np.mean(curve)),
    "first": _first,
}


@dataclass(frozen=True)
class Reduction(Measure):
    """A curve made one number: its least value, its mean, or its first point.

    Source: "throughout" and "early in training" of section 4.

    >>> Reduction("least", Read("erm/smaller", "test/accuracy", curve=True)).text
    'least of curve of accuracy(erm/smaller)'
    """

    kind: str
    curve: Measure

    def value(self, runs: Lookup) -> Any:
        """The number."""
        return REDUCTIONS[self.kind](np.asarray(self.curve.value(runs)))

    def reads(self) -> frozenset[Read]:
        """Those of the curve."""
        return self.curve.reads()

    @property
    def text(self) -> str:
        """The expression as people write it."""
        inner = f"({self.curve.text})" if isinstance(self.curve, Operation) else self.curve.text
        return f"{self.kind} of {inner}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"reduction": self.kind, "of": [self.curve.to_dict()]}


def _slope(x: Values, y: Values) -> float:
    centred = x - x.mean()
    return float((centred * (y - y.mean())).sum() / (centred**2).sum())


def _rank_correlation(x: Values, y: Values) -> float:
    from scipy.stats import rankdata

    ranks_x, ranks_y = rankdata(x), rankdata(y)
    spread = float(ranks_x.std() * ranks_y.std())
    covariance = float(((ranks_x - ranks_x.mean()) * (ranks_y - ranks_y.mean())).mean())
    return covariance / spread if spread else float("nan")


RELATIONS: Mapping[str, Callable[[Values, Values], float]] = {
    "slope": _slope,
    "rank correlation": _rank_correlation,
}


@dataclass(frozen=True)
class Relation(Measure):
    """How one list of measures follows another: least-squares slope, or Spearman's correlation.

    Source: "inherits its confidence" of section 4.

    >>> xs = (Constant(0.0), Constant(1.0)); ys = (Constant(1.0), Constant(3.0))
    >>> Relation("slope", xs, ys).value(lambda arm: None)
    2.0
    """

    kind: str
    xs: tuple[Measure, ...]
    ys: tuple[Measure, ...]

    def value(self, runs: Lookup) -> Any:
        """The number; NaN where the xs are all equal."""
        x = np.array([measure.value(runs) for measure in self.xs])
        y = np.array([measure.value(runs) for measure in self.ys])
        with np.errstate(invalid="ignore", divide="ignore"):
            return RELATIONS[self.kind](x, y)

    def reads(self) -> frozenset[Read]:
        """Those of both lists."""
        return frozenset().union(*(measure.reads() for measure in (*self.xs, *self.ys)))

    @property
    def text(self) -> str:
        """The expression as people write it."""
        ys, xs = (", ".join(m.text for m in measures) for measures in (self.ys, self.xs))
        return f"{self.kind} of [{ys}] on [{xs}]"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        lists = [[measure.to_dict() for measure in measures] for measures in (self.xs, self.ys)]
        return {"relation": self.kind, "of": lists}


def from_dict(stored: Mapping[str, Any]) -> Measure:
    """The measure that ``to_dict`` wrote.

    Raises:
        EvidenceError: an expression that this version does not know.

    Source: none.

    >>> from_dict((Constant(1.0) - Read("a/smaller", "test/nll_nats")).to_dict()).text
    '1 - nll_nats(a/smaller)'
    """
    try:
        if "read" in stored:
            return Read(stored["arm"], stored["read"], stored["curve"])
        if "constant" in stored:
            return Constant(stored["constant"])
        if "operation" in stored:
            left, right = stored["of"]
            return Operation(stored["operation"], from_dict(left), from_dict(right))
        if "reduction" in stored:
            return Reduction(stored["reduction"], from_dict(stored["of"][0]))
        xs, ys = (tuple(from_dict(each) for each in part) for part in stored["of"])
        return Relation(stored["relation"], xs, ys)
    except (KeyError, ValueError, TypeError) as error:
        raise EvidenceError(
            "contrast",
            f"{dict(stored)!r}",
            "an expression of this version",
            "Was the evidence written by a newer kdcheck?",
        ) from error


def _lift(value: Measure | float) -> Measure:
    return value if isinstance(value, Measure) else Constant(float(value))
