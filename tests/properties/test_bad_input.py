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

BAD = object()


def meets(name, function, *arguments, who="", **options):
    """A row: who refuses, the argument as it is called there, and a call with BAD put in its place."""

    def call(bad):
        given = [bad if value is BAD else value for value in arguments]
        return function(*given, **{k: bad if v is BAD else v for k, v in options.items()})

    return who or function.__name__, name, call


TAKE_POSTERIORS = [
    meets("posteriors", information.entropy, BAD),
    meets("targets", information.cross_entropy, BAD, POSTERIORS),
    meets("posteriors", information.cross_entropy, POSTERIORS, BAD),
    meets("targets", information.cross_entropy_from_logits, BAD, LOGITS),
    meets("first", information.kl_divergence, BAD, POSTERIORS),
    meets("second", information.kl_divergence, POSTERIORS, BAD),
    meets("posteriors", metrics.mean_entropy, BAD),
    meets("posteriors", metrics.accuracy, BAD, LABELS),
    meets("posteriors", metrics.nll, BAD, LABELS),
    meets("posteriors", metrics.brier, BAD, LABELS),
    meets("posteriors", metrics.expected_calibration_error, BAD, LABELS),
    meets("posteriors", metrics.agreement, BAD, POSTERIORS),
    meets("teacher", metrics.agreement, POSTERIORS, BAD),
    meets("posteriors", metrics.mean_kl_from_teacher, BAD, POSTERIORS),
    meets("teacher", metrics.mean_kl_from_teacher, POSTERIORS, BAD),
    meets("posteriors", theory.entropy_rate_towards_uniform, BAD),
    meets("posteriors", theory.entropy_rate_towards_teacher, BAD, POSTERIORS),
    meets("teacher", theory.entropy_rate_towards_teacher, POSTERIORS, BAD),
    meets("posteriors", theory.smoothing_minus_erm_rate, BAD, LABELS, alpha=0.1),
    meets("soft target", theory.mixture_gradient, LOGITS, LABELS, BAD, alpha=0.1),
]
TAKE_LOGITS = [
    meets("logits", information.entropy_from_logits, BAD),
    meets("logits", information.log_posteriors, BAD),
    meets("logits", information.posteriors, BAD),
    meets("logits", information.cross_entropy_from_logits, POSTERIORS, BAD),
    meets("first", information.kl_divergence_from_logits, BAD, LOGITS),
    meets("second", information.kl_divergence_from_logits, LOGITS, BAD),
    meets("logits", metrics.summary, BAD, LABELS),
    meets("logits", objectives.erm, BAD, LABELS),
    meets("logits", objectives.label_smoothing, BAD, LABELS, alpha=0.1),
    meets("logits", objectives.distillation, BAD, LABELS, LOGITS, alpha=0.1),
    meets("teacher logits", objectives.distillation, LOGITS, LABELS, BAD, alpha=0.1),
    meets("teacher logits", objectives.self_training_distillation, LOGITS, LABELS, BAD, alpha=0.1),
    meets("logits", objectives.virtual_teacher_distillation, BAD, LABELS, alpha=0.1),
    meets("teacher logits", objectives.instance_smoothing, LOGITS, LABELS, BAD, alpha=0.1),
    meets("logits", objectives.confidence_penalty, BAD, LABELS, alpha=0.1),
]
TAKE_LABELS = [
    meets("labels", metrics.accuracy, POSTERIORS, BAD),
    meets("labels", metrics.nll, POSTERIORS, BAD),
    meets("labels", metrics.brier, POSTERIORS, BAD),
    meets("labels", metrics.expected_calibration_error, POSTERIORS, BAD),
    meets("labels", metrics.summary, LOGITS, BAD),
    meets("labels", objectives.erm, LOGITS, BAD),
    meets("labels", objectives.label_smoothing, LOGITS, BAD, alpha=0.1),
    meets("labels", objectives.distillation, LOGITS, BAD, LOGITS, alpha=0.1),
    meets("labels", theory.mixture_gradient, LOGITS, BAD, POSTERIORS, alpha=0.1),
    meets("labels", theory.confidence_penalty_gradient, LOGITS, BAD, alpha=0.1),
    meets("labels", theory.smoothing_minus_erm_rate, POSTERIORS, BAD, alpha=0.1),
]
TAKE_ALPHA = [
    meets("alpha", objectives.LabelSmoothing, BAD, who="label_smoothing"),
    meets("alpha", objectives.Distillation, BAD, who="distillation"),
    meets("alpha", objectives.SelfTraining, BAD, who="distillation"),
    meets("alpha", objectives.VirtualTeacher, BAD, who="virtual_teacher"),
    meets("alpha", objectives.InstanceSmoothing, BAD, who="instance_smoothing"),
    meets("alpha", objectives.ConfidencePenalty, BAD, who="confidence_penalty"),
    ("label_smoothing", "alpha", lambda a: objectives.from_dict({"name": "ls", "alpha": a})),
    meets("alpha", theory.smoothed_label, BAD, 3),
    meets("alpha", theory.smoothing_entropy_floor, BAD, 3, who="smoothed_label"),
    meets("alpha", theory.smoothing_constant, BAD, 3),
    meets("alpha", theory.mixture_gradient, LOGITS, LABELS, POSTERIORS, alpha=BAD),
    meets("alpha", theory.confidence_penalty_gradient, LOGITS, LABELS, alpha=BAD),
    meets("alpha", theory.smoothing_minus_erm_rate, POSTERIORS, LABELS, alpha=BAD),
    meets("alpha", theory.equivalent_smoothing_at_two_classes, BAD, [0.5]),
]
TAKE_TEMPERATURE = [
    meets("temperature", objectives.Distillation, 0.1, BAD, who="distillation"),
    meets("temperature", objectives.VirtualTeacher, 0.1, temperature=BAD, who="virtual_teacher"),
    meets("temperature", information.log_posteriors, LOGITS, temperature=BAD),
    meets("temperature", information.posteriors, LOGITS, temperature=BAD),
    meets("temperature", information.entropy_from_logits, LOGITS, temperature=BAD),
    meets(
        "temperature", information.cross_entropy_from_logits, POSTERIORS, LOGITS, temperature=BAD
    ),
    meets("temperature", information.kl_divergence_from_logits, LOGITS, LOGITS, temperature=BAD),
    meets(
        "temperature",
        theory.mixture_gradient,
        LOGITS,
        LABELS,
        POSTERIORS,
        alpha=0.1,
        temperature=BAD,
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


@pytest.mark.parametrize(("who", "name", "call"), TAKE_LABELS, ids=names(TAKE_LABELS))
@few
@given(row=st.integers(0, N - 1), label=st.integers(K, 10**6) | st.integers(-(10**6), -1))
def test_a_label_out_of_range_is_refused_by_value_and_row(who, name, call, row, label):
    labels_N = LABELS.clone()
    labels_N[row] = label
    error = refusal(LabelError, call, labels_N)
    assert error.who == f"{who}, {name}"
    assert error.got == f"{label} in row {row} of {N}"
    assert error.wanted == f"class ids from 0 to {K - 1}"
    assert "-1" in error.next_step


@pytest.mark.parametrize(("who", "name", "call"), TAKE_LABELS, ids=names(TAKE_LABELS))
def test_labels_of_a_wrong_type_or_length_are_refused(who, name, call):
    for labels_N in (LABELS.float(), LABELS.bool(), LABELS[:-1], LABELS[:, None]):
        error = refusal(LabelError, call, labels_N)
        assert error.who == f"{who}, {name}"
        assert f"shape {tuple(labels_N.shape)}" in error.got
        assert str(labels_N.dtype).removeprefix("torch.") in error.got
        assert error.wanted == f"integers of shape ({N},)"


@pytest.mark.parametrize(("who", "name", "call"), TAKE_ALPHA, ids=names(TAKE_ALPHA))
@few
@given(alpha=bad_alphas | st.just(float("nan")))
def test_an_alpha_outside_0_to_1_is_refused_with_its_value(who, name, call, alpha):
    error = refusal(ParameterError, call, alpha)
    assert (error.who, error.got) == (f"{who}, {name}", repr(alpha))
    assert error.wanted == "a number in [0, 1]"
    assert "soft term" in error.next_step


@pytest.mark.parametrize(("who", "name", "call"), TAKE_TEMPERATURE, ids=names(TAKE_TEMPERATURE))
@few
@given(temperature=bad_temperatures)
def test_a_temperature_of_0_or_less_or_without_bound_is_refused(who, name, call, temperature):
    error = refusal(ParameterError, call, temperature)
    assert (error.who, error.got) == (f"{who}, {name}", repr(temperature))
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
