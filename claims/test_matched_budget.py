"""The entropy claims again, with ERM and LS given the distilled run's learning rate and epochs.

The paper selects each method's own; its distilled runs train longer, which by itself makes a model
surer. With equal budgets that explanation is gone.
"""

from kdcheck.study.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD

from kdcheck.claims import claim, nats

WHERE = "section 4 and Table 7: selected distilled runs train longer than plain ones"


@claim(
    "ls_raises_entropy_at_equal_budget",
    says="With the distilled run's budget, label smoothing still raises entropy.",
    where=WHERE,
    holds="on every task",
    margin=nats(0.05),
    because="the margin of the same claim at selected budgets",
)
def test_ls_raises_entropy_at_equal_budget(study):
    smoothed = LS("smaller").on_budget_of(STANDARD_KD)
    study.judge(study.entropy(smoothed) - study.entropy(ERM("smaller").on_budget_of(STANDARD_KD)))


@claim(
    "standard_kd_lowers_entropy_at_equal_budget",
    says="With equal budgets, a student of the larger model is still surer than a plain one.",
    where=WHERE,
    holds="on every task",
    margin=nats(0.01),
    because="the margin of the same claim at selected budgets",
)
def test_standard_kd_lowers_entropy_at_equal_budget(study):
    plain = ERM("smaller").on_budget_of(STANDARD_KD)
    study.judge(study.entropy(plain) - study.entropy(STANDARD_KD))


@claim(
    "self_kd_lowers_entropy_at_equal_budget",
    says="With equal budgets, a student of its own kind is mostly surer than a plain one.",
    where=WHERE,
    holds="on most tasks",
    margin=nats(0.004),
    because="the margin of the same claim at selected budgets",
)
def test_self_kd_lowers_entropy_at_equal_budget(study):
    study.judge(study.entropy(ERM("smaller").on_budget_of(SELF_KD)) - study.entropy(SELF_KD))


@claim(
    "reverse_kd_raises_entropy_at_equal_budget",
    says="With equal budgets, a student of the smaller model is mostly less sure than a plain one.",
    where=WHERE,
    holds="on most tasks",
    margin=nats(0.01),
    because="the margin of the same claim at selected budgets",
)
def test_reverse_kd_raises_entropy_at_equal_budget(study):
    study.judge(study.entropy(REVERSE_KD) - study.entropy(ERM("larger").on_budget_of(REVERSE_KD)))
