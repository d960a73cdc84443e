"""How the weight of a term depends on alpha, tau, the number of classes and of examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

CLOSE = 2e-4
"""How far a measured factor may lie from a simple one, relative: an epsilon inside a logarithm costs as much."""
SIZES: Mapping[str, Callable[[float], float]] = {
    "1": lambda _n: 1.0,
    "1/{}": lambda n: 1.0 / n,
    "{}": lambda n: n,
    "1/{}^2": lambda n: n**-2.0,
    "1/({} - 1)": lambda n: 1.0 / (n - 1.0) if n > 1 else math.nan,
    "{}/({} - 1)": lambda n: n / (n - 1.0) if n > 1 else math.nan,
    "1/log {}": lambda n: 1.0 / math.log(n) if n > 1 else math.nan,
    "1/sqrt {}": lambda n: n**-0.5,
}
"""How a factor may depend on K or N."""
CURVES: Mapping[str, Callable[[float], float]] = {
    "{}^2": lambda a: a * a,
    "(1 - {})^2": lambda a: (1.0 - a) ** 2,
    "{0}/(1 - {0})": lambda a: a / (1.0 - a) if a != 1 else math.inf,
    "1/(1 + {})": lambda a: 1.0 / (1.0 + a),
    "{0}/(1 + {0})": lambda a: a / (1.0 + a),
    "1/{}": lambda a: 1.0 / a if a else math.inf,
    "1/(1 - {})": lambda a: 1.0 / (1.0 - a) if a != 1 else math.inf,
    "sqrt {}": lambda a: math.sqrt(abs(a)),
}
"""How a weight may depend on alpha where it is no straight line."""
KNOWN = {"1/log 2": 1.0 / math.log(2.0), "1/log 10": 1.0 / math.log(10.0)}
BITS = 1.0 / math.log(2.0)


@dataclass(frozen=True)
class Weight:
    """A weight in alpha and beta: (c0 + c1 alpha + c2 beta + c3 alpha beta), or one of the curves."""

    line: tuple[float, float, float, float]
    curve: str = ""

    def __call__(self, alpha: float, beta: float) -> float:
        """The weight at these values."""
        if self.curve:
            return self.line[0] * CURVES[self.curve](alpha)
        return float(np.dot(self.line, (1.0, alpha, beta, alpha * beta)))

    @property
    def is_constant(self) -> bool:
        """Whether neither alpha nor beta changes it."""
        return not self.curve and not any(self.line[1:])

    def scaled(self, factor: float) -> Weight:
        """The same weight, times a factor."""
        c0, c1, c2, c3 = (_snapped(c * factor) for c in self.line)
        return Weight((c0, c1, c2, c3), self.curve)

    def words(self, alpha: str, beta: str) -> str:
        """The weight with the loss's own names of alpha and beta."""
        if self.curve:
            factor = "" if _near(self.line[0], 1.0) else f"{number(self.line[0])} "
            return factor + self.curve.format(alpha)
        c0, c1, c2, c3 = self.line
        if _near(c0, -c1) and c0 and not (c2 or c3):  # 0.5 (1 - alpha)
            factor = "" if _near(c0, 1.0) else f"{number(c0)} "
            return f"{factor}(1 - {alpha})" if factor else f"1 - {alpha}"
        names = ("", alpha, beta, f"{alpha} {beta}")
        parts = [(c, name) for c, name in zip(self.line, names, strict=True) if c]
        told = " + ".join(
            name if name and _near(c, 1.0) else f"{number(c)} {name}".strip() for c, name in parts
        )
        return told.replace("+ -", "- ") or "0"


@dataclass(frozen=True)
class Law:
    """A weight, times a power of tau, times factors of K and N."""

    weight: Weight
    tau_power: int = 0
    of_classes: str = "1"
    of_examples: str = "1"

    def __call__(
        self, *, alpha: float, beta: float, tau: float, classes: int, examples: int
    ) -> float:
        """The coefficient at these settings."""
        sizes = SIZES[self.of_classes](classes) * SIZES[self.of_examples](examples)
        return float(self.weight(alpha, beta) * tau**self.tau_power * sizes)


def constant(value: float) -> Weight:
    """A weight that neither alpha nor beta changes."""
    return Weight((_snapped(value), 0.0, 0.0, 0.0))


def power_of(ratios: Mapping[float, float]) -> int | None:
    """The whole power of tau that explains how a coefficient changes, from tau ratio to its own ratio."""
    for power in (0, 2, 1, -1, -2, 4, 3, -3, -4):
        if all(_near(ratio, tau**power) for tau, ratio in ratios.items()):
            return power
    return None


def size_law(base: int, ratios: Mapping[int, float]) -> str | None:
    """Which factor of K or N explains how a coefficient changes from the base size to others."""
    for name, law in SIZES.items():
        if all(_near(ratio, law(size) / law(base)) for size, ratio in ratios.items()):
            return name
    return None


def weight_law(
    points: Sequence[tuple[float, float]], values: Sequence[float], *, moving: Sequence[str]
) -> Weight | None:
    """The weight that goes through all values at points (alpha, beta), snapped to simple numbers."""
    columns = {"": 0, "alpha": 1, "beta": 2, "alpha beta": 3}
    used = [column for names, column in columns.items() if set(names.split()) <= set(moving)]
    rows = np.array([(1.0, a, b, a * b) for a, b in points])
    # A weight that does not move is a constant, even where there is but one point to see it at.
    if np.allclose(values, values[0], rtol=CLOSE, atol=1e-9):
        return constant(values[0])
    line = np.zeros(4)
    line[used] = np.linalg.lstsq(rows[:, used], np.asarray(values), rcond=None)[0]
    scale = max(np.abs(values))
    if np.abs(rows @ line - values).max() <= CLOSE * scale:
        c0, c1, c2, c3 = (_snapped(c) if abs(c) > CLOSE * scale else 0.0 for c in line)
        return Weight((c0, c1, c2, c3))
    for name, curve in CURVES.items():
        factors = [v / curve(a) for (a, _), v in zip(points, values, strict=True)]
        if np.allclose(factors, factors[0], rtol=CLOSE):
            return Weight((_snapped(factors[0]), 0.0, 0.0, 0.0), name)
    return None


def number(value: float) -> str:
    """A factor as a reader would write it: 1/3, 0.5, 1/log 2, 0.0123."""
    for name, known in KNOWN.items():
        if _near(abs(value), known):
            return f"-{name}" if value < 0 else name
    near = Fraction(value).limit_denominator(12)
    is_decimal = math.isclose(value, round(value, 4), rel_tol=1e-6)  # 0.3333 is not 1/3
    if not is_decimal and near and _near(value, float(near)):
        return str(near)
    return f"{value:.4g}"


def _snapped(value: float) -> float:
    """The simple number beside a measured one, else the measured one."""
    for known in KNOWN.values():
        if _near(abs(value), known):
            return math.copysign(known, value)
    near = Fraction(value).limit_denominator(100)
    return float(near) if near and _near(value, float(near)) else float(value)


def _near(value: float, wanted: float) -> bool:
    return bool(abs(value - wanted) <= CLOSE * max(abs(wanted), 1e-12))
