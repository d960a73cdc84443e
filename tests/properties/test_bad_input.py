"""Bad input is refused by every public function that could meet it, and the error names the facts.

Where in the input the fault sits is drawn; the whole text of each message is in the unit tests.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import bad_alphas, bad_temperatures, logits, posteriors

from kdcheck import checks, information, metrics, objectives, theory
from kdcheck.errors import InputError, LabelError, LogitError, ParameterError, PosteriorError

N, K = 3, 4
LOGITS = torch.zeros(N, K)
POSTERIORS = torch.full((N, K), 1 / K)
LABELS = torch.zeros(N, dtype=torch.long)
few = settings(max_examples=5)  # times the functions of each table
rows = posteriors(rows=st.just(N), classes=st.just(K))

# (function, argument as the message calls it, call)
TAKE_POSTERIORS = [
    ("entropy", "posteriors", information.entropy),
    ("cross_entropy", "targets", lambda p: information.cross_entropy(p, POSTERIORS)),
    ("cross_entropy", "posteriors", lambda p: information.cross_entropy(POSTERIORS, p)),
    (
        "cross_entropy_from_logits",
        "targets",
        lambda p: information.cross_entropy_from_logits(p, LOGITS),
    ),
    ("kl_divergence", "first", lambda p: information.kl_divergence(p, POSTERIORS)),
    ("kl_divergence", "second", lambda p: information.kl_divergence(POSTERIORS, p)),
    ("mean_entropy", "posteriors", metrics.mean_entropy),
    ("accuracy", "posteriors", lambda p: metrics.accuracy(p, LABELS)),
    ("nll", "posteriors", lambda p: metrics.nll(p, LABELS)),
    ("brier", "posteriors", lambda p: metrics.brier(p, LABELS)),
    (
        "expected_calibration_error",
        "posteriors",
        lambda p: metrics.expected_calibration_error(p, LABELS),
    ),
    ("agreement", "posteriors", lambda p: metrics.agreement(p, POSTERIORS)),
    ("agreement", "teacher", lambda p: metrics.agreement(POSTERIORS, p)),
    ("mean_kl_from_teacher", "posteriors", lambda p: metrics.mean_kl_from_teacher(p, POSTERIORS)),
    ("mean_kl_from_teacher", "teacher", lambda p: metrics.mean_kl_from_teacher(POSTERIORS, p)),
    ("entropy_rate_towards_uniform", "posteriors", theory.entropy_rate_towards_uniform),
    (
        "entropy_rate_towards_teacher",
        "posteriors",
        lambda p: theory.entropy_rate_towards_teacher(p, POSTERIORS),
    ),
    (
        "entropy_rate_towards_teacher",
        "teacher",
        lambda p: theory.entropy_rate_towards_teacher(POSTERIORS, p),
    ),
    (
        "smoothing_minus_erm_rate",
        "posteriors",
        lambda p: theory.smoothing_minus_erm_rate(p, LABELS, alpha=0.1),
    ),
    (
        "mixture_gradient",
        "soft target",
        lambda p: theory.mixture_gradient(LOGITS, LABELS, p, alpha=0.1),
    ),
]
TAKE_LOGITS = [
    ("entropy_from_logits", "logits", information.entropy_from_logits),
    ("log_posteriors", "logits", information.log_posteriors),
    ("posteriors", "logits", information.posteriors),
    (
        "cross_entropy_from_logits",
        "logits",
        lambda z: information.cross_entropy_from_logits(POSTERIORS, z),
    ),
    (
        "kl_divergence_from_logits",
        "first",
        lambda z: information.kl_divergence_from_logits(z, LOGITS),
    ),
    (
        "kl_divergence_from_logits",
        "second",
        lambda z: information.kl_divergence_from_logits(LOGITS, z),
    ),
    ("summary", "logits", lambda z: metrics.summary(z, LABELS)),
    ("erm", "logits", lambda z: objectives.erm(z, LABELS)),
    ("label_smoothing", "logits", lambda z: objectives.label_smoothing(z, LABELS, alpha=0.1)),
    (
        "distillation",
        "logits",
        lambda z: objectives.distillation(z, LABELS, LOGITS, alpha=0.1),
    ),
    (
        "distillation",
        "teacher logits",
        lambda z: objectives.distillation(LOGITS, LABELS, z, alpha=0.1),
    ),
    (
        "self_training_distillation",
        "teacher logits",
        lambda z: objectives.self_training_distillation(LOGITS, LABELS, z, alpha=0.1),
    ),
    (
        "virtual_teacher_distillation",
        "logits",
        lambda z: objectives.virtual_teacher_distillation(z, LABELS, alpha=0.1),
    ),
    (
        "instance_smoothing",
        "teacher logits",
        lambda z: objectives.instance_smoothing(LOGITS, LABELS, z, alpha=0.1),
    ),
    (
        "confidence_penalty",
        "logits",
        lambda z: objectives.confidence_penalty(z, LABELS, alpha=0.1),
    ),
]
TAKE_LABELS = [
    ("accuracy", lambda y: metrics.accuracy(POSTERIORS, y)),
    ("nll", lambda y: metrics.nll(POSTERIORS, y)),
    ("brier", lambda y: metrics.brier(POSTERIORS, y)),
    (
        "expected_calibration_error",
        lambda y: metrics.expected_calibration_error(POSTERIORS, y),
    ),
    ("summary", lambda y: metrics.summary(LOGITS, y)),
    ("erm", lambda y: objectives.erm(LOGITS, y)),
    ("label_smoothing", lambda y: objectives.label_smoothing(LOGITS, y, alpha=0.1)),
    (
        "distillation",
        lambda y: objectives.distillation(LOGITS, y, LOGITS, alpha=0.1),
    ),
    (
        "mixture_gradient",
        lambda y: theory.mixture_gradient(LOGITS, y, POSTERIORS, alpha=0.1),
    ),
    (
        "confidence_penalty_gradient",
        lambda y: theory.confidence_penalty_gradient(LOGITS, y, alpha=0.1),
    ),
    (
        "smoothing_minus_erm_rate",
        lambda y: theory.smoothing_minus_erm_rate(POSTERIORS, y, alpha=0.1),
    ),
]
TAKE_ALPHA = [
    ("label_smoothing", objectives.LabelSmoothing),
    ("distillation", objectives.Distillation),
    ("distillation", objectives.SelfTraining),
    ("virtual_teacher", objectives.VirtualTeacher),
    ("instance_smoothing", objectives.InstanceSmoothing),
    ("confidence_penalty", objectives.ConfidencePenalty),
    ("label_smoothing", lambda a: objectives.from_dict({"name": "ls", "alpha": a})),
    ("smoothed_label", lambda a: theory.smoothed_label(a, 3)),
    ("smoothed_label", lambda a: theory.smoothing_entropy_floor(a, 3)),
    ("smoothing_constant", lambda a: theory.smoothing_constant(a, 3)),
    (
        "mixture_gradient",
        lambda a: theory.mixture_gradient([[0.0, 0.0]], [0], [[0.5, 0.5]], alpha=a),
    ),
    (
        "confidence_penalty_gradient",
        lambda a: theory.confidence_penalty_gradient([[0.0, 0.0]], [0], alpha=a),
    ),
    (
        "smoothing_minus_erm_rate",
        lambda a: theory.smoothing_minus_erm_rate([[0.5, 0.5]], [0], alpha=a),
    ),
    (
        "equivalent_smoothing_at_two_classes",
        lambda a: theory.equivalent_smoothing_at_two_classes(a, [0.5]),
    ),
]
TAKE_TEMPERATURE = [
    ("distillation", lambda t: objectives.Distillation(0.1, t)),
    ("virtual_teacher", lambda t: objectives.VirtualTeacher(0.1, temperature=t)),
    ("log_posteriors", lambda t: information.log_posteriors(LOGITS, temperature=t)),
    ("posteriors", lambda t: information.posteriors(LOGITS, temperature=t)),
    ("entropy_from_logits", lambda t: information.entropy_from_logits(LOGITS, temperature=t)),
    (
        "cross_entropy_from_logits",
        lambda t: information.cross_entropy_from_logits(POSTERIORS, LOGITS, temperature=t),
    ),
    (
        "kl_divergence_from_logits",
        lambda t: information.kl_divergence_from_logits(LOGITS, LOGITS, temperature=t),
    ),
    (
        "mixture_gradient",
        lambda t: theory.mixture_gradient(
            [[0.0, 0.0]], [0], [[0.5, 0.5]], alpha=0.1, temperature=t
        ),
    ),
]


def names(table):
    return [" ".join(part for part in entry if isinstance(part, str)) for entry in table]


def refusal(error_type, call, *arguments):
    """The error that a call raises; each of its four facts says something."""
    with pytest.raises(error_type) as caught:
        call(*arguments)
    error = caught.value
    assert all((error.who, error.got, error.wanted, error.next_step))
    assert error.next_step.endswith(".")
    return error


@pytest.mark.parametrize(("who", "name", "call"), TAKE_POSTERIORS, ids=names(TAKE_POSTERIORS))
@few
@given(data=st.data())
def test_rows_that_do_not_sum_to_1_are_refused_by_name_and_row(who, name, call, data):
    p_NK = data.draw(rows)
    row = data.draw(st.integers(0, N - 1))
    p_NK[row] *= data.draw(st.sampled_from([0.5, 0.999, 1.001, 2.0]))
    error = refusal(PosteriorError, call, p_NK)
    assert error.who == f"{who}, {name}"
    assert f"row {row} of {N}, which sums to {float(p_NK[row].sum()):.6g}" in error.got
    assert error.wanted == "rows that sum to 1"
    assert "_from_logits" in error.next_step


@pytest.mark.parametrize(("who", "name", "call"), TAKE_POSTERIORS, ids=names(TAKE_POSTERIORS))
@few
@given(data=st.data())
def test_negative_and_nan_probabilities_are_refused_by_name_and_row(who, name, call, data):
    p_NK = data.draw(rows)
    row = data.draw(st.integers(0, N - 1))
    column = data.draw(st.integers(0, K - 1))
    p_NK[row, column] = data.draw(st.sampled_from([-1e-9, -1.0, float("nan")]))
    error = refusal(PosteriorError, call, p_NK)
    assert error.who == f"{who}, {name}"
    assert error.got == f"row {row} of {N}: {p_NK[row].tolist()}"
    assert error.wanted == "probabilities of at least 0"


@pytest.mark.parametrize(("who", "name", "call"), TAKE_POSTERIORS, ids=names(TAKE_POSTERIORS))
def test_posteriors_of_a_wrong_shape_or_of_one_class_are_refused(who, name, call):
    for shape in ((4,), (1, 2, 2)):
        error = refusal(PosteriorError, call, torch.full(shape, 0.5))
        assert error.who == f"{who}, {name}"
        assert f"shape {shape}" in error.got
        assert "(N, K)" in error.wanted
    error = refusal(PosteriorError, call, torch.ones(2, 1))
    assert (error.who, error.got) == (f"{who}, {name}", "K = 1")
    assert error.wanted == "at least 2 classes"


@pytest.mark.parametrize(("who", "name", "call"), TAKE_LOGITS, ids=names(TAKE_LOGITS))
@few
@given(row=st.integers(0, N - 1), column=st.integers(0, K - 1))
def test_logits_that_are_not_finite_are_refused_by_name_and_row(who, name, call, row, column):
    for value in (float("nan"), float("inf"), -float("inf")):
        logits_NK = LOGITS.clone()
        logits_NK[row, column] = value
        error = refusal(LogitError, call, logits_NK)
        assert error.who == f"{who}, {name}"
        assert error.got == f"row {row} of {N}: {logits_NK[row].tolist()}"
        assert error.wanted == "finite values"
        assert "diverged" in error.next_step


@pytest.mark.parametrize(("who", "name", "call"), TAKE_LOGITS, ids=names(TAKE_LOGITS))
def test_integer_logits_wrong_shapes_and_one_class_are_refused(who, name, call):
    error = refusal(LogitError, call, torch.zeros(N, K, dtype=torch.int64))
    assert (error.who, error.got) == (f"{who}, {name}", "type int64")
    assert error.wanted == "floating-point logits"
    error = refusal(LogitError, call, torch.zeros(N))
    assert (error.who, error.got) == (f"{who}, {name}", f"shape ({N},)")
    error = refusal(LogitError, call, torch.zeros(N, 1))
    assert (error.who, error.got) == (f"{who}, {name}", "K = 1")


# theory and metrics take anything that numpy reads as an array
ARRAYS = {*vars(theory), *vars(metrics)}
NEED_TENSORS = [e for e in TAKE_POSTERIORS + TAKE_LOGITS if e[0] not in ARRAYS]


@pytest.mark.parametrize(("who", "name", "call"), NEED_TENSORS, ids=names(NEED_TENSORS))
@pytest.mark.parametrize("value", [[[0.5, 0.5]], None])
def test_what_is_not_a_tensor_is_refused_with_its_type(who, name, call, value):
    error = refusal(InputError, call, value)
    assert error.who == f"{who}, {name}"
    assert error.got == f"a {type(value).__name__}"
    assert error.wanted == "a torch.Tensor of shape (N, K)"
    assert "torch.as_tensor" in error.next_step


@pytest.mark.parametrize(("who", "call"), TAKE_LABELS, ids=names(TAKE_LABELS))
@few
@given(row=st.integers(0, N - 1), label=st.integers(K, 10**6) | st.integers(-(10**6), -1))
def test_a_label_out_of_range_is_refused_by_value_and_row(who, call, row, label):
    labels_N = LABELS.clone()
    labels_N[row] = label
    error = refusal(LabelError, call, labels_N)
    assert error.who == f"{who}, labels"
    assert error.got == f"{label} in row {row} of {N}"
    assert error.wanted == f"class ids from 0 to {K - 1}"
    assert "-1" in error.next_step


@pytest.mark.parametrize(("who", "call"), TAKE_LABELS, ids=names(TAKE_LABELS))
def test_labels_of_a_wrong_type_or_length_are_refused(who, call):
    for labels_N in (LABELS.float(), LABELS.bool(), LABELS[:-1], LABELS[:, None]):
        error = refusal(LabelError, call, labels_N)
        assert error.who == f"{who}, labels"
        assert f"shape {tuple(labels_N.shape)}" in error.got
        assert str(labels_N.dtype).removeprefix("torch.") in error.got
        assert error.wanted == f"integers of shape ({N},)"


@pytest.mark.parametrize(("who", "call"), TAKE_ALPHA, ids=names(TAKE_ALPHA))
@few
@given(alpha=bad_alphas | st.just(float("nan")))
def test_an_alpha_outside_0_to_1_is_refused_with_its_value(who, call, alpha):
    error = refusal(ParameterError, call, alpha)
    assert (error.who, error.got) == (f"{who}, alpha", repr(alpha))
    assert error.wanted == "a number in [0, 1]"
    assert "soft term" in error.next_step


@pytest.mark.parametrize(("who", "call"), TAKE_TEMPERATURE, ids=names(TAKE_TEMPERATURE))
@few
@given(temperature=bad_temperatures)
def test_a_temperature_of_0_or_less_or_without_bound_is_refused(who, call, temperature):
    error = refusal(ParameterError, call, temperature)
    assert (error.who, error.got) == (f"{who}, temperature", repr(temperature))
    assert "above 0" in error.wanted
    assert "divided by it" in error.next_step


@given(st.integers(max_value=1) | st.floats(max_value=2.0, exclude_max=True) | st.just(2.5))
def test_fewer_than_two_classes_or_a_fraction_of_one_is_refused(classes):
    for call in (
        lambda: theory.smoothing_entropy_floor(0.1, classes),
        lambda: theory.smoothing_constant(0.1, classes),
        lambda: theory.alpha_for_entropy(0.1, classes),
        lambda: checks.check_classes(classes, who="f"),
    ):
        error = refusal(ParameterError, call)
        assert error.who.endswith(", classes")
        assert error.got == repr(classes)
        assert "at least 2" in error.wanted


@pytest.mark.parametrize("classes", [float("nan"), float("inf"), True, "3", None])
def test_what_is_no_number_of_classes_is_refused(classes):
    error = refusal(ParameterError, theory.smoothing_constant, 0.1, classes)
    assert repr(classes) in error.got


@given(logits())
def test_a_softmax_taken_in_any_type_is_accepted_as_posteriors(logits_NK):
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        information.check_posterior_tensor(logits_NK.to(dtype).softmax(-1), who="f")


@given(rows)
def test_float64_and_float32_posteriors_are_accepted_everywhere(p_NK):
    for _, _, call in TAKE_POSTERIORS:
        call(p_NK)
        call(p_NK.float())
