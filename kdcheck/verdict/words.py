"""The words of a verdict, and the region of effects that each of them stands for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Direction = Literal["above", "not_below", "within"]


class Word(StrEnum):
    """What the evidence says of a claim.

    SUPPORTED and REFUTED and EQUIVALENT are shown, each with a bounded error rate; UNDECIDED is
    what is left; NOT_TESTABLE means that what the claim rests on was not shown to hold; INVALID that
    the evidence cannot be judged; NOT_RUN that there is none.

    Source: decision 0040, what the words of a verdict mean.

    >>> str(Word.SUPPORTED)
    'SUPPORTED'
    """

    SUPPORTED = "SUPPORTED"
    REFUTED = "REFUTED"
    EQUIVALENT = "EQUIVALENT"
    UNDECIDED = "UNDECIDED"
    NOT_TESTABLE = "NOT_TESTABLE"
    INVALID = "INVALID"
    NOT_RUN = "NOT_RUN"


REHEARSED = "It is a rehearsal on a few rows: it tries the machinery and is evidence of nothing."
"""Among what differs from the registered study, it makes a verdict a REHEARSAL, whatever its word."""
DECIDING = (Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT)
"""The words that are shown by a test; the last axis of every array of p values runs over them."""


@dataclass(frozen=True)
class Region:
    """A set of effects, as half-lines ``sign * (effect - multiple * margin) > 0``."""

    halves: tuple[tuple[int, int], ...]
    """Pairs (sign, multiple)."""
    joined: Literal["and", "or"] = "and"
    """Whether it is their intersection or their union."""

    def text(self, margin: float, unit: str) -> str:
        """The region in words, with its margin and unit."""
        bounds = (
            f"{'above' if sign > 0 else 'below'} {signed(multiple * margin)} {unit}"
            for sign, multiple in self.halves
        )
        return f" {self.joined} ".join(bounds)


_ABOVE = Region(((1, 1),))
_BELOW_MINUS = Region(((-1, -1),))
_WITHIN = Region(((1, -1), (-1, 1)), "and")
_NOT_BELOW = Region(((1, -1),))
_BEYOND = Region(((1, 1), (-1, -1)), "or")

REGIONS: dict[Direction, dict[Word, Region]] = {
    "above": {Word.SUPPORTED: _ABOVE, Word.REFUTED: _BELOW_MINUS, Word.EQUIVALENT: _WITHIN},
    "not_below": {Word.SUPPORTED: _NOT_BELOW, Word.REFUTED: _BELOW_MINUS},
    "within": {Word.SUPPORTED: _WITHIN, Word.REFUTED: _BEYOND},
}
"""Per kind of claim, where the effect of a task must lie for each word (decision 0040)."""


def signed(value: float) -> str:
    """A figure with its sign and three significant digits; zero has none."""
    return f"{value:+.3g}" if value else "0"
