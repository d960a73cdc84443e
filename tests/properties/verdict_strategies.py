"""Hypothesis strategies for claims and their measurements."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects

# Differences on a grid of 1/64 over +-8: sums and means of them are exact in float64, and two of
# them never differ by mere rounding.
differences = st.integers(-512, 512).map(lambda k: k / 64)
margins = st.integers(1, 64).map(lambda k: k / 32)
p_values = st.floats(0.0, 1.0)
directions = st.sampled_from(["above", "not_below", "within"])
one_to_four = st.integers(1, 4)
two_to_ten = st.integers(2, 10)
one_to_five = st.integers(1, 5)
powers_of_two = st.integers(-20, 20).map(lambda k: 2.0**k)


PLAN = Plan(looks=(3, 5, 7, 10), weights=(0.4, 0.3, 0.2, 0.1))


@st.composite
def criteria(draw, *, claim="c", tasks=one_to_four, direction=directions, unit="nats"):
    count = draw(tasks)
    return Criterion(
        claim=claim,
        tasks=tuple("abcd"[:count]),
        holds=draw(st.integers(1, count)),
        margin=draw(margins),
        because="drawn by Hypothesis",
        unit=unit,
        direction=draw(direction),
        plan=PLAN,
    )


@st.composite
def measurements(draw, criterion, *, seeds=two_to_ten):
    """Effects around one centre per task, with a scatter that ranges from tiny to large."""
    count = draw(seeds)
    scatter = 2.0 ** draw(st.integers(-8, 0))
    tasks = {}
    for name in criterion.tasks:
        noise = draw(st.lists(differences, min_size=count, max_size=count, unique=True))
        centre = draw(differences)
        effects = tuple(float(x) for x in centre + scatter * np.array(noise))
        tasks[name] = TaskEffects(seeds=criterion.seeds[:count], effects=effects)
    return Measured(tasks=tasks)


@st.composite
def claims(draw, **kwargs):
    """A criterion with measurements that fit it."""
    criterion = draw(criteria(**kwargs))
    return criterion, draw(measurements(criterion))


@st.composite
def families(draw, sizes=one_to_five):
    """Criteria and their measurements, by claim id."""
    drawn = [draw(claims(claim=f"claim_{c}")) for c in range(draw(sizes))]
    return [c for c, _ in drawn], {c.claim: m for c, m in drawn}
