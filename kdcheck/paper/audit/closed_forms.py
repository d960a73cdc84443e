"""Checks of the entropy tables and of section 3 against closed forms."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from kdcheck import theory
from kdcheck.paper.audit.comparing import Source
from kdcheck.paper.audit.finding import FAILS, HOLDS, Outcome, listed
from kdcheck.paper.tables import CLASSES, ENTROPY_TABLES, SIZES, TASKS


def entropies_in_range(source: Source) -> Outcome:
    """Do entropies lie between 0 and log K?"""
    tables = source.tables
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
    return Outcome(
        outcome=FAILS if wrong else HOLDS,
        by_how_much=f"{len(cells) - len(wrong)} of {len(cells)}; nearest to uniform: {top}, "
        f"{share:.1f} % of log K; outside: {listed(wrong)}",
        margin=room[tight],
        unit="nats",
        cells=tuple(wrong) or tuple(dict.fromkeys((tight, top))),
    )


def uniform_target_raises_entropy(source: Source) -> Outcome:
    """The flow, the minimiser and a single step are three claims; the paper needs the second."""
    of = product(TASKS, ("ls",), SIZES, ("alpha",))
    settings = [source.tables.setting(*each, tuned=tuned) for each in of for tuned in (False, True)]
    alphas = sorted({cell.value for cell in settings if cell is not None})
    top = np.linspace(0.01, 0.99, 99)
    binary = np.stack([top, 1 - top], axis=1)
    flow = float(theory.entropy_rate_towards_uniform(binary).min())
    # Smoothing a posterior P of the labels: (1 - alpha) P + alpha / K beside P, for K = 2.
    rise = min(float((_entropy((1 - a) * binary + a / 2) - _entropy(binary)).min()) for a in alphas)
    labels = np.zeros(len(binary), dtype=np.int64)
    step = theory.smoothing_minus_erm_rate(binary, labels, alpha=1.0)
    worst = int(step.argmin())
    return Outcome(
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
