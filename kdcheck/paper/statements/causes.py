"""Why entropy moves, beyond what the tables can tell: training, budgets, teachers, no teacher."""

from __future__ import annotations

from kdcheck.claims.arm import SIZES, Arm
from kdcheck.claims.contrast import Contrast, apply, reading
from kdcheck.paper.arms import (
    ERM,
    LONGER,
    LS,
    REVERSE_KD,
    SELF_KD,
    SOFTLY_TAUGHT,
    STANDARD_KD,
    TAUGHT_BY_LS,
    TUNED_LS,
    TUNED_REVERSE_KD,
    TUNED_SELF_KD,
    TUNED_STANDARD_KD,
    VIRTUAL_TEACHER,
    entropy,
    entropy_curve,
    shuffled,
)
from kdcheck.paper.statements.statement import ours, stated

INTO_SMALLER = {"standard": STANDARD_KD, "self": SELF_KD}
TUNED_INTO_SMALLER = {"standard": TUNED_STANDARD_KD, "self": TUNED_SELF_KD}
SEEN_AND_NOT = ("train_sample", "test_sample")
"""Samples of text that a model trains on, and of other text."""
NO_NUMBERS = "Figures are not tables: our copy has no numbers for them."
CONFIDENCE = "section 4: confidence comes from the teacher, not from the process"


def _below(student: Arm, smoothed: Arm) -> Contrast:
    """The least by which a student stays surer than ERM and LS while all three train, on either text.

    ERM and LS have its rate and epochs, so that budgets explain nothing and curves have one length.
    """
    others = [arm.on_budget_of(student) for arm in (ERM("smaller"), smoothed)]
    gaps = [
        entropy_curve(other, split=split) - entropy_curve(student, split=split)
        for split in SEEN_AND_NOT
        for other in others
    ]
    return apply("least", apply("minimum", *gaps))


def _between(student: Arm, smoothed: Arm) -> Contrast:
    """The least by which a larger student lies between ERM and LS while all three train."""
    plain, smooth = (entropy_curve(arm.on_budget_of(student)) for arm in (ERM("larger"), smoothed))
    return apply("least", apply("between", entropy_curve(student), plain, smooth))


@stated("section 4, Figure 1", over=tuple(INTO_SMALLER), undecidable=NO_NUMBERS)
def kd_drops_entropy_early(student: str) -> Contrast:
    """At the first look of training, the distilled student is already surer than a plain one."""
    taught = INTO_SMALLER[student]
    plain = ERM("smaller").on_budget_of(taught)
    return apply("first", entropy_curve(plain) - entropy_curve(taught))


@stated("section 4, Figure 1", over=tuple(INTO_SMALLER))
def kd_stays_surer_throughout(student: str) -> Contrast:
    """At every look of training, the distilled student is surer than ERM and LS, on text that it
    trains on and on other text alike.
    """
    return _below(INTO_SMALLER[student], LS("smaller"))


@stated("appendix A.3, Figure 3", over=tuple(INTO_SMALLER))
def tuned_kd_stays_surer_throughout(student: str) -> Contrast:
    """At a tuned temperature too, the student is surer than ERM and LS at every look of training."""
    return _below(TUNED_INTO_SMALLER[student], TUNED_LS("smaller"))


@stated("section 4, Figure 2", holds="on most tasks")
def reverse_kd_runs_between_throughout() -> Contrast:
    """At every look of training, a larger student of a smaller teacher is mostly less sure than ERM and
    surer than LS.
    """
    return _between(REVERSE_KD, LS("larger"))


@stated("appendix A.3, Figure 4", holds="on most tasks")
def tuned_reverse_kd_runs_between_throughout() -> Contrast:
    """At a tuned temperature too, a larger student mostly runs between ERM and LS."""
    return _between(TUNED_REVERSE_KD, TUNED_LS("larger"))


@stated("section 4, Figure 1: training and test comparisons are alike", undecidable=NO_NUMBERS)
def smoothing_shows_on_seen_text() -> Contrast:
    """Label smoothing raises entropy on training text as it does on unseen text."""
    return entropy(LS("smaller"), split="train_sample") - entropy(
        ERM("smaller"), split="train_sample"
    )


@ours("section 4 and Table 7: selected distilled runs mostly train longer than plain ones")
def longer_training_lowers_entropy() -> Contrast:
    """Plain training for more epochs makes a classifier surer by itself, without any teacher."""
    return entropy(ERM("smaller")) - entropy(LONGER)


@ours(CONFIDENCE)
def confidence_follows_the_teacher() -> Contrast:
    """Which examples a student is sure of is more like its teacher's than after training with the
    same teacher's confidences shuffled among examples.
    """
    likeness, by_chance = (
        apply("fisher z", reading("entropy_correlation", arm))
        for arm in (STANDARD_KD, shuffled(STANDARD_KD))
    )
    return likeness - by_chance


@ours(CONFIDENCE)
def softened_teacher_softens_student() -> Contrast:
    """A teacher softened at equal accuracy makes a less sure student."""
    return entropy(SOFTLY_TAUGHT) - entropy(STANDARD_KD)


@ours(CONFIDENCE)
def smoothed_teacher_softens_student() -> Contrast:
    """A teacher trained with label smoothing makes a less sure student than one trained plainly."""
    return entropy(TAUGHT_BY_LS) - entropy(STANDARD_KD)


@ours("section 4, the comment on Yuan et al. 2020")
def virtual_teacher_raises_entropy() -> Contrast:
    """A hand-made teacher makes a classifier less sure, as label smoothing does."""
    return entropy(VIRTUAL_TEACHER("smaller")) - entropy(ERM("smaller"))


@ours("section 4: fine-tuned classifiers", over=SIZES)
def plain_models_are_fitted(size: str) -> Contrast:
    """Trained plainly, a model has less than half of the largest possible entropy on the text that it
    was trained on.
    """
    largest = reading("largest_entropy_nats", ERM(size), split="train_sample")
    return 0.5 * largest - entropy(ERM(size), split="train_sample")


@ours("section 4, Tables 3 and 5", over=SIZES)
def plain_models_have_learned(size: str) -> Contrast:
    """Trained plainly, a model is more accurate on unseen text than naming the commonest class."""
    return reading("accuracy_over_majority", ERM(size)) * 100.0


@ours("section 4, Table 2 with the largest entropy that K classes allow")
def erm_leaves_room_to_triple() -> Contrast:
    """Plain entropy is so low that three times as much is possible at all."""
    return reading("largest_entropy_nats", ERM("smaller")) / entropy(ERM("smaller")) - 3.0
