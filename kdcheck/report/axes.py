"""Axes of our small figures: round ticks, and from values to coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kdcheck.report.wording import MINUS

STEPS = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``start`` to ``end`` (coordinates) over ``low`` to ``high`` (values).

    Source: none.

    >>> Axis(0.0, 2.0, 10.0, 110.0).at(0.5)
    35.0
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Coordinate of a value, to a tenth of a unit; values outside are drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int) -> list[float]:
        """Round values inside the axis."""
        return ticks(self.low, self.high, most)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most so many round values, evenly spaced, from low to high.

    Source: none.

    >>> ticks(-0.03, 0.52, 6)
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    """
    step = _round_step(low, high, most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) + 0.0 for number in range(first, last + 1)]


def over(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis that covers the values with a little room, never of zero length.

    Source: none.

    >>> over([1.0, 1.0], 0, 100).at(1.0)
    50.0
    """
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end)


def tick_text(value: float, *, signed: bool = False) -> str:
    """A tick's label.

    Source: none.

    >>> tick_text(-0.5, signed=True), tick_text(0.25, signed=True), tick_text(0.0)
    ('−0.5', '+0.25', '0')
    """
    shown = f"{value:+g}" if signed and value else f"{value:g}"
    return shown.replace("-", MINUS)


def _round_step(low: float, high: float, most: int) -> float:
    power = 10.0 ** math.floor(math.log10(high - low) - 1)
    while True:
        for factor in STEPS:
            step = factor * power
            if math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) < most:
                return step
        power *= 10
