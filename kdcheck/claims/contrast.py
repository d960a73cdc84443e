"""Contrasts: expressions over readings, evaluated on runs and on a paper's tables alike.

A reading names one statistic of one arm. A contrast is a node with the name of an operation and what
it works on; :data:`OPERATIONS` is the one table of operations, so a new one is a row. Both can be
written as JSON and read back, so that a verdict can be recomputed without the claim's code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kdcheck.claims.arm import Arm
from kdcheck.errors import ClaimError, EvidenceError
from kdcheck.metrics import METRICS

Values = npt.NDArray[np.float64]
SAMPLES = ("test_sample", "train_sample")
"""Of these every look has logits, hence curves; they are samples of test and training split."""
SPLITS = ("test", "validation", *SAMPLES)
"""Of these the finished model has logits."""
POINTS = ("last", "first", "every")


@dataclass(frozen=True)
class Reading:
    """One statistic of one arm: metric, split, temperature and evaluation point.

    Raises:
        ClaimError: an unknown metric, split or point, a metric that the arm cannot have, or looks
            before the end on a whole split.

    Source: a figure of a table (``last``), or a curve of a figure (``every``).

    >>> Reading("accuracy", Arm("erm", "smaller"), "test_sample", point="every").text
    'curve of test_sample accuracy(erm/smaller)'
    """

    metric: str
    """A row of :data:`kdcheck.metrics.METRICS`."""
    arm: Arm
    split: str = "test"
    temperature: float = 1.0
    """What the logits are divided by first."""
    point: Literal["last", "first", "every"] = "last"
    """The finished model, the first look at it, or every look as a curve."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", float(self.temperature))
        for what, got, known in (
            ("metric", self.metric, tuple(METRICS)),
            ("split", self.split, SPLITS),
            ("point", self.point, POINTS),
        ):
            if got not in known:
                wanted = f"one of {', '.join(known)}"
                raise ClaimError(
                    f"reading of {self.arm.key}", f"{what}={got!r}", wanted, "Name one."
                )
        if self.point != "last" and self.split not in SAMPLES:
            got, step = f"looks before the end on {self.split}", f"Say split={SAMPLES[0]!r}."
            wanted = f"one of {', '.join(SAMPLES)}, which alone they see"
            raise ClaimError(f"reading of {self.arm.key}", got, wanted, step)
        if METRICS[self.metric].needs == "teacher" and self.arm.teacher is None:
            got, wanted = f"{self.metric} of an arm that nobody teaches", "an arm with a teacher"
            raise ClaimError(
                f"reading of {self.arm.key}", got, wanted, "Read another metric of it."
            )

    @property
    def text(self) -> str:
        """The reading as people write it."""
        split = "" if self.split == "test" else f"{self.split} "
        when = {"last": "", "first": "first look at ", "every": "curve of "}[self.point]
        warmth = "" if self.temperature == 1.0 else f" at temperature {self.temperature:g}"
        return f"{when}{split}{self.metric}({self.arm.key}){warmth}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back."""
        return vars(self) | {"arm": self.arm.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reading:
        """The reading that :meth:`to_dict` wrote."""
        return cls(**{**values, "arm": Arm.from_dict(values["arm"])})


Lookup = Callable[[Reading], Any]
"""From a reading to its value for one task and seed: a number, or an array for a curve."""


@dataclass(frozen=True)
class Operation:
    """A row of the table: what is computed, on how many values, and whether they may be curves."""

    of: Callable[..., Any]
    least: int = 2
    most: int | None = 2
    """None: any number."""
    takes: Literal["numbers", "curve", "either"] = "either"
    """``numbers`` alone, one ``curve`` that it makes a number, or ``either``."""
    even: bool = False
    """Whether the values are two lists of one length, the first half and the second."""


def _slope(*values: float) -> float:
    y, x = np.reshape(values, (2, -1))
    centred = x - x.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return float((centred * (y - y.mean())).sum() / (centred**2).sum())


def _rank_correlation(*values: float) -> float:
    from scipy.stats import rankdata

    y, x = (rankdata(half) for half in np.reshape(values, (2, -1)))
    spread = float(x.std() * y.std())
    return float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread else float("nan")


def _fisher_z(correlation: float) -> float:
    """Fisher 1915: spreads correlations out so that their errors are nearly normal; infinite at 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.arctanh(correlation))


def _between(value: Any, one: Any, other: Any) -> Any:
    """How far inside the two bounds, in whichever order; below 0 outside them."""
    return np.minimum(value - np.minimum(one, other), np.maximum(one, other) - value)


OPERATIONS: Mapping[str, Operation] = {
    "+": Operation(operator.add),
    "-": Operation(operator.sub),
    "*": Operation(operator.mul),
    "/": Operation(operator.truediv),
    "minimum": Operation(lambda *values: reduce(np.minimum, values), most=None),
    "maximum": Operation(lambda *values: reduce(np.maximum, values), most=None),
    "between": Operation(_between, least=3, most=3),
    "least": Operation(np.min, least=1, most=1, takes="curve"),
    "greatest": Operation(np.max, least=1, most=1, takes="curve"),
    "mean": Operation(np.mean, least=1, most=1, takes="curve"),
    "first": Operation(operator.itemgetter(0), least=1, most=1, takes="curve"),
    "fisher z": Operation(_fisher_z, least=1, most=1, takes="numbers"),
    "slope": Operation(_slope, least=4, most=None, takes="numbers", even=True),
    "rank correlation": Operation(
        _rank_correlation, least=4, most=None, takes="numbers", even=True
    ),
}
SIGNS = "+-*/"


@dataclass(frozen=True)
class Contrast:
    """A number (or a curve) computed from the readings of one task and one seed.

    Written with + - * / on other contrasts and numbers, or by :func:`apply`.

    Raises:
        ClaimError: an operation on values that it does not take.

    Source: what a claim says of its arms, its claimed direction positive.

    >>> gap = reading("mean_entropy_nats", Arm("ls", "larger")) - 0.5
    >>> gap.text, gap.value(lambda reading: 0.75)
    ('mean_entropy_nats(ls/larger) - 0.5', 0.25)
    """

    operation: str
    """A row of :data:`OPERATIONS`, or ``reading`` or ``number`` for a leaf."""
    of: tuple[Contrast | Reading | float, ...]

    def __post_init__(self) -> None:
        if not self.is_leaf:
            _check(self.operation, self.parts)

    @property
    def is_leaf(self) -> bool:
        """Whether it holds a reading or a number."""
        return self.operation in ("reading", "number")

    @property
    def parts(self) -> tuple[Contrast, ...]:
        """The contrasts that it works on; none for a leaf."""
        return () if self.is_leaf else self.of  # type: ignore[return-value]

    def value(self, lookup: Lookup) -> Any:
        """The number, or an array for a curve.

        Raises:
            EvidenceError: curves with other evaluation points.
        """
        if self.is_leaf:
            leaf = self.of[0]
            return lookup(leaf) if isinstance(leaf, Reading) else leaf
        values = [part.value(lookup) for part in self.parts]
        lengths = {len(value) for value in values if np.ndim(value)}
        if len(lengths) > 1:
            got = f"curves of {' and '.join(map(str, sorted(lengths)))} points"
            step = "Compare arms of equal budget: arm.on_budget_of(other)."
            raise EvidenceError(self.text, got, "curves with the same evaluation points", step)
        found = OPERATIONS[self.operation].of(*values)
        return found if np.ndim(found) else float(found)

    def readings(self) -> tuple[Reading, ...]:
        """Every reading it is made of, each once, in order."""
        if self.is_leaf:
            return tuple(leaf for leaf in self.of if isinstance(leaf, Reading))
        return tuple(dict.fromkeys(r for part in self.parts for r in part.readings()))

    def arms(self) -> tuple[Arm, ...]:
        """All arms that must have been run, by key."""
        return tuple(sorted({reading.arm for reading in self.readings()}, key=lambda arm: arm.key))

    @property
    def is_curve(self) -> bool:
        """Whether its value is an array, one number per evaluation point."""
        if self.is_leaf:
            return any(reading.point == "every" for reading in self.readings())
        takes = OPERATIONS[self.operation].takes
        return takes == "either" and any(part.is_curve for part in self.parts)

    @property
    def text(self) -> str:
        """The expression as people write it."""
        if self.is_leaf:
            leaf = self.of[0]
            return leaf.text if isinstance(leaf, Reading) else f"{leaf:.12g}"
        texts = [part.text for part in self.parts]
        if self.operation not in SIGNS:
            half = len(texts) // 2
            if OPERATIONS[self.operation].even:
                texts = [f"[{', '.join(texts[:half])}]", f"[{', '.join(texts[half:])}]"]
            return f"{self.operation} of ({', '.join(texts)})"
        signed = [part.operation in SIGNS for part in self.parts]
        left = f"({texts[0]})" if signed[0] and self.operation in "*/" else texts[0]
        right = f"({texts[1]})" if signed[1] and self.operation != "+" else texts[1]
        return f"{left} {self.operation} {right}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back."""
        return {
            "operation": self.operation,
            "of": [part if isinstance(part, float) else part.to_dict() for part in self.of],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Contrast:
        """The contrast that :meth:`to_dict` wrote.

        Raises:
            EvidenceError: an expression that this version does not know.
        """
        try:
            name, of = stored["operation"], stored["of"]
            if name == "reading":
                return cls(name, (Reading.from_dict(of[0]),))
            if name == "number":
                return cls(name, (float(of[0]),))
            return cls(name, tuple(cls.from_dict(part) for part in of))
        except ClaimError as error:
            wanted = f"what this version knows, {error.wanted}"
            step = "Load a metric of your own with kdcheck --load FILE, or use a newer kdcheck."
            raise EvidenceError("stored contrast", error.got, wanted, step) from error
        except (KeyError, IndexError, ValueError, TypeError) as error:
            wanted, step = "an expression of this version", "Was it written by a newer kdcheck?"
            raise EvidenceError("stored contrast", f"{stored!r}", wanted, step) from error

    def __add__(self, other: Contrast | float) -> Contrast:
        return apply("+", self, other)

    def __radd__(self, other: float) -> Contrast:
        return apply("+", other, self)

    def __sub__(self, other: Contrast | float) -> Contrast:
        return apply("-", self, other)

    def __rsub__(self, other: float) -> Contrast:
        return apply("-", other, self)

    def __mul__(self, other: Contrast | float) -> Contrast:
        return apply("*", self, other)

    def __rmul__(self, other: float) -> Contrast:
        return apply("*", other, self)

    def __truediv__(self, other: Contrast | float) -> Contrast:
        return apply("/", self, other)

    def __rtruediv__(self, other: float) -> Contrast:
        return apply("/", other, self)

    def __neg__(self) -> Contrast:
        return apply("*", -1.0, self)


def reading(
    metric: str,
    arm: Arm,
    *,
    split: str = "test",
    temperature: float = 1.0,
    point: Literal["last", "first", "every"] = "last",
) -> Contrast:
    """A contrast that is one reading; see :class:`Reading` for arguments and errors.

    Args:
        metric: a row of :data:`kdcheck.metrics.METRICS`.
        arm: which training.
        split: ``test``, ``validation``, ``test_sample`` or ``train_sample``.
        temperature: what the logits are divided by first.
        point: ``last``, or ``first`` or ``every`` on a sample.

    Returns:
        The reading, ready for + - * / and :func:`apply`.

    Source: a figure of a table, or a curve of a figure.

    >>> reading("nll_nats", Arm("erm", "smaller")).value(lambda reading: 0.5)
    0.5
    """
    return Contrast("reading", (Reading(metric, arm, split, temperature, point),))


def apply(operation: str, *values: Contrast | float) -> Contrast:
    """An operation on contrasts and numbers.

    Args:
        operation: a row of :data:`OPERATIONS`.
        *values: what it works on.

    Returns:
        The contrast.

    Raises:
        ClaimError: no such operation, or values that it does not take.

    Source: each row of the table.

    >>> apply("between", 0.3, 0.5, 0.25).value(lambda reading: None)
    0.04999999999999999
    """
    return Contrast(operation, tuple(map(_lift, values)))


def lists(operation: str, ys: Sequence[Contrast], xs: Sequence[Contrast]) -> Contrast:
    """An operation on two lists of one length, such as the slope of ys on xs."""
    if len(ys) != len(xs):
        got, wanted = f"{len(ys)} ys and {len(xs)} xs", "two lists of equally many numbers"
        raise ClaimError(operation, got, wanted, "Pair each y with an x.")
    return apply(operation, *ys, *xs)


def _lift(value: Contrast | float) -> Contrast:
    return value if isinstance(value, Contrast) else Contrast("number", (float(value),))


def _check(name: str, parts: Sequence[Contrast]) -> None:
    row = OPERATIONS.get(name)
    if row is None:
        wanted = f"one of {', '.join(OPERATIONS)}"
        raise ClaimError("contrast", f"the operation {name!r}", wanted, "Check the spelling.")
    who = f"{name} of ({', '.join(part.text for part in parts)})"
    count, most = len(parts), row.most if row.most is not None else len(parts)
    if not row.least <= count <= most or (row.even and count % 2):
        wanted = "two lists of equally many numbers, at least 2" if row.even else f"{row.least}"
        raise ClaimError(who, f"{count} values", wanted, "See kdcheck.claims.contrast.OPERATIONS.")
    curves = [part.is_curve for part in parts]
    if row.takes == "curve" and not all(curves):
        raise ClaimError(who, "one number", "a curve", "Read it with study.entropy_curve(...).")
    if row.takes == "numbers" and any(curves):
        raise ClaimError(who, "a curve", "numbers", "Take study.least(...) of a curve.")
