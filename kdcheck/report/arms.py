"""What the key of an arm says, in a reader's words."""

from __future__ import annotations

from dataclasses import dataclass

from kdcheck.paper.arms import (
    REVERSE_KD,
    SELF_KD,
    SELF_TRAINING,
    STANDARD_KD,
    TUNED_REVERSE_KD,
    TUNED_SELF_KD,
    TUNED_STANDARD_KD,
)
from kdcheck.report.wording import METHODS

BUDGET = "|budget of "
USUAL_TEACHERS = {
    arm.method: arm.teacher.key
    for arm in (
        *(STANDARD_KD, SELF_KD, REVERSE_KD, SELF_TRAINING),
        *(TUNED_STANDARD_KD, TUNED_SELF_KD, TUNED_REVERSE_KD),
    )
    if arm.teacher is not None
}


@dataclass(frozen=True)
class Reading:
    """The parts of an arm's key.

    Source: section 4, the settings of KD.

    >>> read("standard_kd/smaller<-erm/larger").label
    'Standard KD'
    >>> read("standard_kd/smaller<-ls/larger@2").label
    'Standard KD, taught by LS (larger) at temperature 2'
    """

    method: str
    size: str
    teacher: str
    """Key of the teacher, its temperature included; empty without one."""
    budget: str
    """Key of the arm whose budget it was given; empty for its own."""

    @property
    def is_plain(self) -> bool:
        """Whether it is one of the paper's own: the usual teacher, its own budget."""
        return not self.budget and self.teacher == USUAL_TEACHERS.get(self.method, "")

    @property
    def label(self) -> str:
        """What a reader calls it."""
        parts = [METHODS.get(self.method, self.method)]
        if self.teacher and self.teacher != USUAL_TEACHERS.get(self.method):
            key, _, temperature = self.teacher.partition("@")
            at = f" at temperature {temperature}" if temperature else ""
            parts.append(f"taught by {_with_size(key)}{at}")
        if self.budget:
            parts.append(f"budget of {_with_size(self.budget)}")
        return ", ".join(parts)


def read(key: str) -> Reading:
    """The parts of an arm's key.

    Source: ``Arm.key``.

    >>> read("erm/smaller|budget of standard_kd/smaller<-erm/larger").budget
    'standard_kd/smaller<-erm/larger'
    """
    own, _, budget = key.partition(BUDGET)
    head, _, teacher = own.partition("<-")
    method, _, size = head.partition("/")
    return Reading(method, size, teacher, budget)


def _with_size(key: str) -> str:
    found = read(key)
    return f"{found.label} ({found.size})"
