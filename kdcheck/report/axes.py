"""Axes of our small figures: round ticks, and from values to coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kdcheck.report.wording import MINUS

STEPS = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``start`` to ``end`` (coordinates) over ``low`` to ``high`` (values)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Coordinate of a value, to a tenth of a unit; values outside are drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int) -> list[float]:
        """At most so many round values, evenly spaced, inside the axis."""
        step = self._round_step(most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) + 0.0 for number in range(first, last + 1)]

    def _round_step(self, most: int) -> float:
        power = 10.0 ** math.floor(math.log10(self.high - self.low) - 1)
        while True:
            for factor in STEPS:
                step = factor * power
                first = math.ceil(self.low / step - 1e-9)
                if math.floor(self.high / step + 1e-9) - first < most:
                    return step
            power *= 10


def over(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis that covers the values with a little room, never of zero length."""
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end)


def tick_text(value: float, *, signed: bool = False) -> str:
    """A tick's label."""
    shown = f"{value:+g}" if signed and value else f"{value:g}"
    return shown.replace("-", MINUS)
