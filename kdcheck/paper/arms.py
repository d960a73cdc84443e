"""The arms of the paper, and what its statements read of them."""

from __future__ import annotations

from dataclasses import replace

from kdcheck.claims.arm import SIZES, Arm
from kdcheck.claims.contrast import Contrast, Reading, reading


def ERM(size: str) -> Arm:
    """Trained plainly on the labels: the baseline, and every teacher of section 4."""
    return Arm("erm", size)


def LS(size: str) -> Arm:
    """Trained with label smoothing, Eq. 1."""
    return Arm("ls", size)


def TUNED_LS(size: str) -> Arm:
    """Label smoothing whose alpha was picked from as many values as KD has settings (A.3)."""
    return Arm("tuned_ls", size)


def VIRTUAL_TEACHER(size: str) -> Arm:
    """Teacher-free KD with a hand-made teacher, after Yuan et al. 2020."""
    return Arm("virtual_teacher", size)


STANDARD_KD = Arm("standard_kd", "smaller", teacher=ERM("larger"))
SELF_KD = Arm("self_kd", "smaller", teacher=ERM("smaller"))
REVERSE_KD = Arm("reverse_kd", "larger", teacher=ERM("smaller"))

TUNED_STANDARD_KD = Arm("tuned_standard_kd", "smaller", teacher=ERM("larger"))
TUNED_SELF_KD = Arm("tuned_self_kd", "smaller", teacher=ERM("smaller"))
TUNED_REVERSE_KD = Arm("tuned_reverse_kd", "larger", teacher=ERM("smaller"))

POORLY_TRAINED = Arm("erm_poorly_trained", "larger")
LONGER = Arm("erm_longer", "smaller")
"""Plain training for more epochs, as the distilled runs that the paper selected are given."""

WEAKLY_TAUGHT = STANDARD_KD.taught_by(POORLY_TRAINED)
SOFTLY_TAUGHT = STANDARD_KD.taught_by(ERM("larger"), temperature=2.0)
"""A teacher of equal accuracy and less confidence."""
TAUGHT_BY_LS = STANDARD_KD.taught_by(LS("larger"))

TUNED = {
    **{LS(size): TUNED_LS(size) for size in SIZES},
    STANDARD_KD: TUNED_STANDARD_KD,
    SELF_KD: TUNED_SELF_KD,
    REVERSE_KD: TUNED_REVERSE_KD,
}
"""Arm of section 4: what stands in its row in appendix A.3. ERM has no temperature and stays."""


def shuffled(arm: Arm) -> Arm:
    """A control: the same teacher, its confidences shuffled among examples it classifies alike."""
    assert arm.teacher is not None
    return arm.taught_by(arm.teacher, shuffled=True)


def entropy(arm: Arm, *, split: str = "test", temperature: float = 1.0) -> Contrast:
    """Mean entropy of the finished model, in nats."""
    return reading("mean_entropy_nats", arm, split=split, temperature=temperature)


def entropy_curve(arm: Arm, *, split: str = "test_sample") -> Contrast:
    """Mean entropy at every look of the training, in nats, on a sample of the split."""
    return reading("mean_entropy_nats", arm, split=split, point="every")


def accuracy(arm: Arm, *, split: str = "test") -> Contrast:
    """Accuracy of the finished model, in percentage points."""
    return reading("accuracy", arm, split=split) * 100.0


def smoothing_floor(arm: Arm) -> Contrast:
    """Entropy of the labels that the arm smooths, in nats: the least that a fitted model has."""
    return reading("smoothing_floor_nats", arm)


def tuned(contrast: Contrast) -> Contrast:
    """The same contrast over the arms of appendix A.3."""
    if not contrast.is_leaf:
        return replace(contrast, of=tuple(map(tuned, contrast.parts)))
    leaf = contrast.of[0]
    if not isinstance(leaf, Reading):
        return contrast
    return replace(contrast, of=(replace(leaf, arm=TUNED.get(leaf.arm, leaf.arm)),))
