"""Accuracy.

Distillation against smoothing and plain training, and students against their teachers (Tables 3, 5, 9
and 11).
"""

import pytest

from kdcheck.claims import points
from kdcheck.paper import claim
from kdcheck.paper.statements.accuracies import (
    kd_beats_erm,
    kd_beats_ls,
    ls_lags_erm,
    reverse_gain_is_smaller,
    reverse_kd_clearly_beats_ls,
    reverse_student_beats_its_teacher,
    self_kd_beats_standard_kd,
    tuned_kd_beats_ls,
    weak_teacher_still_helps,
)

HALF = points(0.5)
WHY = (
    "one text in two hundred, which no user would see less of; on the paper's largest test set two "
    "independent samples alone differ by up to 1.1 points"
)


@claim(kd_beats_ls, margin=HALF, because=WHY)
def test_kd_beats_ls(study):
    study.judge(kd_beats_ls())


@claim(kd_beats_erm, margin=HALF, because=WHY)
def test_kd_beats_erm(study):
    study.judge(kd_beats_erm())


@claim(ls_lags_erm, margin=HALF, because=WHY)
def test_ls_lags_erm(study):
    study.judge(ls_lags_erm())


@claim(self_kd_beats_standard_kd, margin=HALF, because=WHY)
def test_self_kd_beats_standard_kd(study):
    study.judge(self_kd_beats_standard_kd())


@claim(reverse_student_beats_its_teacher, margin=HALF, because=WHY)
def test_reverse_student_beats_its_teacher(study):
    study.judge(reverse_student_beats_its_teacher())


@claim(reverse_gain_is_smaller, margin=HALF, because=WHY)
@pytest.mark.parametrize("over", ["erm", "ls"])
def test_reverse_gain_is_smaller(study, over):
    study.judge(reverse_gain_is_smaller(over))


@claim(tuned_kd_beats_ls, margin=HALF, because=WHY)
def test_tuned_kd_beats_ls(study):
    study.judge(tuned_kd_beats_ls())


@claim(reverse_kd_clearly_beats_ls, margin=HALF, because=WHY)
def test_reverse_kd_clearly_beats_ls(study):
    study.judge(reverse_kd_clearly_beats_ls())


@claim(weak_teacher_still_helps, margin=HALF, because=WHY)
def test_weak_teacher_still_helps(study):
    study.judge(weak_teacher_still_helps())
