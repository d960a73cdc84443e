"""What a claim test sees: readings of arms, and one call that judges a contrast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from kdcheck.claims import Arm, Claim, Contrast, apply, reading
from kdcheck.claims.contrast import lists
from kdcheck.errors import ClaimError

Judge = Callable[[Claim], None]


class Planned(BaseException):
    """Ends a claim test that was called to learn what it needs, before anything is judged.

    Not an ``Exception``, so that a test's own handlers let it pass.

    Source: decision 0003, claims are called to be planned.

    >>> from kdcheck.claims import nats
    >>> Planned(Claim(id="c", says="S.", where="s", holds="every", margin=nats(0), because="b")).claim.id
    'c'
    """

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim.id)
        self.claim = claim


class Study:
    """The ``study`` fixture: build a contrast from readings and hand it to :meth:`judge`.

    Source: docs/guides/add-a-claim.md.

    >>> from kdcheck.claims import nats
    >>> claim = Claim(id="c", says="S.", where="s", holds="every", margin=nats(0), because="b")
    >>> study = Study(claim)
    >>> (study.entropy(Arm("ls", "smaller")) - study.entropy(Arm("erm", "smaller"))).text
    'mean_entropy_nats(ls/smaller) - mean_entropy_nats(erm/smaller)'
    """

    def __init__(self, claim: Claim, judge: Judge | None = None) -> None:
        self.claim = claim
        self._judge = judge

    def read(
        self,
        metric: str,
        arm: Arm,
        *,
        split: str = "test",
        temperature: float = 1.0,
        point: Literal["last", "first", "every"] = "last",
    ) -> Contrast:
        """A metric of an arm; see :class:`kdcheck.claims.Reading` for arguments and errors."""
        return reading(metric, arm, split=split, temperature=temperature, point=point)

    def entropy(self, arm: Arm, *, split: str = "test", temperature: float = 1.0) -> Contrast:
        """Mean posterior entropy of the finished model, in nats."""
        return self.read("mean_entropy_nats", arm, split=split, temperature=temperature)

    def accuracy(self, arm: Arm, *, split: str = "test") -> Contrast:
        """Accuracy of the finished model, in percentage points."""
        return self.read("accuracy", arm, split=split) * 100.0

    def entropy_curve(self, arm: Arm, *, split: str = "test_sample") -> Contrast:
        """Mean posterior entropy at every look, on a sample of test or training text, in nats."""
        return self.read("mean_entropy_nats", arm, split=split, point="every")

    def smoothing_floor(self, arm: Arm) -> Contrast:
        """The closed-form entropy floor of an arm's label smoothing, in nats, on each task."""
        return self.read("smoothing_floor_nats", arm)

    def apply(self, operation: str, *values: Contrast | float) -> Contrast:
        """A row of :data:`kdcheck.claims.OPERATIONS` on contrasts and numbers."""
        return apply(operation, *values)

    def least(self, curve: Contrast) -> Contrast:
        """The smallest value of a curve."""
        return apply("least", curve)

    def first(self, curve: Contrast) -> Contrast:
        """The first value of a curve."""
        return apply("first", curve)

    def slope(self, ys: Sequence[Contrast], xs: Sequence[Contrast]) -> Contrast:
        """Least-squares slope of ys on xs."""
        return lists("slope", ys, xs)

    def rank_correlation(self, ys: Sequence[Contrast], xs: Sequence[Contrast]) -> Contrast:
        """Spearman's rank correlation of ys and xs."""
        return lists("rank correlation", ys, xs)

    def judge(self, contrast: Contrast) -> None:
        """Judge the claim by a contrast whose claimed direction is positive; called once a test.

        Raises:
            ClaimError: no contrast, one that reads no run, or a curve.
        """
        who = f"claim {self.claim.id!r}"
        if not isinstance(contrast, Contrast) or not contrast.arms():
            got = f"the contrast {getattr(contrast, 'text', repr(contrast))}"
            next_step = "Build it from study.entropy(...) or study.accuracy(...)."
            raise ClaimError(who, got, "a contrast that reads at least one run", next_step)
        if contrast.is_curve:
            got = f"the contrast {contrast.text}, a curve"
            next_step = "Take study.least(...) or study.first(...) of the curve."
            raise ClaimError(who, got, "one number for each task and seed", next_step)
        planned = replace(self.claim, contrast=contrast)
        if self._judge is None:
            raise Planned(planned)
        self._judge(planned)
