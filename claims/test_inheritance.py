"""The student takes over its teacher's confidence.

How near it ends, example by example, and whatever made the teacher sure or unsure.
"""

import pytest

from kdcheck.claims import nats, plain
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    confidence_follows_the_teacher,
    smoothed_teacher_softens_student,
    softened_teacher_softens_student,
)
from kdcheck.paper.statements.entropies import student_ends_near_its_teacher


@claim(
    student_ends_near_its_teacher,
    margin=nats(0.07),
    because="no student in Tables 2 and 4 ends farther from its teacher (0.066, reverse KD on MNLI)",
)
@pytest.mark.parametrize("student", ["standard", "self", "reverse"])
def test_student_ends_near_its_teacher(study, student):
    study.judge(student_ends_near_its_teacher(student))


@claim(
    confidence_follows_the_teacher,
    margin=plain(0.1, "Fisher z"),
    because="a tenth is a correlation of .57 in place of .50: less would not be seen in a plot",
)
def test_confidence_follows_the_teacher(study):
    study.judge(confidence_follows_the_teacher())


@claim(
    softened_teacher_softens_student,
    margin=nats(0.02),
    because="an eighth of the least that temperature 2 adds to a teacher as sure of each text as Table 4 has it "
    "(0.15 nats, SST-2)",
)
def test_softened_teacher_softens_student(study):
    study.judge(softened_teacher_softens_student())


@claim(
    smoothed_teacher_softens_student,
    margin=nats(0.02),
    because="the margin of the same claim for a softened teacher",
)
def test_smoothed_teacher_softens_student(study):
    study.judge(smoothed_teacher_softens_student())
