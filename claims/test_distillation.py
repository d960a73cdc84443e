"""Which way distillation moves the student's entropy.

In the paper's three settings: a larger teacher, one of the student's own kind, a smaller one.
"""

import pytest

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import longer_training_lowers_entropy
from kdcheck.paper.statements.entropies import (
    kd_and_ls_move_apart,
    kd_lowers_entropy_somewhere,
    larger_model_is_surer,
    only_larger_students_gain_entropy,
    reverse_kd_raises_entropy,
    reverse_kd_stays_far_below_ls,
    self_kd_lowers_entropy,
    standard_kd_is_surer_than_self_kd,
    standard_kd_lowers_entropy,
)

AT_TWO_CLASSES = "With two classes a teacher passes on confidence per example and nothing else."
LOWERED = "the margin of the claim that a larger teacher lowers entropy"


@claim(
    standard_kd_lowers_entropy,
    margin=nats(0.01),
    at_two_classes=AT_TWO_CLASSES,
    rests_on=[larger_model_is_surer],
)
def test_standard_kd_lowers_entropy(study):
    study.judge(standard_kd_lowers_entropy())


@claim(self_kd_lowers_entropy, margin=nats(0.004), at_two_classes=AT_TWO_CLASSES)
def test_self_kd_lowers_entropy(study):
    study.judge(self_kd_lowers_entropy())


@claim(kd_lowers_entropy_somewhere, margin=nats(0.01), because=LOWERED)
def test_kd_lowers_entropy_somewhere(study):
    study.judge(kd_lowers_entropy_somewhere())


@claim(kd_and_ls_move_apart, margin=nats(0.01), because=LOWERED)
@pytest.mark.parametrize("student", ["standard", "self"])
def test_kd_and_ls_move_apart(study, student):
    study.judge(kd_and_ls_move_apart(student))


@claim(
    only_larger_students_gain_entropy,
    margin=nats(0.006),
    because="the one rise that the paper prints, of self-KD on MNLI, is as large and called very slight",
)
def test_only_larger_students_gain_entropy(study):
    study.judge(only_larger_students_gain_entropy())


@claim(
    standard_kd_is_surer_than_self_kd,
    margin=nats(0.005),
    at_two_classes=AT_TWO_CLASSES,
    rests_on=[larger_model_is_surer],
)
def test_standard_kd_is_surer_than_self_kd(study):
    study.judge(standard_kd_is_surer_than_self_kd())


@claim(
    reverse_kd_raises_entropy,
    margin=nats(0.01),
    at_two_classes=AT_TWO_CLASSES,
    rests_on=[larger_model_is_surer],
)
def test_reverse_kd_raises_entropy(study):
    study.judge(reverse_kd_raises_entropy())


@claim(reverse_kd_stays_far_below_ls, margin=nats(0.05), rests_on=[reverse_kd_raises_entropy])
def test_reverse_kd_stays_far_below_ls(study):
    study.judge(reverse_kd_stays_far_below_ls())


@claim(longer_training_lowers_entropy, margin=nats(0.01), because=LOWERED)
def test_longer_training_lowers_entropy(study):
    study.judge(longer_training_lowers_entropy())
