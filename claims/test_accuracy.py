"""Accuracy: distillation against smoothing and plain training, and students against teachers."""

import pytest
from kdcheck.study.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD

from kdcheck.claims import claim, points

DIGIT = "half a unit of the last digit that the paper prints: its smallest difference counts"


@claim(
    "kd_beats_ls",
    says="Distilled students are mostly more accurate than smoothed ones.",
    where="section 4, Table 3",
    holds="on most tasks",
    margin=points(0.05),
    because=DIGIT,
    paper="standard: +1.7, +0.8, -0.4, +0.8; self: +2.0, +0.6, -0.3, +1.2 points",
)
@pytest.mark.parametrize("student", [STANDARD_KD, SELF_KD], ids=["standard", "self"])
def test_kd_beats_ls(study, student):
    study.judge(study.accuracy(student) - study.accuracy(LS("smaller")))


@claim(
    "kd_beats_erm",
    says="Distilled students are more accurate than plainly trained ones.",
    where="section 1; Table 3",
    holds="on every task",
    margin=points(0.05),
    because=DIGIT,
    paper="standard: +1.0, +0.7, +0.8, +0.5; self: +1.3, +0.5, +0.9, +0.9 points",
)
@pytest.mark.parametrize("student", [STANDARD_KD, SELF_KD], ids=["standard", "self"])
def test_kd_beats_erm(study, student):
    study.judge(study.accuracy(student) - study.accuracy(ERM("smaller")))


@claim(
    "ls_lags_erm",
    says="For the smaller model, label smoothing is mostly less accurate than plain training.",
    where="section 4, Table 3",
    holds="on most tasks",
    margin=points(0.05),
    because=DIGIT,
    paper="-0.7, -0.1, +1.2 and -0.3 points in Table 3",
)
def test_ls_lags_erm(study):
    study.judge(study.accuracy(ERM("smaller")) - study.accuracy(LS("smaller")))


@claim(
    "self_kd_beats_standard_kd",
    says="A student of its own kind is mostly more accurate than a student of the larger model.",
    where="section 4, Table 3",
    holds="on most tasks",
    margin=points(0.05),
    because=DIGIT,
    paper="+0.3, -0.2, +0.1 and +0.4 points in Table 3",
)
def test_self_kd_beats_standard_kd(study):
    study.judge(study.accuracy(SELF_KD) - study.accuracy(STANDARD_KD))


@claim(
    "reverse_student_beats_its_teacher",
    says="A larger student is more accurate than the smaller model that taught it.",
    where="section 4, Table 5 beside Table 3",
    holds="on every task",
    margin=points(0.05),
    because=DIGIT,
    paper="+2.4, +2.8, +1.1 and +2.6 points",
)
def test_reverse_student_beats_its_teacher(study):
    study.judge(study.accuracy(REVERSE_KD) - study.accuracy(ERM("smaller")))
