"""Accuracy: distillation against smoothing and plain training, and students against teachers."""

import pytest

from kdcheck.claims import points
from kdcheck.paper import claim
from kdcheck.paper.statements.accuracies import (
    kd_beats_erm,
    kd_beats_ls,
    ls_lags_erm,
    reverse_student_beats_its_teacher,
    self_kd_beats_standard_kd,
)

DIGIT = "half a unit of the last digit that the paper prints: its smallest difference counts"


@claim(kd_beats_ls, margin=points(0.05), because=DIGIT)
@pytest.mark.parametrize("student", ["standard", "self"])
def test_kd_beats_ls(study, student):
    study.judge(kd_beats_ls(student))


@claim(kd_beats_erm, margin=points(0.05), because=DIGIT)
@pytest.mark.parametrize("student", ["standard", "self"])
def test_kd_beats_erm(study, student):
    study.judge(kd_beats_erm(student))


@claim(ls_lags_erm, margin=points(0.05), because=DIGIT)
def test_ls_lags_erm(study):
    study.judge(ls_lags_erm())


@claim(self_kd_beats_standard_kd, margin=points(0.05), because=DIGIT)
def test_self_kd_beats_standard_kd(study):
    study.judge(self_kd_beats_standard_kd())


@claim(reverse_student_beats_its_teacher, margin=points(0.05), because=DIGIT)
def test_reverse_student_beats_its_teacher(study):
    study.judge(reverse_student_beats_its_teacher())
