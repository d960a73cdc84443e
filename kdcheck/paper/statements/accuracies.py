"""What the paper says of its accuracy tables, and how far one test set can carry it."""

from __future__ import annotations

from collections.abc import Callable

from kdcheck.claims.arm import Arm
from kdcheck.claims.contrast import Contrast
from kdcheck.paper.arms import (
    ERM,
    LS,
    REVERSE_KD,
    SELF_KD,
    STANDARD_KD,
    VIRTUAL_TEACHER,
    WEAKLY_TAUGHT,
    accuracy,
    tuned,
)
from kdcheck.paper.statements.entropies import STUDENTS, TWICE
from kdcheck.paper.statements.statement import expected, ours, stated

DISTILLED = 0.5 * (accuracy(STANDARD_KD) + accuracy(SELF_KD))
"""Both students of Table 3, which section 4 speaks of as one."""
SAMPLING = "Tables 3, 5, 9, 11 with the sizes of Table 6"


@stated("section 4, Table 3", holds="on most tasks", unit="points")
def kd_beats_ls() -> Contrast:
    """Distilled students, both kinds together, are mostly more accurate than smoothed ones."""
    return DISTILLED - accuracy(LS("smaller"))


@stated("appendix A.3, Table 9", holds="on most tasks", unit="points")
def tuned_kd_beats_ls() -> Contrast:
    """When temperature is tuned, they are mostly more accurate too."""
    return tuned(kd_beats_ls())


@stated("section 1; Table 3", unit="points")
def kd_beats_erm() -> Contrast:
    """Distilled students, both kinds together, are more accurate than plainly trained ones."""
    return DISTILLED - accuracy(ERM("smaller"))


@stated("section 4, Table 3", holds="on most tasks", tasks=3, unit="points")
def ls_lags_erm() -> Contrast:
    """For the smaller model, label smoothing is mostly less accurate than plain training."""
    return accuracy(ERM("smaller")) - accuracy(LS("smaller"))


@stated("section 4, Table 3", holds="on most tasks", unit="points")
def self_kd_beats_standard_kd() -> Contrast:
    """A student of its own kind is mostly more accurate than a student of the larger model."""
    return accuracy(SELF_KD) - accuracy(STANDARD_KD)


@stated(
    "introduction and section 4, Tables 3 and 5",
    holds="on average over tasks",
    over=("erm", "ls"),
    unit="points",
)
def reverse_gain_is_smaller(over: str) -> Contrast:
    """Reverse KD gains less accuracy overall, over ERM and over label smoothing, than KD did before."""
    plain = {"erm": ERM, "ls": LS}[over]
    return (DISTILLED - accuracy(plain("smaller"))) - (
        accuracy(REVERSE_KD) - accuracy(plain("larger"))
    )


@stated(
    "section 4, Table 5 beside Table 3",
    unit="points",
    note="BERT without a teacher beats it too, so the size may explain it",
)
def reverse_student_beats_its_teacher() -> Contrast:
    """A larger student is more accurate than the smaller model that taught it."""
    return accuracy(REVERSE_KD) - accuracy(ERM("smaller"))


@stated("appendix A.3, Table 11 beside Table 9", unit="points")
def tuned_reverse_student_beats_its_teacher() -> Contrast:
    """At a tuned temperature too, a larger student is more accurate than its teacher."""
    return tuned(reverse_student_beats_its_teacher())


@stated("appendix A.3, caption of Table 11", unit="points")
def reverse_kd_clearly_beats_ls() -> Contrast:
    """With a tuned temperature, reverse KD is clearly more accurate than label smoothing."""
    return tuned(accuracy(REVERSE_KD) - accuracy(LS("larger")))


@ours("section 2, what Yuan et al. 2020 found", holds="on average over tasks", unit="points")
def weak_teacher_still_helps() -> Contrast:
    """A student of a poorly trained teacher is more accurate than one trained plainly."""
    return accuracy(WEAKLY_TAUGHT) - accuracy(ERM("smaller"))


@ours(
    "section 2, what Yuan et al. 2020 found",
    holds="on average over tasks",
    direction="within",
    unit="points",
)
def virtual_teacher_is_as_accurate_as_kd() -> Contrast:
    """A hand-made teacher and a trained one make students of like accuracy."""
    return accuracy(VIRTUAL_TEACHER("smaller")) - accuracy(STANDARD_KD)


@expected(SAMPLING, over=TWICE, unit="points")
def kd_over_erm_beyond_sampling(student: str) -> Contrast:
    """Differences in accuracy between KD and ERM exceed the sampling error of the test set."""
    return _over(student, ERM)


@expected(SAMPLING, over=TWICE, unit="points")
def kd_over_ls_beyond_sampling(student: str) -> Contrast:
    """Differences in accuracy between KD and label smoothing exceed the sampling error of the test
    set.
    """
    return _over(student, LS)


@expected("Tables 3 and 9 with the sizes of Table 6", over=("at 1", "tuned"), unit="points")
def self_over_standard_beyond_sampling(temperature: str) -> Contrast:
    """Differences in accuracy between self-KD and standard KD exceed the sampling error of the test
    set.
    """
    found = self_kd_beats_standard_kd()
    return tuned(found) if temperature == "tuned" else found


def _over(student: str, plain: Callable[[str], Arm]) -> Contrast:
    taught = STUDENTS[student.removeprefix("tuned ")]
    found = accuracy(taught) - accuracy(plain(taught.size))
    return tuned(found) if student.startswith("tuned ") else found
