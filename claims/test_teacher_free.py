"""Teacher-free distillation: a hand-made teacher smooths."""

from kdcheck.claims import nats, points
from kdcheck.paper import claim
from kdcheck.paper.statements.accuracies import virtual_teacher_is_as_accurate_as_kd
from kdcheck.paper.statements.causes import virtual_teacher_raises_entropy


@claim(
    virtual_teacher_raises_entropy,
    margin=nats(0.05),
    because="the margin of the same claim for label smoothing",
)
def test_virtual_teacher_raises_entropy(study):
    study.judge(virtual_teacher_raises_entropy())


@claim(
    virtual_teacher_is_as_accurate_as_kd,
    margin=points(1.0),
    because="twice the smallest gap in accuracy that would matter: similar is less than equal",
)
def test_virtual_teacher_is_as_accurate_as_kd(study):
    study.judge(virtual_teacher_is_as_accurate_as_kd())
