"""Teacher-free distillation: a hand-made teacher smooths; a student's earlier self does not."""

from kdcheck.study.arms import ERM, SELF_TRAINING, VIRTUAL_TEACHER

from kdcheck.claims import claim, nats


@claim(
    "virtual_teacher_raises_entropy",
    says="A hand-made teacher makes a classifier less sure, as label smoothing does.",
    where="section 4, the comment on Yuan et al. 2020",
    holds="on every task",
    margin=nats(0.05),
    because="the margin of the same claim for label smoothing",
)
def test_virtual_teacher_raises_entropy(study):
    study.judge(study.entropy(VIRTUAL_TEACHER("smaller")) - study.entropy(ERM("smaller")))


@claim(
    "self_training_does_not_raise_entropy",
    says="Taught by its own earlier self, a classifier is no less sure than one trained plainly.",
    where="section 4, self-KD in Table 2",
    holds="on most tasks",
    direction="not_below",
    margin=nats(0.01),
    because="the one rise in Table 2 that the paper calls very slight is 0.006 nats",
)
def test_self_training_does_not_raise_entropy(study):
    study.judge(study.entropy(ERM("smaller")) - study.entropy(SELF_TRAINING))
