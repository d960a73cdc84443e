"""A tuned temperature changes none of the findings.

The entropy claims again, with the settings that the paper picked in appendix A.3.
"""

import pytest

from kdcheck.claims import SIZES, nats
from kdcheck.paper import claim
from kdcheck.paper.statements.entropies import (
    larger_model_is_surer,
    ls_raises_entropy,
    tuned_ls_raises_entropy,
    tuned_reverse_kd_raises_entropy,
    tuned_reverse_kd_stays_far_below_ls,
    tuned_self_kd_lowers_entropy,
    tuned_standard_kd_lowers_entropy,
)


@claim(tuned_ls_raises_entropy, margin=nats(0.05), beside=[ls_raises_entropy])
@pytest.mark.parametrize("size", SIZES)
def test_tuned_ls_raises_entropy(study, size):
    study.judge(tuned_ls_raises_entropy(size))


@claim(tuned_standard_kd_lowers_entropy, margin=nats(0.005), rests_on=[larger_model_is_surer])
def test_tuned_standard_kd_lowers_entropy(study):
    study.judge(tuned_standard_kd_lowers_entropy())


@claim(tuned_self_kd_lowers_entropy, margin=nats(0.01))
def test_tuned_self_kd_lowers_entropy(study):
    study.judge(tuned_self_kd_lowers_entropy())


@claim(tuned_reverse_kd_raises_entropy, margin=nats(0.01), rests_on=[larger_model_is_surer])
def test_tuned_reverse_kd_raises_entropy(study):
    study.judge(tuned_reverse_kd_raises_entropy())


@claim(
    tuned_reverse_kd_stays_far_below_ls,
    margin=nats(0.05),
    rests_on=[tuned_reverse_kd_raises_entropy],
)
def test_tuned_reverse_kd_stays_far_below_ls(study):
    study.judge(tuned_reverse_kd_stays_far_below_ls())
