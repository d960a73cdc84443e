"""Checks of metrics and of rules of decision: sound ones pass, one that is wrong is named by what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from kdcheck import metrics
from kdcheck.conform.judge import CHECKS, check_rule
from kdcheck.conform.metric import PROPERTIES, check_metric
from kdcheck.conform.results import Status
from kdcheck.errors import ParameterError
from kdcheck.zoo.faulty_rules import kdchecks_own


@pytest.mark.parametrize("kind", PROPERTIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_our_own_metrics_pass(kind, seed):
    report = check_metric(getattr(metrics, kind), kind, seed=seed)
    assert {each.name: each.detail for each in report.results if each.detail} == {}
    assert report.exit_code == 0


@pytest.mark.parametrize("kind", [kind for kind in PROPERTIES if kind != "mean_entropy"])
def test_every_metric_passes_for_itself_alone(kind):
    for other in PROPERTIES:
        if other not in (kind, "mean_entropy"):
            assert check_metric(getattr(metrics, kind), other).exit_code == 1, other


def test_the_answer_by_hand_stands_beside_the_answer_got():
    report = check_metric(lambda p: metrics.mean_entropy(p) / np.log(2), "mean_entropy")
    told = {each.name: each.detail for each in report.results}
    assert told["uniform_posteriors_give_log_k"] == "got 2, by hand it is 1.38629"


def test_a_metric_that_raises_has_failed_and_an_unknown_kind_is_refused():
    def breaks(p_NK):
        raise ZeroDivisionError("no rows")

    report = check_metric(breaks, "mean_entropy")
    assert {each.status for each in report.results} == {Status.FAILED}
    assert report.results[0].detail == "It ended in ZeroDivisionError: no rows"
    with pytest.raises(ParameterError) as caught:
        check_metric(breaks, "entropy")
    assert str(caught.value) == (
        "check_metric, kind: got 'entropy'; wanted one of mean_entropy, accuracy, nll, brier, "
        "expected_calibration_error. Name what the metric claims to be."
    )


def calibration_error_with(edges):
    """The expected calibration error with these edges between its bins."""

    def error(p_NK, labels_N):
        confidence_N, right_N = p_NK.max(axis=1), p_NK.argmax(axis=1) == labels_N
        bin_N = np.searchsorted(edges, confidence_N)
        return sum(
            abs((right_N - confidence_N)[bin_N == each].sum()) / len(p_NK) for each in set(bin_N)
        )

    return error


EDGES = [each / 15 for each in range(1, 15)]


def test_fifteen_bins_by_hand_are_the_calibration_error():
    report = check_metric(calibration_error_with(EDGES), "expected_calibration_error")
    assert {each.name: each.detail for each in report.results if each.detail} == {}
    assert (report.subject, report.verdict) == (
        "error",
        "expected_calibration_error, by all checks",
    )


@pytest.mark.parametrize("edge", range(9, 15))
def test_two_bins_that_are_one_are_told_wherever_they_are(edge):
    edges = [each for each in EDGES if each != edge / 15]
    report = check_metric(calibration_error_with(edges), "expected_calibration_error")
    failed = [each.name for each in report.results if each.status is Status.FAILED]
    assert failed == ["neighbouring_bins_are_kept_apart"]


@pytest.mark.parametrize("place", range(8, 15))
def test_a_bin_that_is_two_is_told_wherever_it_is(place):
    edges = sorted([*EDGES, (place + 0.5) / 15])
    report = check_metric(calibration_error_with(edges), "expected_calibration_error")
    failed = [each.name for each in report.results if each.status is Status.FAILED]
    assert failed == ["one_bin_is_one_bin"]
    assert report.verdict == "not expected_calibration_error: one_bin_is_one_bin"


def test_our_own_judge_keeps_its_rate_and_finds_what_is_clear():
    report = check_rule(kdchecks_own, studies=12)
    assert {each.name: each.detail for each in report.results if each.detail} == {}
    assert report.verdict == "keeps its error rate"


def test_a_rule_that_never_shows_anything_misses_what_is_clear_and_nothing_else():
    def never(effects_CTS, margin):
        return np.zeros(len(effects_CTS), dtype=bool)

    report = check_rule(never, studies=40)
    failed = [each.name for each in report.results if each.status is Status.FAILED]
    assert failed == ["a_clear_effect_is_shown"]
    assert report.results[-1].detail == "it is missed in 40 of 40 studies"
    assert (report.subject, report.verdict) == (
        "never",
        "wrong too often: a_clear_effect_is_shown",
    )


def test_a_rule_that_always_shows_everything_fails_all_the_others():
    def always(effects_CTS, margin):
        return np.ones(len(effects_CTS), dtype=bool)

    report = check_rule(always, studies=40)
    passed = [each.name for each in report.results if each.status is Status.PASSED]
    assert passed == ["a_clear_effect_is_shown"]
    assert len(CHECKS) == 6
    told = "a false claim in 40 of 40 studies, where 2.5% are allowed"
    assert {each.detail for each in report.results[:-1]} == {told}
