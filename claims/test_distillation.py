"""Which way distillation moves the student's entropy, in the paper's three settings."""

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.entropies import (
    larger_model_is_surer,
    reverse_kd_raises_entropy,
    reverse_kd_stays_far_below_ls,
    self_kd_lowers_entropy,
    standard_kd_is_surer_than_self_kd,
    standard_kd_lowers_entropy,
)

AT_TWO_CLASSES = "With two classes a teacher passes on confidence per example and nothing else."


@claim(standard_kd_lowers_entropy, margin=nats(0.01), at_two_classes=AT_TWO_CLASSES)
def test_standard_kd_lowers_entropy(study):
    study.judge(standard_kd_lowers_entropy())


@claim(self_kd_lowers_entropy, margin=nats(0.004), at_two_classes=AT_TWO_CLASSES)
def test_self_kd_lowers_entropy(study):
    study.judge(self_kd_lowers_entropy())


@claim(reverse_kd_raises_entropy, margin=nats(0.01), at_two_classes=AT_TWO_CLASSES)
def test_reverse_kd_raises_entropy(study):
    study.judge(reverse_kd_raises_entropy())


@claim(reverse_kd_stays_far_below_ls, margin=nats(0.05))
def test_reverse_kd_stays_far_below_ls(study):
    study.judge(reverse_kd_stays_far_below_ls())


@claim(larger_model_is_surer, margin=nats(0.01))
def test_larger_model_is_surer(study):
    study.judge(larger_model_is_surer())


@claim(standard_kd_is_surer_than_self_kd, margin=nats(0.005), at_two_classes=AT_TWO_CLASSES)
def test_standard_kd_is_surer_than_self_kd(study):
    study.judge(standard_kd_is_surer_than_self_kd())
