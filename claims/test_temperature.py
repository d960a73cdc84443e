"""A tuned temperature changes none of the findings: the entropy claims again (appendix A.3)."""

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.entropies import (
    tuned_reverse_kd_raises_entropy,
    tuned_reverse_kd_stays_far_below_ls,
    tuned_self_kd_lowers_entropy,
    tuned_standard_kd_lowers_entropy,
)


@claim(tuned_standard_kd_lowers_entropy, margin=nats(0.005))
def test_tuned_standard_kd_lowers_entropy(study):
    study.judge(tuned_standard_kd_lowers_entropy())


@claim(tuned_self_kd_lowers_entropy, margin=nats(0.01))
def test_tuned_self_kd_lowers_entropy(study):
    study.judge(tuned_self_kd_lowers_entropy())


@claim(tuned_reverse_kd_raises_entropy, margin=nats(0.01))
def test_tuned_reverse_kd_raises_entropy(study):
    study.judge(tuned_reverse_kd_raises_entropy())


@claim(tuned_reverse_kd_stays_far_below_ls, margin=nats(0.05))
def test_tuned_reverse_kd_stays_far_below_ls(study):
    study.judge(tuned_reverse_kd_stays_far_below_ls())
