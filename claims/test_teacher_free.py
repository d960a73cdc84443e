"""Teacher-free distillation: a hand-made teacher smooths; a student's earlier self does not."""

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    self_training_does_not_raise_entropy,
    virtual_teacher_raises_entropy,
)


@claim(
    virtual_teacher_raises_entropy,
    margin=nats(0.05),
    because="the margin of the same claim for label smoothing",
)
def test_virtual_teacher_raises_entropy(study):
    study.judge(virtual_teacher_raises_entropy())


@claim(
    self_training_does_not_raise_entropy,
    margin=nats(0.01),
    because="the one rise in Table 2 that the paper calls very slight is 0.006 nats",
)
def test_self_training_does_not_raise_entropy(study):
    study.judge(self_training_does_not_raise_entropy())
