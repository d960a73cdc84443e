"""Entropy while training: distillation drops it early and keeps it low, on seen and unseen text.

All arms are given the distilled student's learning rate and epochs, so that their curves have the
same points.
"""

import pytest
from kdcheck.study.arms import ERM, LS, STANDARD_KD

from kdcheck.claims import claim, nats

PLAIN = ERM("smaller").on_budget_of(STANDARD_KD)
SMOOTHED = LS("smaller").on_budget_of(STANDARD_KD)


@claim(
    "kd_drops_entropy_early",
    says="At the first look of training, the distilled student is already surer than a plain one.",
    where="section 4, Figure 1",
    holds="on every task",
    margin=nats(0.01),
    because="the margin of the finished models; the figure has no numbers",
)
def test_kd_drops_entropy_early(study):
    plain, distilled = study.entropy_curve(PLAIN), study.entropy_curve(STANDARD_KD)
    study.judge(study.first(plain - distilled))


@claim(
    "kd_stays_surer_throughout",
    says="At every look of training, the distilled student is surer.",
    where="section 4, Figure 1",
    holds="on every task",
    margin=nats(0.0),
    because="the statement is about order alone, at every point",
)
@pytest.mark.parametrize("than", [PLAIN, SMOOTHED], ids=["erm", "ls"])
def test_kd_stays_surer_throughout(study, than):
    study.judge(study.least(study.entropy_curve(than) - study.entropy_curve(STANDARD_KD)))


@claim(
    "smoothing_shows_on_seen_text",
    says="Label smoothing raises entropy on training text as it does on unseen text.",
    where="section 4, Figure 1: training and test comparisons are alike",
    holds="on every task",
    margin=nats(0.05),
    because="the margin of the same claim on unseen text",
)
def test_smoothing_shows_on_seen_text(study):
    seen = study.entropy(SMOOTHED, split="train_sample")
    study.judge(seen - study.entropy(PLAIN, split="train_sample"))


@claim(
    "distillation_shows_on_seen_text",
    says="Standard distillation lowers entropy on training text as it does on unseen text.",
    where="section 4, Figure 1: training and test comparisons are alike",
    holds="on every task",
    margin=nats(0.01),
    because="the margin of the same claim on unseen text",
)
def test_distillation_shows_on_seen_text(study):
    plain = study.entropy(PLAIN, split="train_sample")
    study.judge(plain - study.entropy(STANDARD_KD, split="train_sample"))
