"""What a claim test sees: readings of arms, and one call that judges a contrast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kdcheck.claims import Arm, Claim
from kdcheck.errors import ClaimError
from kdcheck.study.graph import Question
from kdcheck.study.measures import (
    AT_TEMPERATURE,
    FLOOR,
    Constant,
    Measure,
    Read,
    Reduction,
    Relation,
)

ENTROPY, ACCURACY = "mean_entropy_nats", "accuracy"
SPLITS = ("test", "validation", "train_sample")
"""Splits of which every evaluation point has metrics; it has no logits of the last."""
Judge = Callable[[Question], None]


class Planned(BaseException):
    """Ends a claim test that was called to learn what it needs, before anything is judged.

    Not an ``Exception``, so that a test's own handlers let it pass.

    Source: decision 0003, claims are called to be planned.

    >>> from kdcheck.study.samples import sample_question
    >>> Planned(sample_question()).question.contrast.text
    'mean_entropy_nats(ls/smaller) - mean_entropy_nats(erm/smaller)'
    """

    def __init__(self, question: Question) -> None:
        super().__init__(question.claim.id)
        self.question = question


class Study:
    """The ``study`` fixture: build a contrast from readings and hand it to :meth:`judge`.

    Source: the tables' two quantities, posterior entropy and accuracy.

    >>> from kdcheck.claims import nats
    >>> from kdcheck.paper.arms import ERM, LS
    >>> claim = Claim(id="c", says="S.", where="s", holds="every", margin=nats(0), because="b")
    >>> study = Study(claim)
    >>> (study.entropy(LS("smaller")) - study.entropy(ERM("smaller"))).text
    'mean_entropy_nats(ls/smaller) - mean_entropy_nats(erm/smaller)'
    """

    def __init__(self, claim: Claim, judge: Judge | None = None) -> None:
        self.claim = claim
        self._judge = judge
        self._arms: dict[str, Arm] = {}

    def entropy(self, arm: Arm, *, split: str = "test", temperature: float = 1.0) -> Measure:
        """Mean posterior entropy of the finished model, in nats.

        Args:
            arm: which training.
            split: ``test``, ``validation`` or ``train_sample``.
            temperature: what the logits are divided by first; as a teacher was shown, say.

        Raises:
            ClaimError: another split, or a temperature on ``train_sample``, whose logits are not
                kept.
        """
        if temperature != 1.0 and split == "train_sample":
            raise self._error(
                f"temperature={temperature:g} on split 'train_sample'",
                "test or validation",
                "The logits of that sample are not kept, its metrics are.",
            )
        scaled = f"{AT_TEMPERATURE}{temperature:g}" if temperature != 1.0 else ""
        return self._read(arm, f"{split}/{ENTROPY}{scaled}")

    def accuracy(self, arm: Arm, *, split: str = "test") -> Measure:
        """Accuracy of the finished model, in percentage points."""
        return self._read(arm, f"{split}/{ACCURACY}") * 100.0

    def entropy_curve(self, arm: Arm, *, split: str = "test") -> Measure:
        """Mean posterior entropy at every evaluation point, in nats."""
        return self._read(arm, f"{split}/{ENTROPY}", curve=True)

    def least(self, curve: Measure) -> Measure:
        """The smallest value of a curve."""
        return self._reduced("least", curve)

    def first(self, curve: Measure) -> Measure:
        """The first value of a curve."""
        return self._reduced("first", curve)

    def slope(self, ys: Sequence[Measure], xs: Sequence[Measure]) -> Measure:
        """Least-squares slope of ys on xs."""
        return self._related("slope", xs, ys)

    def rank_correlation(self, ys: Sequence[Measure], xs: Sequence[Measure]) -> Measure:
        """Spearman's rank correlation of ys and xs."""
        return self._related("rank correlation", xs, ys)

    def number(self, value: float) -> Measure:
        """A number known beforehand."""
        return Constant(value)

    def smoothing_floor(self, arm: Arm) -> Measure:
        """The closed-form entropy floor of an arm's label smoothing, in nats, on each task."""
        return self._read(arm, FLOOR)

    def judge(self, contrast: Measure) -> None:
        """Judge the claim by a contrast whose claimed direction is positive; called once a test.

        Raises:
            ClaimError: no contrast, one that reads no run, or a curve.
        """
        if not isinstance(contrast, Measure) or not contrast.arms():
            raise self._error(
                f"the contrast {getattr(contrast, 'text', repr(contrast))}",
                "a contrast that reads at least one run",
                "Build it from study.entropy(...) or study.accuracy(...).",
            )
        if contrast.is_curve:
            raise self._error(
                f"the contrast {contrast.text}, a curve",
                "one number for each task and seed",
                "Take study.least(...) or study.first(...) of the curve.",
            )
        question = Question(self.claim, contrast, dict(self._arms))
        if self._judge is None:
            raise Planned(question)
        self._judge(question)

    def _error(self, got: str, wanted: str, next_step: str) -> ClaimError:
        return ClaimError(f"claim {self.claim.id!r}", got, wanted, next_step)

    def _reduced(self, kind: str, curve: Measure) -> Measure:
        if not curve.is_curve:
            raise self._error(
                f"{curve.text}, one number", "a curve", "Read it with study.entropy_curve(...)."
            )
        return Reduction(kind, curve)

    def _related(self, kind: str, xs: Sequence[Measure], ys: Sequence[Measure]) -> Measure:
        relation = Relation(kind, tuple(xs), tuple(ys))
        if len(xs) != len(ys) or len(xs) < 2 or any(each.is_curve for each in (*xs, *ys)):
            raise self._error(
                relation.text,
                "two lists of equally many numbers, at least 2",
                "Pair each reading of the ys with one of the xs, and take study.least(...) of a "
                "curve.",
            )
        return relation

    def _read(self, arm: Arm, name: str, *, curve: bool = False) -> Measure:
        split = name.partition("/")[0]
        if split not in SPLITS and name != FLOOR:
            raise self._error(
                f"split={split!r}", f"one of {', '.join(SPLITS)}", "Name one of them."
            )
        self._arms[arm.key] = arm
        return Read(arm.key, name, curve)
