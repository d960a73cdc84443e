"""The domain of the core, for Hypothesis: every strategy that its property tests draw from.

K runs from 2 to 64; posteriors from uniform to one-hot to the last bit. Ties come of themselves:
``arrays`` fills most of a large array with one value.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from kdcheck import objectives

TINY, SMALL, USUAL, LARGE, HUGE = 1e-6, 1e-2, 1.0, 10.0, 1e4
EVERY_SCALE = (TINY, SMALL, USUAL, LARGE, HUGE)
"""Largest logit. 1e-6 is near-uniform; at 1e4 the other probabilities underflow to exact zeros."""
MODERATE_SCALES = (SMALL, USUAL, LARGE)
"""Where finite differences of the entropy have digits left."""

alphas = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0.0, 1.0)
inner_alphas = st.floats(0.05, 0.95)
temperatures = st.sampled_from([0.01, 1.0, 2.0, 4.0, 64.0]) | st.floats(0.01, 64.0)
probabilities = st.sampled_from([0.0, 0.5, 0.99, 1.0]) | st.floats(0.0, 1.0)
class_counts = st.sampled_from([2, 3, 64]) | st.integers(2, 64)
row_counts = st.integers(1, 4)
units = st.floats(-1.0, 1.0, allow_subnormal=False)
bad_alphas = st.floats(max_value=0.0, exclude_max=True) | st.floats(min_value=1.0, exclude_min=True)
bad_temperatures = st.floats(max_value=0.0) | st.sampled_from([float("inf"), float("nan")])


@dataclass(frozen=True)
class Batch:
    """What an objective is given: the student's logits, labels, the teacher's logits."""

    logits_NK: Tensor
    labels_N: Tensor
    teacher_NK: Tensor

    @property
    def classes(self) -> int:
        return self.logits_NK.shape[1]

    @property
    def largest(self) -> float:
        """Largest absolute logit of either side, which decides how much rounding can do."""
        return float(torch.maximum(self.logits_NK.abs().max(), self.teacher_NK.abs().max()))

    def row(self, index: int) -> Batch:
        one = slice(index, index + 1)
        return Batch(self.logits_NK[one], self.labels_N[one], self.teacher_NK[one])


@st.composite
def logits(draw, *, rows=row_counts, classes=class_counts, scales=EVERY_SCALE, dtype=torch.float64):
    shape = draw(rows), draw(classes)
    values = draw(arrays(np.float64, shape, elements=units))
    return torch.from_numpy(values * draw(st.sampled_from(scales))).to(dtype)


@st.composite
def batches(
    draw, *, rows=row_counts, classes=class_counts, scales=EVERY_SCALE, dtype=torch.float64
):
    count, width = draw(rows), draw(classes)
    both = draw(arrays(np.float64, (2, count, width), elements=units))
    scale = np.array([draw(st.sampled_from(scales)), draw(st.sampled_from(scales))])
    student, teacher = torch.from_numpy(both * scale[:, None, None]).to(dtype)
    labels = draw(arrays(np.int64, count, elements=st.integers(0, width - 1)))
    return Batch(student, torch.from_numpy(labels), teacher)


def posteriors(**options):
    return logits(**options).map(lambda logits_NK: logits_NK.softmax(dim=-1))


@st.composite
def posterior_pairs(draw, **options):
    batch = draw(batches(**options))
    return batch.logits_NK.softmax(dim=-1), batch.teacher_NK.softmax(dim=-1)


PARAMETERS = {
    "alpha": alphas,
    "temperature": temperatures,
    "tau_squared": st.booleans(),
    "correct_probability": probabilities,
}


@st.composite
def any_objective(draw, *, mixtures_only=False, **fixed):
    """Any registered objective with any parameters; ``fixed`` pins those that it has."""
    known = [
        cls
        for _, cls in sorted(objectives.registered().items())
        if cls.__module__.startswith("kdcheck.")
        and (issubclass(cls, objectives.members.Mixture) or not mixtures_only)
    ]
    cls = draw(st.sampled_from(known))
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: fixed[name] if name in fixed else draw(PARAMETERS[name]) for name in names})


def temperature_of(objective) -> float:
    return getattr(objective, "temperature", 1.0)


def loss_of(objective, batch: Batch) -> Tensor:
    teacher_NK = batch.teacher_NK if objective.needs_teacher else None
    return objective.per_example(batch.logits_NK, batch.labels_N, teacher_NK)
