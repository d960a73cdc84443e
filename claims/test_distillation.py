"""Which way distillation moves the student's entropy, in the paper's three settings."""

from kdcheck.study.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD

from kdcheck.claims import claim, nats

AT_TWO_CLASSES = "With two classes a teacher passes on confidence per example and nothing else."


@claim(
    "standard_kd_lowers_entropy",
    says="Taught by a larger model, a student is surer than one trained plainly.",
    where="section 4, Table 2",
    holds="on every task",
    margin=nats(0.01),
    because="half of the smallest drop in Table 2 (0.021 nats, QNLI)",
    paper="-0.021 to -0.081 nats in Table 2",
    at_two_classes=AT_TWO_CLASSES,
)
def test_standard_kd_lowers_entropy(study):
    study.judge(study.entropy(ERM("smaller")) - study.entropy(STANDARD_KD))


@claim(
    "self_kd_lowers_entropy",
    says="Taught by a model of its own kind, a student is mostly surer than one trained plainly.",
    where="section 4, Table 2",
    holds="on most tasks",
    margin=nats(0.004),
    because="half of the smallest drop in Table 2 (0.008 nats, QNLI)",
    paper="-0.039, -0.008, -0.012 and +0.006 nats in Table 2",
    at_two_classes=AT_TWO_CLASSES,
)
def test_self_kd_lowers_entropy(study):
    study.judge(study.entropy(ERM("smaller")) - study.entropy(SELF_KD))


@claim(
    "reverse_kd_raises_entropy",
    says="Taught by a smaller model, a larger student is mostly less sure than one trained plainly.",
    where="section 4, Table 4",
    holds="on most tasks",
    margin=nats(0.01),
    because="half of the smallest rise in Table 4 (0.020 nats, MNLI)",
    paper="+0.028, -0.038, +0.083 and +0.020 nats in Table 4",
    at_two_classes=AT_TWO_CLASSES,
)
def test_reverse_kd_raises_entropy(study):
    study.judge(study.entropy(REVERSE_KD) - study.entropy(ERM("larger")))


@claim(
    "reverse_kd_stays_far_below_ls",
    says="What reverse distillation adds to entropy is far less than what label smoothing adds.",
    where="section 4, Table 4",
    holds="on every task",
    margin=nats(0.05),
    because="a fifth of the smallest distance in Table 4 (0.273 nats, MNLI)",
    paper="0.273 to 0.569 nats apart in Table 4",
)
def test_reverse_kd_stays_far_below_ls(study):
    study.judge(study.entropy(LS("larger")) - study.entropy(REVERSE_KD))


@claim(
    "larger_model_is_surer",
    says="Trained plainly, the larger model is surer than the smaller one.",
    where="section 4, first rows of Tables 2 and 4",
    holds="on every task",
    margin=nats(0.01),
    because="half of the smallest gap in Tables 2 and 4 (0.020 nats, QNLI)",
    paper="0.020 to 0.098 nats apart",
)
def test_larger_model_is_surer(study):
    study.judge(study.entropy(ERM("smaller")) - study.entropy(ERM("larger")))


@claim(
    "standard_kd_is_surer_than_self_kd",
    says="A student of the larger, surer teacher is surer than a student of its own kind.",
    where="section 4, Table 2",
    holds="on every task",
    margin=nats(0.005),
    because="under half of the smallest gap in Table 2 (0.013 nats, QNLI)",
    paper="0.013 to 0.087 nats apart in Table 2",
    at_two_classes=AT_TWO_CLASSES,
)
def test_standard_kd_is_surer_than_self_kd(study):
    study.judge(study.entropy(SELF_KD) - study.entropy(STANDARD_KD))
