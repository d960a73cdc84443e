"""The student takes over its teacher's confidence, whatever made the teacher sure or unsure."""

from kdcheck.claims import nats, plain
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    softened_teacher_softens_student,
    student_inherits_confidence,
    student_keeps_teachers_order,
)


@claim(
    student_inherits_confidence,
    margin=plain(0.1, "nats a nat"),
    because="below a tenth of a nat per nat of the teacher, nothing worth the name is inherited",
)
def test_student_inherits_confidence(study):
    study.judge(student_inherits_confidence())


@claim(
    student_keeps_teachers_order,
    margin=plain(0.5, "rank correlation"),
    because="at 0.5 two thirds of all pairs of six teachers are in order; less is no clear order",
)
def test_student_keeps_teachers_order(study):
    study.judge(student_keeps_teachers_order())


@claim(
    softened_teacher_softens_student,
    margin=nats(0.02),
    because="the softening itself moves the teacher by a tenth of a nat and more",
)
def test_softened_teacher_softens_student(study):
    study.judge(softened_teacher_softens_student())
