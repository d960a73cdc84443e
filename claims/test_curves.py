"""Entropy while training: distillation drops it early and keeps it low, on seen and unseen text.

All arms are given the distilled student's learning rate and epochs, so that their curves have the
same points.
"""

import pytest

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    distillation_shows_on_seen_text,
    kd_drops_entropy_early,
    kd_stays_surer_throughout,
    smoothing_shows_on_seen_text,
)

UNSEEN = "the margin of the same claim on unseen text"


@claim(
    kd_drops_entropy_early,
    margin=nats(0.01),
    because="the margin of the finished models; the figure has no numbers",
)
def test_kd_drops_entropy_early(study):
    study.judge(kd_drops_entropy_early())


@claim(
    kd_stays_surer_throughout,
    margin=nats(0.0),
    because="the statement is about order alone, at every point",
)
@pytest.mark.parametrize("than", ["erm", "ls"])
def test_kd_stays_surer_throughout(study, than):
    study.judge(kd_stays_surer_throughout(than))


@claim(smoothing_shows_on_seen_text, margin=nats(0.05), because=UNSEEN)
def test_smoothing_shows_on_seen_text(study):
    study.judge(smoothing_shows_on_seen_text())


@claim(distillation_shows_on_seen_text, margin=nats(0.01), because=UNSEEN)
def test_distillation_shows_on_seen_text(study):
    study.judge(distillation_shows_on_seen_text())
