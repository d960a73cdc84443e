"""The checks at the border: where they pass, and the whole text of what they say."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from kdcheck import checks
from kdcheck.errors import LabelError, LogitError, ParameterError, PosteriorError, ShapeError

ALPHA = (
    "wanted a number in [0, 1]. alpha weighs the soft term, as in Eqs. 1 and 2; 1 - alpha weighs "
    "the hard one."
)
TEMPERATURE = (
    "wanted a number above 0 and at most 1e6. Logits are divided by it; 1 leaves them as they are."
)
CLASSES = (
    "wanted an integer of at least 2. With one class nothing is uncertain and every loss is zero."
)
FRACTION = "wanted a probability in [0, 1]. Pass a fraction, not a percentage."
POSTERIORS = "If these are logits, call the _from_logits form; classes go on the last axis."
LABELS = "One class id per row of logits; soft targets go to cross_entropy instead."


def says(error_type, message):
    return pytest.raises(error_type, match=f"^{re.escape(message)}$")


def labels(values, *, examples=2, classes=3):
    checks.check_labels(np.asarray(values), examples=examples, classes=classes, who="f")


FLAG = "wanted True or False. Text from a file is not a truth value until it is read as one."
NAN = float("nan")
# (check, its argument's name, values it accepts, values it refuses as the message shows them, rest)
SCALARS = [
    (
        checks.check_alpha,
        "alpha",
        [0, 1, 0.0, 0.5, 1.0, np.float32(0.25), np.int64(1)],
        {-0.1: "-0.1", 1.5: "1.5", NAN: "nan", True: "True (bool)", "0.5": "'0.5' (str)"},
        ALPHA,
    ),
    (
        checks.check_temperature,
        "temperature",
        [1e-6, 1, 4.0, 1e6, np.float32(2)],
        {0.0: "0.0", -1: "-1", 1e6 + 0.5: "1000000.5", NAN: "nan", None: "None (NoneType)"},
        TEMPERATURE,
    ),
    (
        checks.check_classes,
        "classes",
        [2, 3, 64.0, np.int64(5)],
        {1: "1", 2.5: "2.5", False: "False (bool)"},
        CLASSES,
    ),
    (
        partial(checks.check_probability, name="a"),
        "a",
        [0, 0.99, 1],
        {99: "99", -0.5: "-0.5", "1": "'1' (str)"},
        FRACTION,
    ),
    (
        partial(checks.check_flag, name="tau_squared"),
        "tau_squared",
        [True, False],
        {"false": "'false' (str)", 1: "1 (int)"},
        FLAG,
    ),
]


@pytest.mark.parametrize(("check", "name", "accepted", "refused", "rest"), SCALARS)
def test_a_parameter_is_accepted_in_its_domain_and_refused_by_name_outside(
    check, name, accepted, refused, rest
):
    for value in accepted:
        check(value, who="f")
    for value, got in refused.items():
        with says(ParameterError, f"f, {name}: got {got}; {rest}"):
            check(value, who="f")


@pytest.mark.parametrize(
    ("logits_NK", "message"),
    [
        (
            np.zeros((1, 2), dtype=np.int64),
            (
                "got type int64; wanted floating-point logits. Class ids belong in the labels "
                "argument; convert real logits with .float()."
            ),
        ),
        (
            np.zeros(3),
            (
                "got shape (3,); wanted shape (N, K). Put examples on the first axis and classes on "
                "the last; add one with [None]."
            ),
        ),
        (
            np.zeros((3, 1)),
            (
                "got K = 1; wanted at least 2 classes on the last axis. A binary task needs two "
                "columns here, not one logit."
            ),
        ),
        (
            np.array([[0.0, 1.0], [np.inf, 0.0], [np.nan, 0.0]]),
            (
                "got row 1 of 3: [inf, 0.0]; wanted finite values. The run that made them has "
                "diverged, or a mask was added to the logits."
            ),
        ),
    ],
)
def test_logits_are_refused_with_the_first_fault(logits_NK, message):
    with says(LogitError, f"f, logits: {message}"):
        checks.check_logits(logits_NK, who="f")
    with says(LogitError, f"f, teacher logits: {message}"):
        checks.check_logits(logits_NK, who="f", name="teacher logits")


@pytest.mark.parametrize(
    ("p_NK", "message"),
    [
        (
            np.array([[1, 0]]),
            "got type int64, shape (1, 2); wanted floating-point posteriors of shape (N, K). "
            + POSTERIORS,
        ),
        (
            np.array([0.5, 0.5]),
            "got type float64, shape (2,); wanted floating-point posteriors of shape (N, K). "
            + POSTERIORS,
        ),
        (np.ones((3, 1)), "got K = 1; wanted at least 2 classes. " + POSTERIORS),
        (
            np.array([[0.5, 0.5], [-0.25, 1.25], [-1.0, 2.0]]),
            "got row 1 of 3: [-0.25, 1.25]; wanted probabilities of at least 0. " + POSTERIORS,
        ),
        (
            np.array([[0.5, np.nan]]),
            "got row 0 of 1: [0.5, nan]; wanted probabilities of at least 0. " + POSTERIORS,
        ),
        (
            np.array([[0.5, 0.5], [0.5, 0.53125], [0.5, 0.5]]),
            "got row 1 of 3, which sums to 1.03125, off by 0.031; wanted rows that sum to 1. "
            + POSTERIORS
            + " If they come from a lower precision, pass them in that type.",
        ),
        (
            np.array([[0.5, 0.5 - 2e-9]]),
            "got row 0 of 1, which sums to 1, off by 2e-09; wanted rows that sum to 1. "
            + POSTERIORS
            + " If they come from a lower precision, pass them in that type.",
        ),
    ],
)
def test_posteriors_are_refused_with_the_fault_and_the_likely_cause(p_NK, message):
    with says(PosteriorError, f"f, posteriors: {message}"):
        checks.check_posteriors(p_NK, who="f")
    with says(PosteriorError, f"f, targets: {message}"):
        checks.check_posteriors(p_NK, who="f", name="targets")


def test_the_row_that_is_furthest_off_is_the_one_that_is_named():
    p_NK = np.array([[0.5, 0.4], [0.5, 0.1], [0.5, 0.5]])
    with pytest.raises(PosteriorError, match=r"row 1 of 3, which sums to 0\.6, off by 0\.4"):
        checks.check_posteriors(p_NK, who="f")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_row_may_miss_1_by_k_plus_8_epsilons_of_its_type_and_no_more(dtype):
    # Steps of 8 eps are exact in each type near 0.25, and so is their sum in float64.
    eps = float(np.finfo(dtype).eps)
    for classes in (2, 4):
        for allowed, off in ((True, classes + 8), (False, classes + 9)):
            row = np.full((1, classes), 1 / classes, dtype=np.float64)
            row[0, 0] += off * eps
            if allowed:
                checks.check_posteriors(row, who="f", eps=eps)
            else:
                with pytest.raises(PosteriorError):
                    checks.check_posteriors(row, who="f", eps=eps)


def test_the_type_of_the_rows_sets_the_tolerance_unless_told_otherwise():
    row = np.array([[0.5, 0.5 + 2**-22]])  # 2 epsilons of float32
    checks.check_posteriors(row.astype(np.float32), who="f")
    with pytest.raises(PosteriorError):
        checks.check_posteriors(row, who="f")
    checks.check_posteriors(row, who="f", eps=2**-23)


def test_rows_are_summed_in_float64_so_that_the_sum_in_the_message_is_the_rows_own():
    # In float16 the tenth is 0.0999756, and the sum would round to 0.600098.
    with pytest.raises(PosteriorError, match=r"sums to 0\.599976, off by 0\.4"):
        checks.check_posteriors(np.array([[0.5, 0.1]], dtype=np.float16), who="f")


def test_no_rows_are_fine_for_per_example_functions():
    checks.check_logits(np.zeros((0, 2)), who="f")
    checks.check_posteriors(np.zeros((0, 2)), who="f")
    checks.check_labels(np.zeros(0, dtype=int), examples=0, classes=2, who="f")


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_labels_may_have_any_integer_type(dtype):
    labels(np.array([0, 2], dtype=dtype))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 1.0], f"got type float64, shape (2,); wanted integers of shape (2,). {LABELS}"),
        ([True, False], f"got type bool, shape (2,); wanted integers of shape (2,). {LABELS}"),
        ([0, 1, 2], f"got type int64, shape (3,); wanted integers of shape (2,). {LABELS}"),
        ([[0], [1]], f"got type int64, shape (2, 1); wanted integers of shape (2,). {LABELS}"),
        (
            [2, 3],
            (
                "got 3 in row 1 of 2; wanted class ids from 0 to 2. GLUE hides test labels as -1; "
                "label maps of two files may also differ."
            ),
        ),
        (
            [-1, 7],
            (
                "got -1 in row 0 of 2; wanted class ids from 0 to 2. GLUE hides test labels as -1; "
                "label maps of two files may also differ."
            ),
        ),
    ],
)
def test_labels_are_refused_with_the_first_fault(values, message):
    with says(LabelError, f"f, labels: {message}"):
        labels(values)


def test_two_shapes_that_differ_are_both_named():
    names = ("posteriors", "teacher")
    checks.check_same_shape((2, 3), (2, 3), who="f", names=names)
    with says(
        ShapeError,
        "f: got posteriors of shape (2, 3) and teacher of shape (3, 2); wanted equal shapes. Both "
        "must cover the same examples and the same classes, in the same order.",
    ):
        checks.check_same_shape((2, 3), (3, 2), who="f", names=names)
