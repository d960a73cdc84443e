"""The student takes over its teacher's confidence, whatever made the teacher sure or unsure."""

from kdcheck.study.arms import ERM, LS, POORLY_TRAINED, STANDARD_KD, STOPPED_EARLY

from kdcheck.claims import claim, nats, plain

# Teachers whose confidence was changed on purpose; the last two keep their accuracy exactly.
TEACHERS = (
    (ERM("larger"), 1.0),
    (LS("larger"), 1.0),
    (STOPPED_EARLY, 1.0),
    (POORLY_TRAINED, 1.0),
    (ERM("larger"), 0.5),
    (ERM("larger"), 2.0),
)


def confidences(study):
    """Entropies of all students and of their teachers, as each teacher was shown."""
    students = [study.entropy(STANDARD_KD.taught_by(t, temperature=tau)) for t, tau in TEACHERS]
    teachers = [study.entropy(teacher, temperature=tau) for teacher, tau in TEACHERS]
    return students, teachers


@claim(
    "student_inherits_confidence",
    says="Across teachers made more or less sure on purpose, the student's entropy follows theirs.",
    where="section 4, the discussion of Tables 2 and 4",
    holds="on every task",
    margin=plain(0.1, "nats a nat"),
    because="below a tenth of a nat per nat of the teacher, nothing worth the name is inherited",
)
def test_student_inherits_confidence(study):
    students, teachers = confidences(study)
    study.judge(study.slope(students, teachers))


@claim(
    "student_keeps_teachers_order",
    says="A surer teacher makes a surer student: the order of teachers is that of their students.",
    where="section 4, the discussion of Tables 2 and 4",
    holds="on every task",
    margin=plain(0.5, "rank correlation"),
    because="at 0.5 two thirds of all pairs of six teachers are in order; less is no clear order",
)
def test_student_keeps_teachers_order(study):
    students, teachers = confidences(study)
    study.judge(study.rank_correlation(students, teachers))


@claim(
    "softened_teacher_softens_student",
    says="A teacher softened at equal accuracy makes a less sure student.",
    where="section 4: confidence comes from the teacher, not from the process",
    holds="on every task",
    margin=nats(0.02),
    because="the softening itself moves the teacher by a tenth of a nat and more",
)
def test_softened_teacher_softens_student(study):
    softened = STANDARD_KD.taught_by(ERM("larger"), temperature=2.0)
    study.judge(study.entropy(softened) - study.entropy(STANDARD_KD))
