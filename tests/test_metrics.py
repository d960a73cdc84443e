"""Metrics against loops over Python floats, at their limits, and what they refuse."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats

from kdcheck import metrics
from kdcheck.errors import InputError, LogitError, ParameterError, ShapeError

EPS = torch.finfo(torch.float64).eps
# N terms of at most 40 nats (probabilities of 1e-17) are averaged.
CLOSE = {"abs": 400 * 40 * EPS}


def sample(rows=200, classes=5, scale=3.0):
    generator = torch.Generator().manual_seed(7)
    logits_NK = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    teacher_NK = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    # Labels drawn from the model itself: some bins are over-confident by chance, others under, so
    # that a wrong bin shows in the calibration error.
    labels_N = logits_NK.softmax(-1).multinomial(1, generator=generator).squeeze(-1)
    return logits_NK, labels_N, teacher_NK.softmax(-1)


def refuses(error_type, message):
    return pytest.raises(error_type, match=f"^{re.escape(message)}$")


def calibration_by_loops(rows, labels, bins):
    """Guo et al. 2017, Eq. 3, bin by bin: the edges are compared, not computed with."""
    total = 0.0
    for index in range(bins):
        lower, upper = index / bins, (index + 1) / bins
        inside = [
            (max(row), row.index(max(row)) == label)
            for row, label in zip(rows, labels, strict=True)
            if lower < max(row) <= upper
        ]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(hit for _, hit in inside) / len(inside)
            total += len(inside) / len(rows) * abs(accuracy - confidence)
    return total


def test_every_metric_equals_a_loop_over_python_floats():
    logits_NK, labels_N, teacher_NK = sample()
    p_NK = logits_NK.softmax(-1)
    rows, labels, teachers = p_NK.tolist(), labels_N.tolist(), teacher_NK.tolist()
    count = len(rows)
    entropy = sum(-p * math.log(p) for row in rows for p in row) / count
    assert metrics.mean_entropy(p_NK) == pytest.approx(entropy, **CLOSE)
    hits = sum(row.index(max(row)) == label for row, label in zip(rows, labels, strict=True))
    assert metrics.accuracy(p_NK, labels_N) == hits / count
    nll = sum(-math.log(row[label]) for row, label in zip(rows, labels, strict=True)) / count
    assert metrics.nll(p_NK, labels_N) == pytest.approx(nll, **CLOSE)
    brier = sum(
        (p - (k == label)) ** 2
        for row, label in zip(rows, labels, strict=True)
        for k, p in enumerate(row)
    )
    assert metrics.brier(p_NK, labels_N) == pytest.approx(brier / count, **CLOSE)
    same = sum(
        row.index(max(row)) == other.index(max(other))
        for row, other in zip(rows, teachers, strict=True)
    )
    assert metrics.agreement(p_NK, teacher_NK) == same / count
    kl = sum(
        t * math.log(t / p)
        for row, other in zip(rows, teachers, strict=True)
        for p, t in zip(row, other, strict=True)
    )
    assert metrics.mean_kl_from_teacher(p_NK, teacher_NK) == pytest.approx(kl / count, **CLOSE)


def test_the_correlation_of_entropies_is_scipys_of_entropies_by_torch_ties_included():
    logits_NK, _, teacher_NK = sample(rows=60)
    p_NK = logits_NK.softmax(-1)
    p_NK[:20] = p_NK[20:40]  # ties in one and not in the other
    entropies = [
        torch.distributions.Categorical(probs=each).entropy() for each in (p_NK, teacher_NK)
    ]
    wanted = stats.spearmanr(*entropies).statistic
    assert abs(wanted) > 0.01
    assert metrics.entropy_correlation(p_NK, teacher_NK) == pytest.approx(wanted, abs=1e-12)


def test_the_correlation_of_entropies_sees_order_alone_and_turns_with_it():
    sure = np.array([0.5, 0.6, 0.7, 0.9, 1.0])
    rising, falling = (np.stack([p, 1 - p], axis=1) for p in (sure, sure[::-1]))
    assert metrics.entropy_correlation(rising, rising**2 / (rising**2).sum(1)[:, None]) == 1.0
    assert metrics.entropy_correlation(rising, falling) == -1.0


@pytest.mark.parametrize("whose", ["model", "teacher"])
def test_equal_entropies_have_no_correlation_and_the_message_says_whose_they_are(whose):
    flat, other = np.full((3, 2), 0.5), np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
    pair = (flat, other) if whose == "model" else (other, flat)
    with pytest.raises(InputError, match=f"one entropy of the {whose} for all examples"):
        metrics.entropy_correlation(*pair)
    with pytest.raises(InputError, match="one entropy"):
        metrics.entropy_correlation(other[:1], other[:1])


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 100])
def test_calibration_error_equals_a_loop_over_bins(bins):
    logits_NK, labels_N, _ = sample()
    p_NK = logits_NK.softmax(-1)
    ours = metrics.expected_calibration_error(p_NK, labels_N, bins=bins)
    by_loops = calibration_by_loops(p_NK.tolist(), labels_N.tolist(), bins)
    assert ours == pytest.approx(by_loops, **CLOSE)


def test_a_confidence_on_an_edge_falls_in_the_bin_below_it():
    # 0.75 is exact: with 4 bins it shares (0.5, 0.75] with 0.625. One is right, one wrong, so the
    # bin's gap is |1 - 1.375| / 2; apart they would give (0.25 + 0.625) / 2.
    p_NK = torch.tensor([[0.75, 0.25], [0.625, 0.375]])
    labels_N = torch.tensor([0, 1])
    assert metrics.expected_calibration_error(p_NK, labels_N, bins=4) == 0.1875
    # Confidence 1 belongs to the last bin, not to one beyond it.
    sure_NK = torch.tensor([[1.0, 0.0]])
    assert metrics.expected_calibration_error(sure_NK, torch.tensor([1]), bins=4) == 1.0


def test_the_edge_between_two_bins_is_where_it_is_and_in_float64():
    # One right, one wrong: apart the gaps add up, together they would cancel.
    labels_N = torch.tensor([0, 1])
    p_NK = torch.tensor([[0.375, 0.3125, 0.3125], [0.625, 0.1875, 0.1875]])
    assert metrics.expected_calibration_error(p_NK, labels_N, bins=2) == 0.625
    # Both lie within a float32 rounding of 2/3, on either side of it.
    for confidence, error in ((0.66666667, (0.33333333 + 0.6) / 2), (0.66666665, 0.26666665 / 2)):
        p_NK = torch.tensor([[confidence, 1 - confidence], [0.6, 0.4]], dtype=torch.float64)
        found = metrics.expected_calibration_error(p_NK, labels_N, bins=3)
        assert found == pytest.approx(error, **CLOSE)


def test_a_calibrated_model_has_error_0_and_fifteen_bins_are_the_default():
    p_NK = torch.tensor([[0.75, 0.25]] * 4)
    assert metrics.expected_calibration_error(p_NK, torch.tensor([0, 0, 0, 1])) == 0.0
    logits_NK, labels_N, _ = sample()
    p_NK = logits_NK.softmax(-1)
    by_loops = calibration_by_loops(p_NK.tolist(), labels_N.tolist(), 15)
    assert metrics.expected_calibration_error(p_NK, labels_N) == pytest.approx(by_loops, **CLOSE)


def test_mean_entropy_is_the_mean_of_entropies_not_the_entropy_of_the_mean():
    # Two sure rows that disagree: each has entropy 0, their mean log 2.
    assert metrics.mean_entropy(torch.tensor([[1.0, 0.0], [0.0, 1.0]])) == 0.0
    half_sure = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    assert metrics.mean_entropy(half_sure) == math.log(2) / 2


def test_limits_are_exact():
    right, labels_N = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    wrong = right.flip(-1)
    assert metrics.accuracy(right, labels_N) == 1.0
    assert metrics.accuracy(wrong, labels_N) == 0.0
    assert metrics.nll(right, labels_N) == 0.0
    assert metrics.nll(wrong, labels_N) == math.inf
    assert metrics.brier(right, labels_N) == 0.0
    assert metrics.brier(wrong, labels_N) == 2.0
    assert metrics.agreement(right, right) == 1.0
    assert metrics.agreement(right, wrong) == 0.0
    assert metrics.mean_kl_from_teacher(right, right) == 0.0
    assert metrics.mean_kl_from_teacher(right, wrong) == math.inf
    # The last class may be nobody's label.
    assert metrics.brier(torch.tensor([[0.75, 0.25]]), torch.tensor([0])) == 0.125
    half = torch.tensor([[0.5, 0.5]] * 2).double()
    assert metrics.mean_kl_from_teacher(half, right.double()) == math.log(2)


def test_the_first_class_wins_a_tie():
    tie = torch.tensor([[0.5, 0.5]])
    assert metrics.accuracy(tie, torch.tensor([0])) == 1.0
    assert metrics.agreement(tie, torch.tensor([[0.9, 0.1]])) == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_rows_of_lower_precision_are_judged_by_their_own_and_computed_in_float64(dtype):
    logits_NK, labels_N, teacher_NK = sample()
    p_NK, teacher_NK = logits_NK.to(dtype).softmax(-1), teacher_NK.log().to(dtype).softmax(-1)
    p, t = p_NK.double(), teacher_NK.double()
    label_p_N = p[torch.arange(len(p)), labels_N]
    assert metrics.nll(p_NK, labels_N) == pytest.approx(-label_p_N.log().mean().item(), **CLOSE)
    kl = (t * (t.log() - p.log())).sum(-1).mean().item()
    assert metrics.mean_kl_from_teacher(p_NK, teacher_NK) == pytest.approx(kl, **CLOSE)
    one_hot = torch.eye(5, dtype=torch.float64)[labels_N]
    brier = ((p - one_hot) ** 2).sum(-1).mean().item()
    assert metrics.brier(p_NK, labels_N) == pytest.approx(brier, **CLOSE)
    entropy = -(p * p.log()).sum(-1).mean().item()
    assert metrics.mean_entropy(p_NK) == pytest.approx(entropy, **CLOSE)


def test_means_are_taken_in_float64():
    # In float32 a sum of 2^24 ones stops growing; here 3000 float32 thirds keep 9 digits.
    p_NK = torch.tensor([[0.9, 0.1]] * 3001)
    one = metrics.mean_entropy(p_NK[:1])
    assert metrics.mean_entropy(p_NK) == pytest.approx(one, abs=3001 * EPS)


@pytest.mark.parametrize("labels_type", [torch.uint8, torch.int32])
def test_labels_of_any_integer_type_will_do(labels_type):
    logits_NK, labels_N, _ = sample(rows=20)
    assert metrics.summary(logits_NK, labels_N.to(labels_type)) == metrics.summary(
        logits_NK, labels_N
    )


def test_summary_holds_every_metric_without_a_teacher_under_its_recorded_name():
    logits_NK, labels_N, _ = sample()
    p_NK = logits_NK.softmax(-1)
    found = metrics.summary(logits_NK, labels_N)
    expected = {
        "mean_entropy_nats": metrics.mean_entropy(p_NK),
        "accuracy": metrics.accuracy(p_NK, labels_N),
        "nll_nats": metrics.nll(p_NK, labels_N),
        "brier": metrics.brier(p_NK, labels_N),
        "ece": metrics.expected_calibration_error(p_NK, labels_N, bins=15),
    }
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, **CLOSE)
    assert all(type(value) is float for value in found.values())


def test_summary_of_float32_logits_is_computed_in_float64():
    logits_NK, labels_N, _ = sample()
    narrow = logits_NK.float()
    assert metrics.summary(narrow, labels_N) == metrics.summary(narrow.double(), labels_N)


def test_summary_stays_finite_where_the_label_has_no_probability_left():
    found = metrics.summary(torch.tensor([[1e4, -1e4]]), torch.tensor([1]))
    assert found["nll_nats"] == 2e4
    assert found["accuracy"] == 0.0


NO_ROWS = torch.zeros(0, 2)
NO_LABELS = torch.zeros(0, dtype=torch.long)


@pytest.mark.parametrize(
    ("who", "call"),
    [
        ("mean_entropy", lambda: metrics.mean_entropy(NO_ROWS)),
        ("accuracy", lambda: metrics.accuracy(NO_ROWS, NO_LABELS)),
        ("nll", lambda: metrics.nll(NO_ROWS, NO_LABELS)),
        ("brier", lambda: metrics.brier(NO_ROWS, NO_LABELS)),
        (
            "expected_calibration_error",
            lambda: metrics.expected_calibration_error(NO_ROWS, NO_LABELS),
        ),
        ("agreement", lambda: metrics.agreement(NO_ROWS, NO_ROWS)),
        ("mean_kl_from_teacher", lambda: metrics.mean_kl_from_teacher(NO_ROWS, NO_ROWS)),
        ("summary", lambda: metrics.summary(NO_ROWS, NO_LABELS)),
    ],
)
def test_a_mean_over_nothing_is_refused_not_nan(who, call):
    with refuses(
        InputError,
        f"{who}: got no rows; wanted at least one example. A mean over nothing is no number.",
    ):
        call()


@pytest.mark.parametrize("bins", [0, -1, 2.5, "15"])
def test_fewer_than_one_bin_is_refused(bins):
    with refuses(
        ParameterError,
        f"expected_calibration_error, bins: got {bins!r}; wanted an integer of at least 1. 15 is "
        "usual.",
    ):
        metrics.expected_calibration_error(torch.tensor([[0.5, 0.5]]), torch.tensor([0]), bins=bins)


@pytest.mark.parametrize("function", [metrics.agreement, metrics.mean_kl_from_teacher])
def test_a_teacher_of_another_shape_is_refused(function):
    with refuses(
        ShapeError,
        f"{function.__name__}: got posteriors of shape (1, 2) and teacher of shape (2, 2); wanted "
        "equal shapes. Both must cover the same examples and the same classes, in the same order.",
    ):
        function(torch.full((1, 2), 0.5), torch.full((2, 2), 0.5))


def test_integer_logits_are_not_quietly_made_floating_point():
    with pytest.raises(LogitError, match=r"^summary, logits: got type int64"):
        metrics.summary(torch.tensor([[1, 2]]), torch.tensor([0]))


@pytest.mark.parametrize("name", ["bfloat16", "a gradient"])
def test_tensors_that_numpy_cannot_read_are_refused_with_the_way_to_make_them_readable(name):
    p_NK = torch.tensor([[0.5, 0.5]], requires_grad=name == "a gradient")
    p_NK = p_NK.bfloat16() if name == "bfloat16" else p_NK
    with pytest.raises(InputError, match=r"^accuracy, posteriors: .*detach\(\)\.cpu\(\)"):
        metrics.accuracy(p_NK, torch.tensor([0]))


def test_the_table_reads_teacher_smoothing_and_temperature():
    logits_NK, labels_N, _ = sample(rows=50, classes=3)
    teacher_NK = logits_NK.flip(1)
    seen = metrics.Seen(
        logits_NK=logits_NK.numpy(),
        labels_N=labels_N.numpy(),
        teacher_logits_NK=teacher_NK.numpy(),
        alpha=0.25,
        temperature=2.0,
    )
    p_NK, t_NK = (logits_NK / 2).softmax(-1), (teacher_NK / 2).softmax(-1)
    wanted = {
        "mean_entropy_nats": metrics.mean_entropy(p_NK),
        "accuracy": metrics.accuracy(p_NK, labels_N),
        "nll_nats": metrics.nll(p_NK, labels_N),
        "brier": metrics.brier(p_NK, labels_N),
        "ece": metrics.expected_calibration_error(p_NK, labels_N),
        "teacher_agreement": metrics.agreement(p_NK, t_NK),
        "kl_from_teacher_nats": metrics.mean_kl_from_teacher(p_NK, t_NK),
        "smoothing_floor_nats": -(2 / 12 * math.log(1 / 12) + 10 / 12 * math.log(10 / 12)),
    }
    found = {name: metrics.METRICS[name].of(seen) for name in wanted}
    assert found == pytest.approx(wanted, **CLOSE)
    assert all(row.low <= row.of(seen) <= row.high(3) for row in metrics.METRICS.values())


@pytest.mark.parametrize(
    ("name", "lacks"), [("teacher_agreement", "a teacher"), ("smoothing_floor_nats", "smoothed")]
)
def test_a_metric_that_needs_more_than_posteriors_says_what_is_missing(name, lacks):
    seen = metrics.Seen(logits_NK=np.zeros((2, 2)), labels_N=np.array([0, 1]))
    with pytest.raises(InputError, match=f"got a run without {lacks}"):
        metrics.METRICS[name].of(seen)


def test_a_metric_of_ones_own_is_a_row_and_takes_no_name_of_ours():
    row = metrics.METRICS["accuracy"]
    with pytest.raises(InputError, match="'accuracy', which is taken"):
        metrics.add("accuracy", row)
    try:
        metrics.add("right", row)
        metrics.add("right", row)  # a notebook cell that is run again
        assert metrics.METRICS["right"] is row
        assert "right" in metrics.summary([[0.0, 1.0]], [1])
    finally:
        metrics.METRICS.pop("right")


@pytest.mark.parametrize("name", ["log_p_NK", "p_NK", "log_teacher_NK"])
def test_the_metrics_of_a_look_share_what_none_of_them_can_change(name):
    logits = np.array([[1.0, 0.0], [0.0, 3.0]])
    seen = metrics.Seen(logits_NK=logits, labels_N=np.array([0, 1]), teacher_logits_NK=logits)
    assert getattr(seen, name) is getattr(seen, name)
    with pytest.raises(ValueError, match="read-only"):
        getattr(seen, name)[0] = 0.5
