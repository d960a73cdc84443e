"""Arms: ways of training a model that claims compare, before task and seed are chosen.

An arm names a method of the scale file; the file holds its hyper-parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SIZES = ("smaller", "larger")


@dataclass(frozen=True)
class Arm:
    """A method, the size of the model it trains, and who teaches it.

    Source: section 4, the three settings of KD.

    >>> STANDARD_KD.key, SELF_KD.taught_by(LS("larger"), temperature=2).key
    ('standard_kd/smaller<-erm/larger', 'self_kd/smaller<-ls/larger@2')
    """

    method: str
    """Name of the method in the scale file."""
    size: str
    """``smaller`` or ``larger`` of the scale's encoder pair."""
    teacher: Arm | None = None
    """Who teaches, if anyone."""
    teacher_temperature: float = 1.0
    """What the teacher's logits are divided by beforehand; its accuracy stays."""
    budget: Arm | None = None
    """The arm whose learning rate and epochs this one is given, instead of its own."""

    @property
    def key(self) -> str:
        """A short unique name, for tables, tags and stored contrasts."""
        taught = f"<-{self.teacher.key}" if self.teacher else ""
        scaled = f"@{self.teacher_temperature:g}" if self.teacher_temperature != 1.0 else ""
        matched = f"|budget of {self.budget.key}" if self.budget else ""
        return f"{self.method}/{self.size}{taught}{scaled}{matched}"

    def taught_by(self, teacher: Arm, *, temperature: float = 1.0) -> Arm:
        """The same method with another teacher, or the same one made surer or less sure."""
        return replace(self, teacher=teacher, teacher_temperature=temperature)

    def on_budget_of(self, other: Arm) -> Arm:
        """The same method with the learning rate and epochs of another arm."""
        return replace(self, budget=other)


def ERM(size: str) -> Arm:  # noqa: N802 - the paper's name
    """Trained plainly on the labels.

    Source: section 4, the baseline and every teacher.

    >>> ERM("larger").key
    'erm/larger'
    """
    return Arm("erm", size)


def LS(size: str) -> Arm:  # noqa: N802 - the paper's name
    """Trained with label smoothing.

    Source: Eq. 1.

    >>> LS("smaller").key
    'ls/smaller'
    """
    return Arm("ls", size)


def TUNED_LS(size: str) -> Arm:  # noqa: N802
    """Trained with label smoothing whose alpha was picked from as many values as KD has settings.

    Source: appendix A.3.

    >>> TUNED_LS("larger").key
    'tuned_ls/larger'
    """
    return Arm("tuned_ls", size)


def VIRTUAL_TEACHER(size: str) -> Arm:  # noqa: N802
    """Teacher-free KD with a hand-made teacher.

    Source: section 2, after Yuan et al. 2020.

    >>> VIRTUAL_TEACHER("smaller").key
    'virtual_teacher/smaller'
    """
    return Arm("virtual_teacher", size)


STANDARD_KD = Arm("standard_kd", "smaller", teacher=ERM("larger"))
SELF_KD = Arm("self_kd", "smaller", teacher=ERM("smaller"))
REVERSE_KD = Arm("reverse_kd", "larger", teacher=ERM("smaller"))
SELF_TRAINING = Arm("self_training", "smaller", teacher=ERM("smaller"))

TUNED_STANDARD_KD = Arm("tuned_standard_kd", "smaller", teacher=ERM("larger"))
TUNED_SELF_KD = Arm("tuned_self_kd", "smaller", teacher=ERM("smaller"))
TUNED_REVERSE_KD = Arm("tuned_reverse_kd", "larger", teacher=ERM("smaller"))

STOPPED_EARLY = Arm("erm_stopped_early", "larger")
POORLY_TRAINED = Arm("erm_poorly_trained", "larger")
