"""Entropy while training.

Distillation drops it early and keeps it low, on seen and unseen text (Figures 1 to 4). ERM and LS are
given the student's learning rate and epochs, so that their curves have the same points.
"""

import pytest

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    kd_drops_entropy_early,
    kd_stays_surer_throughout,
    reverse_kd_runs_between_throughout,
    tuned_kd_stays_surer_throughout,
    tuned_reverse_kd_runs_between_throughout,
)
from kdcheck.paper.statements.entropies import larger_model_is_surer

ORDER = "the statement is about order alone, at every point"
INTO_SMALLER = ["standard", "self"]


@claim(
    kd_drops_entropy_early,
    margin=nats(0.01),
    because="the margin of the finished models; the figure has no numbers",
)
@pytest.mark.parametrize("student", INTO_SMALLER)
def test_kd_drops_entropy_early(study, student):
    study.judge(kd_drops_entropy_early(student))


@claim(kd_stays_surer_throughout, margin=nats(0.0), because=ORDER)
@pytest.mark.parametrize("student", INTO_SMALLER)
def test_kd_stays_surer_throughout(study, student):
    study.judge(kd_stays_surer_throughout(student))


@claim(tuned_kd_stays_surer_throughout, margin=nats(0.0), because=ORDER)
@pytest.mark.parametrize("student", INTO_SMALLER)
def test_tuned_kd_stays_surer_throughout(study, student):
    study.judge(tuned_kd_stays_surer_throughout(student))


@claim(
    reverse_kd_runs_between_throughout,
    margin=nats(0.0),
    because=ORDER,
    rests_on=[larger_model_is_surer],
)
def test_reverse_kd_runs_between_throughout(study):
    study.judge(reverse_kd_runs_between_throughout())


@claim(
    tuned_reverse_kd_runs_between_throughout,
    margin=nats(0.0),
    because=ORDER,
    rests_on=[larger_model_is_surer],
)
def test_tuned_reverse_kd_runs_between_throughout(study):
    study.judge(tuned_reverse_kd_runs_between_throughout())
