"""Checks of the entropy tables and of section 3 against closed forms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kdcheck import theory
from kdcheck.paper.audit.finding import (
    FAILS,
    HOLDS,
    SUSPICIOUS,
    Judgement,
    decides,
    listed,
    signed,
)
from kdcheck.paper.tables import CLASSES, ENTROPY_TABLES, SIZES, TASKS, Cell, Tables

FAR_ABOVE = 1.5
"""Times the floor from which a cell is called far above it; the other cells end at 1.2."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """An entropy of label smoothing beside the least that its alpha allows a fitted model.

    Source: the minimiser of Eq. 1; entropy of Tables 2, 4, 8, 10, alpha of Tables 7 and 12.

    >>> from kdcheck.paper import load_tables
    >>> round(floors(load_tables())[3].ratio, 3)
    0.764
    """

    entropy: Cell
    alpha: Cell

    @property
    def classes(self) -> int:
        """K of the task."""
        return CLASSES[self.entropy.column]

    @property
    def nats(self) -> float:
        """H(q_ls(alpha, K)), at the smallest alpha that prints like this one."""
        return theory.smoothing_entropy_floor(self.alpha.low, self.classes)

    @property
    def ratio(self) -> float:
        """Entropy over floor, at the largest entropy that prints like this one."""
        return self.entropy.high / self.nats

    def __str__(self) -> str:
        implied = theory.alpha_for_entropy(self.entropy.value, self.classes)
        return (
            f"{self.entropy} at alpha {self.alpha.value:g}: floor {self.nats:.4f}, "
            f"{signed(self.entropy.value - self.nats, 'nats')} nats, ratio {self.ratio:.3f}; "
            f"alpha {implied:.2f} would put the floor there"
        )


def floors(tables: Tables) -> list[Floor]:
    """All sixteen cells of label smoothing: DistilBERT then BERT, section 4 then A.3.

    Source: see :class:`Floor`.

    >>> from kdcheck.paper import load_tables
    >>> len(floors(load_tables()))
    16
    """
    found = []
    for tuned in (False, True):
        for size in SIZES:
            for task in TASKS:
                alpha = tables.setting(task, "ls", size, "alpha", tuned=tuned)
                entropy = tables.entropy(task, "ls", size, tuned=tuned)
                assert alpha is not None, "our copy has all rows of label smoothing"
                found.append(Floor(entropy=entropy, alpha=alpha))
    return found


def _cells(found: list[Floor]) -> tuple[Cell, ...]:
    return tuple(cell for floor in found for cell in (floor.entropy, floor.alpha))


@decides("ls_entropy_floor")
def _ls_entropy_floor(tables: Tables) -> Judgement:
    every = floors(tables)
    below, least = [f for f in every if f.ratio < 1], min(every, key=lambda f: f.ratio)
    why = (
        ". Not impossible: the floor is that of the minimiser of the training loss, and a mean over "
        "test examples goes below it if the model has not fitted that loss and is surer than its "
        "targets, or overshoots them on easy or unlike examples; but no other cell does"
    )
    return Judgement(
        outcome=SUSPICIOUS if below else HOLDS,
        by_how_much=f"{len(every) - len(below)} of {len(every)} at or above; "
        + (f"below: {listed(below)}{why}" if below else f"least: {least}"),
        margin=least.entropy.high - least.nats,
        unit="nats",
        cells=_cells(below or [least]),
    )


@decides("ls_entropy_near_floor")
def _ls_entropy_near_floor(tables: Tables) -> Judgement:
    every = floors(tables)
    far = [f for f in every if f.ratio > FAR_ABOVE]
    rest = [f.ratio for f in every if 1 <= f.ratio <= FAR_ABOVE]
    return Judgement(
        outcome=SUSPICIOUS if far else HOLDS,
        by_how_much=f"{len(far)} of {len(every)} above {FAR_ABOVE} times the floor: {listed(far)}. "
        f"Cells between the floor and that end at {max(rest, default=1.0):.3f} times. Uncertain "
        "labels or too few epochs lift entropy above the floor",
        margin=FAR_ABOVE - max(f.ratio for f in every),
        unit="times the floor",
        cells=_cells(far),
    )


@decides("entropies_in_range")
def _entropies_in_range(tables: Tables) -> Judgement:
    cells = [
        cell
        for number in ENTROPY_TABLES.values()
        for row in tables.table(number).cells
        for cell in tables.table(number).row(row)
    ]
    room = {cell: min(math.log(CLASSES[cell.column]) - cell.low, cell.high) for cell in cells}
    wrong, tight = [c for c in cells if room[c] < 0], min(cells, key=lambda c: room[c])
    top = max(cells, key=lambda c: c.value / math.log(CLASSES[c.column]))
    share = 100 * top.value / math.log(CLASSES[top.column])
    return Judgement(
        outcome=FAILS if wrong else HOLDS,
        by_how_much=f"{len(cells) - len(wrong)} of {len(cells)}; nearest to uniform: {top}, "
        f"{share:.1f} % of log K; outside: {listed(wrong)}",
        margin=room[tight],
        unit="nats",
        cells=tuple(wrong) or tuple(dict.fromkeys((tight, top))),
    )


@decides("uniform_target_raises_entropy")
def _uniform_target_raises_entropy(tables: Tables) -> Judgement:
    """The flow, the minimiser and a single step are three claims; the paper needs the second."""
    alphas = sorted({floor.alpha.value for floor in floors(tables)})
    top = np.linspace(0.01, 0.99, 99)
    binary = np.stack([top, 1 - top], axis=1)
    flow = float(theory.entropy_rate_towards_uniform(binary).min())
    # Smoothing a posterior P of the labels: (1 - alpha) P + alpha / K beside P, for K = 2.
    rise = min(float((_entropy((1 - a) * binary + a / 2) - _entropy(binary)).min()) for a in alphas)
    labels = np.zeros(len(binary), dtype=np.int64)
    step = theory.smoothing_minus_erm_rate(binary, labels, alpha=1.0)
    worst = int(step.argmin())
    return Judgement(
        outcome=HOLDS if min(flow, rise) >= -1e-12 else FAILS,
        by_how_much=f"along the flow of the divergence the rate is never negative (least "
        f"{abs(flow):.4f} on a grid of binary posteriors), and the minimiser of Eq. 1 has at least "
        f"the minimiser of ERM's entropy at every selected alpha (least rise {abs(rise):.4f} nats). "
        "Step by step it is not unconditional: where p(y) < exp(-H(p)) a step of label smoothing "
        f"lowers entropy against one of ERM, by up to {-step[worst]:.3f} alpha nats per unit of "
        f"time (at p(y) = {top[worst]:.2f})",
        margin=min(flow, rise),
        unit="nats",
    )


def _entropy(posteriors_NK: theory.Floats) -> theory.Floats:
    total: theory.Floats = -(posteriors_NK * np.log(posteriors_NK)).sum(axis=1)
    return total
