"""What a claim test sees: readings of arms, and one call that judges a contrast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kdcheck.claims import Claim
from kdcheck.errors import ClaimError
from kdcheck.study.arms import Arm
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
    >>> from kdcheck.study.arms import ERM, LS
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
        """
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
        return Reduction("least", curve)

    def first(self, curve: Measure) -> Measure:
        """The first value of a curve."""
        return Reduction("first", curve)

    def slope(self, ys: Sequence[Measure], xs: Sequence[Measure]) -> Measure:
        """Least-squares slope of ys on xs."""
        return Relation("slope", tuple(xs), tuple(ys))

    def rank_correlation(self, ys: Sequence[Measure], xs: Sequence[Measure]) -> Measure:
        """Spearman's rank correlation of ys and xs."""
        return Relation("rank correlation", tuple(xs), tuple(ys))

    def number(self, value: float) -> Measure:
        """A number known beforehand."""
        return Constant(value)

    def smoothing_floor(self, arm: Arm) -> Measure:
        """The closed-form entropy floor of an arm's label smoothing, in nats, on each task."""
        return self._read(arm, FLOOR)

    def judge(self, contrast: Measure) -> None:
        """Judge the claim by a contrast whose claimed direction is positive; called once a test.

        Raises:
            ClaimError: the contrast reads no run.
        """
        if not contrast.arms():
            raise ClaimError(
                f"claim {self.claim.id!r}",
                f"the contrast {contrast.text}",
                "a contrast that reads at least one run",
                "Build it from study.entropy(...) or study.accuracy(...).",
            )
        question = Question(self.claim, contrast, dict(self._arms))
        if self._judge is None:
            raise Planned(question)
        self._judge(question)

    def _read(self, arm: Arm, name: str, *, curve: bool = False) -> Measure:
        self._arms[arm.key] = arm
        return Read(arm.key, name, curve)
