"""The entropy claims again, with ERM and LS given the distilled run's learning rate and epochs.

The paper selects each method's own; its distilled runs train longer, which by itself makes a model
surer. With equal budgets that explanation is gone.
"""

from kdcheck.claims import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    ls_raises_entropy_at_equal_budget,
    reverse_kd_raises_entropy_at_equal_budget,
    self_kd_lowers_entropy_at_equal_budget,
    standard_kd_lowers_entropy_at_equal_budget,
)

SELECTED = "the margin of the same claim at selected budgets"


@claim(ls_raises_entropy_at_equal_budget, margin=nats(0.05), because=SELECTED)
def test_ls_raises_entropy_at_equal_budget(study):
    study.judge(ls_raises_entropy_at_equal_budget())


@claim(standard_kd_lowers_entropy_at_equal_budget, margin=nats(0.01), because=SELECTED)
def test_standard_kd_lowers_entropy_at_equal_budget(study):
    study.judge(standard_kd_lowers_entropy_at_equal_budget())


@claim(self_kd_lowers_entropy_at_equal_budget, margin=nats(0.004), because=SELECTED)
def test_self_kd_lowers_entropy_at_equal_budget(study):
    study.judge(self_kd_lowers_entropy_at_equal_budget())


@claim(reverse_kd_raises_entropy_at_equal_budget, margin=nats(0.01), because=SELECTED)
def test_reverse_kd_raises_entropy_at_equal_budget(study):
    study.judge(reverse_kd_raises_entropy_at_equal_budget())
