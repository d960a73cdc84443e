"""Is a single published number one that our seeds could have given? A t prediction interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kdcheck.errors import InputError
from kdcheck.verdict.intervals import Interval, t_bounds


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A published number beside ours.

    CONSISTENT says only that one more run of ours could have printed it: no claim is supported.

    Source: Whitmore 1986, "Prediction limits for a univariate normal observation".

    >>> Comparison(published=0.9, half_width=0.005, values=(0.30, 0.33, 0.29)).word
    'INCONSISTENT'
    """

    published: float
    half_width: float
    """Half a unit of the last printed digit."""
    values: tuple[float, ...]
    """Ours, one per seed."""
    level: float = 0.95

    @property
    def interval(self) -> Interval:
        """Where one more seed would fall: mean -+ t_{S-1} sd sqrt(1 + 1/S)."""
        low_1, high_1 = t_bounds(np.array([self.values]), (1 - self.level) / 2)
        mean, reach = (low_1[0] + high_1[0]) / 2, (high_1[0] - low_1[0]) / 2
        # t_bounds reaches t sd / sqrt S; sqrt(S + 1) times that is t sd sqrt(1 + 1/S).
        wide = reach * np.sqrt(len(self.values) + 1)
        return Interval(float(mean - wide), float(mean + wide))

    @property
    def word(self) -> Literal["CONSISTENT", "INCONSISTENT"]:
        """CONSISTENT if some figure that prints as the published one lies in the interval."""
        low, high = self.interval
        overlaps = low - self.half_width <= self.published <= high + self.half_width
        return "CONSISTENT" if overlaps else "INCONSISTENT"


def compare_with_published(
    published: float, values: Sequence[float], *, half_width: float = 0.0, level: float = 0.95
) -> Comparison:
    """Compare a single published number with our seeds.

    Args:
        published: as printed.
        values: ours, one per seed, at least two, not all equal, in the same unit.
        half_width: half a unit of the last printed digit.
        level: of the prediction interval.

    Returns:
        Our interval, and whether the published figure lies in it.

    Raises:
        InputError: fewer than two values, equal or non-finite ones, a level outside 0..1.

    Source: for example Whitmore 1986, "Prediction limits for a univariate normal observation".

    >>> ours = compare_with_published(0.31, (0.30, 0.33, 0.29), half_width=0.005)
    >>> ours.word, [round(x, 3) for x in ours.interval]
    ('CONSISTENT', [0.203, 0.41])
    """
    figures = (published, half_width, *values)
    if len(values) < 2 or not np.isfinite(figures).all() or len(set(values)) < 2:
        raise InputError(
            "compare_with_published",
            f"{len(values)} values {tuple(values)}",
            "two or more finite values that differ",
            "A prediction interval needs the spread over seeds.",
        )
    if not 0 < level < 1 or half_width < 0:
        raise InputError(
            "compare_with_published",
            f"level {level}, half_width {half_width}",
            "0 < level < 1 and half_width >= 0",
            "The usual level is 0.95.",
        )
    return Comparison(published=published, half_width=half_width, values=tuple(values), level=level)
