"""Settling a family of claims: Holm at each planned look; the first look that decides stands."""

# X = any leading axes, C = claims, L = looks, W = words: SUPPORTED, REFUTED, EQUIVALENT

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdcheck.verdict.criterion import Plan
from kdcheck.verdict.looks import Evidence
from kdcheck.verdict.p_values import Bools, holm
from kdcheck.verdict.spread import Floats
from kdcheck.verdict.words import DECIDING, Word

Ints = npt.NDArray[np.int64]

NONE_YET = -1
_SUPPORTED, _REFUTED, _EQUIVALENT = range(len(DECIDING))


@dataclass(frozen=True)
class Settled:
    """What a family comes to (decision 0041)."""

    words: Ints
    """Shape (..., C), index into ``DECIDING``, or ``NONE_YET``."""
    looks: Ints
    """Shape (..., C), index of the look that decided, or of the last one."""
    adjusted_p: Floats
    """Shape (..., C, W), adjusted for looks and family, frozen at that look."""
    rivals: Ints
    """Shape (..., W), claims among which Holm still divides each error rate."""


def settle(evidence: Evidence, plan: Plan) -> Settled:
    """Judge the family after each look in turn; each word has its own rate and its own Holm.

    A sequential p never rises from look to look and Holm is monotone, so what is rejected once
    stays rejected: the chance of any false word over all looks is that of one Holm on the last. Holm
    works on p values beside the spread of like claims. A word needs the claim's own spread, too, at
    the rate without the family's price: no claim is ever shown by the company that it keeps.
    """
    p_XCLW, own_XCLW = evidence.p, evidence.own
    claims_XC = p_XCLW.shape[:-2]
    rates_W = np.array([plan.rate(word) for word in DECIDING])
    word_XC = np.full(claims_XC, NONE_YET)
    look_XC = np.zeros(claims_XC, dtype=np.int64)
    p_XCW = np.ones((*claims_XC, len(DECIDING)))
    rivals_XW = np.full((*claims_XC[:-1], len(DECIDING)), claims_XC[-1])
    for k in range(len(plan.looks)):
        family_XCW = np.moveaxis(holm(np.moveaxis(p_XCLW[..., k, :], -1, -2)), -2, -1)
        rivals_XW = claims_XC[-1] - (family_XCW <= rates_W).sum(axis=-2)
        adjusted_XCW = np.maximum(family_XCW, own_XCLW[..., k, :])
        shown_XCW = adjusted_XCW <= rates_W
        open_XC = word_XC == NONE_YET
        word_XC = np.where(open_XC, _word(shown_XCW, adjusted_XCW), word_XC)
        look_XC = np.where(open_XC, k, look_XC)
        p_XCW = np.where(open_XC[..., None], adjusted_XCW, p_XCW)
    return Settled(word_XC, look_XC, p_XCW, rivals_XW)


def _word(shown_XCW: Bools, adjusted_XCW: Floats) -> Ints:
    """The word shown, or ``NONE_YET``.

    A task with the opposite effect and another with none can show REFUTED and EQUIVALENT at once:
    REFUTED says more. Data of one look that contradict those of another can show SUPPORTED and its
    opposite: the smaller p has it. Both rules choose among rejections, so they cost no error.
    """
    shown_XCW = shown_XCW.copy()
    shown_XCW[..., _EQUIVALENT] &= ~shown_XCW[..., _REFUTED]
    best_XC = np.where(shown_XCW, adjusted_XCW, np.inf).argmin(axis=-1)
    return np.where(shown_XCW.any(axis=-1), best_XC, NONE_YET)


def word_at(index: int) -> Word:
    """The word of an index in ``Settled.words``."""
    return Word.UNDECIDED if index == NONE_YET else DECIDING[index]
