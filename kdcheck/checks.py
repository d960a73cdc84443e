"""Checks at the border, on numpy arrays; tensors are checked through ``kdcheck.information``.

Every public function of the core checks its arguments here once; the formulas then trust them.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck.errors import LabelError, LogitError, ParameterError, PosteriorError, ShapeError

Array = npt.NDArray[Any]


def _as_number(value: object, who: str, wanted: str, next_step: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ParameterError(who, f"{value!r} ({type(value).__name__})", wanted, next_step)
    try:
        return float(value)
    except OverflowError:  # an integer of a file may be larger than any float
        return math.inf if value > 0 else -math.inf


def check_alpha(alpha: float, *, who: str) -> None:
    """Refuse an alpha outside [0, 1]."""
    wanted = "a number in [0, 1]"
    next_step = "alpha weighs the soft term, as in Eqs. 1 and 2; 1 - alpha weighs the hard one."
    if not 0.0 <= _as_number(alpha, f"{who}, alpha", wanted, next_step) <= 1.0:
        raise ParameterError(f"{who}, alpha", repr(alpha), wanted, next_step)


def check_temperature(temperature: float, *, who: str) -> None:
    """Refuse a temperature that is not above 0, or above 1e6.

    Beyond 1e6 the loss tau^2 D_KL has no digits left: rounding alone is tau^2 eps > 1e-4 in float64.
    """
    wanted = "a number above 0 and at most 1e6"
    next_step = "Logits are divided by it; 1 leaves them as they are."
    value = _as_number(temperature, f"{who}, temperature", wanted, next_step)
    if not 0.0 < value <= 1e6:
        raise ParameterError(f"{who}, temperature", repr(temperature), wanted, next_step)


def check_classes(classes: int, *, who: str) -> None:
    """Refuse a number of classes below 2."""
    wanted = "an integer of at least 2"
    next_step = "With one class nothing is uncertain and every loss is zero."
    value = _as_number(classes, f"{who}, classes", wanted, next_step)
    if not (value >= 2.0 and value.is_integer()):
        raise ParameterError(f"{who}, classes", repr(classes), wanted, next_step)


def check_flag(value: bool, *, who: str, name: str) -> None:
    """Refuse anything but True and False: a string such as "false" would count as true."""
    wanted = "True or False"
    step = "Text from a file is not a truth value until it is read as one."
    if not isinstance(value, bool):
        raise ParameterError(f"{who}, {name}", f"{value!r} ({type(value).__name__})", wanted, step)


def check_probability(value: float, *, who: str, name: str) -> None:
    """Refuse a number outside [0, 1]."""
    wanted = "a probability in [0, 1]"
    next_step = "Pass a fraction, not a percentage."
    if not 0.0 <= _as_number(value, f"{who}, {name}", wanted, next_step) <= 1.0:
        raise ParameterError(f"{who}, {name}", repr(value), wanted, next_step)


def check_logits(logits_NK: Array, *, who: str, name: str = "logits") -> None:
    """Refuse logits that are not finite floating-point rows of at least two classes."""
    who = f"{who}, {name}"
    if not np.issubdtype(logits_NK.dtype, np.floating):
        step = "Class ids belong in the labels argument; convert real logits with .float()."
        raise LogitError(who, f"type {logits_NK.dtype}", "floating-point logits", step)
    if logits_NK.ndim != 2:
        step = "Put examples on the first axis and classes on the last; add one with [None]."
        raise LogitError(who, f"shape {logits_NK.shape}", "shape (N, K)", step)
    if logits_NK.shape[1] < 2:
        got, wanted = f"K = {logits_NK.shape[1]}", "at least 2 classes on the last axis"
        raise LogitError(who, got, wanted, "A binary task needs two columns here, not one logit.")
    bad_rows = np.flatnonzero(~np.isfinite(logits_NK).all(axis=1))
    if bad_rows.size:
        row = int(bad_rows[0])
        got = f"row {row} of {len(logits_NK)}: {logits_NK[row].tolist()}"
        step = "The run that made them has diverged, or a mask was added to the logits."
        raise LogitError(who, got, "finite values", step)


def check_posteriors(
    posteriors_NK: Array, *, who: str, name: str = "posteriors", eps: float | None = None
) -> None:
    """Refuse rows that are not probability distributions over at least two classes."""
    who = f"{who}, {name}"
    next_step = "If these are logits, call the _from_logits form; classes go on the last axis."
    if not np.issubdtype(posteriors_NK.dtype, np.floating) or posteriors_NK.ndim != 2:
        got = f"type {posteriors_NK.dtype}, shape {posteriors_NK.shape}"
        raise PosteriorError(who, got, "floating-point posteriors of shape (N, K)", next_step)
    rows, classes = posteriors_NK.shape
    if classes < 2:
        raise PosteriorError(who, f"K = {classes}", "at least 2 classes", next_step)
    bad_rows = np.flatnonzero(~(posteriors_NK >= 0).all(axis=1))  # NaN is not >= 0 either
    if bad_rows.size:
        row = int(bad_rows[0])
        got = f"row {row} of {rows}: {posteriors_NK[row].tolist()}"
        raise PosteriorError(who, got, "probabilities of at least 0", next_step)
    # A softmax in this precision: K terms are added and divided, each off by at most half an
    # epsilon, and exp is good to two units in the last place.
    eps = float(np.finfo(posteriors_NK.dtype).eps) if eps is None else eps
    sums_N = posteriors_NK.sum(axis=1, dtype=np.float64)
    off_N = np.abs(sums_N - 1.0)
    if (off_N > (classes + 8) * eps).any():
        row = int(np.argmax(off_N))
        got = f"row {row} of {rows}, which sums to {sums_N[row]:.6g}, off by {off_N[row]:.2g}"
        step = f"{next_step} If they come from a lower precision, pass them in that type."
        raise PosteriorError(who, got, "rows that sum to 1", step)


def check_labels(labels_N: Array, *, examples: int, classes: int, who: str) -> None:
    """Refuse labels that are not N integers in 0..K-1."""
    who = f"{who}, labels"
    if not np.issubdtype(labels_N.dtype, np.integer) or labels_N.shape != (examples,):
        wanted = f"integers of shape ({examples},)"
        step = "One class id per row of logits; soft targets go to cross_entropy instead."
        raise LabelError(who, f"type {labels_N.dtype}, shape {labels_N.shape}", wanted, step)
    bad_rows = np.flatnonzero((labels_N < 0) | (labels_N >= classes))
    if bad_rows.size:
        row = int(bad_rows[0])
        wanted = f"class ids from 0 to {classes - 1}"
        step = "GLUE hides test labels as -1; label maps of two files may also differ."
        raise LabelError(who, f"{labels_N[row]} in row {row} of {examples}", wanted, step)


def check_same_shape(
    first: tuple[int, ...], second: tuple[int, ...], *, who: str, names: tuple[str, str]
) -> None:
    """Refuse two arguments whose shapes differ."""
    if first != second:
        got = f"{names[0]} of shape {first} and {names[1]} of shape {second}"
        step = "Both must cover the same examples and the same classes, in the same order."
        raise ShapeError(who, got, "equal shapes", step)
