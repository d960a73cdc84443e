"""What each property of a metric and each check of a rule asks, and by hand what the answer is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kdcheck.conform import judge, metric
from kdcheck.conform.judge import Simulated, check_rule
from kdcheck.conform.metric import AGREES, BINS, CLASSES, Case, check_metric
from kdcheck.conform.results import Status

# Metrics


def told(prop, answers, kind="nll", seed=3):
    """What a property asks a metric that answers so, and what it says."""
    calls = []

    def answering(*given):
        calls.append([np.array(each) for each in given])
        return answers(*given) if callable(answers) else answers

    said = prop(Case(answering, kind, seed))
    return calls, said


def by_hand(prop, **given):
    """The inputs of a property that asks once, and the answer that it wants."""
    ((posteriors_NK, labels_N),), said = told(prop, 777.0, **given)
    assert said.startswith("got 777, by hand it is ")
    np.testing.assert_allclose(posteriors_NK.sum(axis=1), 1.0)
    assert posteriors_NK.shape == (len(labels_N), CLASSES)
    assert set(labels_N) <= set(range(CLASSES))
    return posteriors_NK, labels_N, float(said.rpartition(" ")[2])


@pytest.mark.parametrize("seed", range(5))
def test_a_case_has_random_posteriors_and_labels_of_no_multiple_of_a_batch(seed):
    case = Case(lambda p: 0.0, "mean_entropy", seed)
    assert 21 <= case.examples <= 119
    assert case.examples % 2 == 1
    assert case.posteriors_NK.shape == (case.examples, 4)
    np.testing.assert_allclose(case.posteriors_NK.sum(axis=1), 1.0)
    assert case.labels_N.shape == (case.examples,)
    assert set(case.labels_N) == {0, 1, 2, 3}
    again = Case(lambda p: 0.0, "mean_entropy", seed)
    np.testing.assert_array_equal(again.posteriors_NK, case.posteriors_NK)
    other = Case(lambda p: 0.0, "mean_entropy", seed + 1)
    assert other.posteriors_NK.shape != case.posteriors_NK.shape
    np.testing.assert_array_equal(case.certain(np.array([2, 0])), [[0, 0, 1, 0], [1, 0, 0, 0]])


def test_cases_are_of_many_sizes_and_shapes():
    cases = [Case(lambda p: 0.0, "nll", seed) for seed in range(400)]
    assert {case.examples for case in cases} == set(range(21, 120, 2))
    # Of Dirichlet(0.7) posteriors over four classes the mean of the squares is 1.7 / 3.8.
    posteriors = np.concatenate([case.posteriors_NK for case in cases])
    assert (posteriors**2).sum(axis=1).mean() == pytest.approx(1.7 / 3.8, rel=0.02)


def test_an_entropy_is_asked_without_labels_and_the_others_with_them():
    for kind, count in (("mean_entropy", 1), ("accuracy", 2)):
        calls, _ = told(metric.certain_posteriors_give_0, 0.0, kind=kind)
        assert [len(call) for call in calls] == [count]


def test_an_answer_may_be_any_number_and_lie_as_far_off_as_single_precision_does():
    case = Case(lambda p, y: np.float32(0.5), "nll", 0)
    given = case.posteriors_NK, case.labels_N
    assert case.of(*given) == 0.5
    assert isinstance(case.of(*given), float)
    assert case.apart(*given, 0.5 + 0.9 * AGREES) is None
    assert case.apart(*given, 0.5 - 0.9 * AGREES) is None
    assert case.apart(*given, 0.5 + 1.1 * AGREES) == "got 0.5, by hand it is 0.500001"
    assert AGREES == 1e-6


def pairs(posteriors_NK, labels_N):
    return sorted((tuple(p), int(y)) for p, y in zip(posteriors_NK, labels_N, strict=True))


def by_turns():
    answers = iter((0.25, 0.75))
    return lambda *given: next(answers)


def test_examples_in_another_order_are_the_same_examples():
    (first, second), said = told(metric.order_of_examples_does_not_matter, by_turns())
    assert pairs(*first) == pairs(*second)
    assert not np.array_equal(first[0], second[0])
    assert said == "got 0.75, by hand it is 0.25"


def test_classes_under_other_numbers_are_the_same_classes():
    (first, second), said = told(metric.numbers_of_classes_do_not_matter, by_turns())
    new = [int(second[1][list(first[1]).index(k)]) for k in range(CLASSES)]
    assert sorted(new) == list(range(CLASSES))
    assert new != list(range(CLASSES))
    assert second[1].tolist() == [new[k] for k in first[1]]
    for k in range(CLASSES):
        np.testing.assert_array_equal(second[0][:, new[k]], first[0][:, k])
    assert said == "got 0.75, by hand it is 0.25"


def test_all_examples_twice_are_all_of_them_twice():
    (first, second), said = told(metric.all_examples_twice_change_nothing, by_turns())
    long, plain = (first, second) if len(first[1]) > len(second[1]) else (second, first)
    assert pairs(*long) == sorted(2 * pairs(*plain))
    assert said in ("got 0.75, by hand it is 0.25", "got 0.25, by hand it is 0.75")


def test_parts_are_weighed_by_their_examples():
    calls, said = told(metric.unequal_parts_average_by_their_size, lambda p, y: float(len(p)))
    sizes = sorted(len(p) for p, _ in calls)
    n = sizes[-1]
    cut = 1 + n // 3
    assert sizes == [cut, n - cut, n]
    assert said == f"got {n:.6g}, by hand it is {(cut**2 + (n - cut) ** 2) / n:.6g}"
    parts, whole = calls[:2], calls[2]
    np.testing.assert_array_equal(np.concatenate([p for p, _ in parts]), whole[0])
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), whole[1])


def test_uniform_posteriors_give_log_4():
    posteriors_NK, _, wanted = by_hand(metric.uniform_posteriors_give_log_k)
    assert (posteriors_NK == 0.25).all()
    assert len(posteriors_NK) % 2 == 1
    assert wanted == pytest.approx(math.log(4), abs=1e-5)


def test_certain_posteriors_have_no_entropy():
    posteriors_NK, labels_N, wanted = by_hand(metric.certain_posteriors_give_0)
    np.testing.assert_array_equal(posteriors_NK, np.eye(CLASSES)[labels_N])
    assert len(set(labels_N)) == CLASSES
    assert wanted == 0.0


def test_a_half_and_two_quarters_have_a_known_entropy():
    posteriors_NK, labels_N, wanted = by_hand(metric.a_known_entropy)
    assert (len(posteriors_NK), len(labels_N)) == (3, 3)
    for row_K in posteriors_NK:
        assert sorted(row_K) == [0.0, 0.25, 0.25, 0.5]
    assert wanted == pytest.approx(stats.entropy([0.5, 0.25, 0.25]), abs=1e-5)
    shown = {tuple(by_hand(metric.a_known_entropy, seed=seed)[0][0]) for seed in range(30)}
    assert len(shown) > 6


def test_the_share_that_is_right_is_the_accuracy():
    shares = set()
    for seed in range(40):
        posteriors_NK, labels_N, wanted = by_hand(metric.right_share_is_the_share, seed=seed)
        right = (posteriors_NK.argmax(axis=1) == labels_N).mean()
        assert set(posteriors_NK.ravel()) == {0.0, 1.0}
        assert wanted == pytest.approx(right, abs=1e-5)
        assert 0 < right < 1
        shares.add(round(float(right), 1))
    assert shares >= {0.1, 0.5, 0.9}


def test_a_label_of_a_quarter_has_a_known_likelihood():
    posteriors_NK, labels_N, wanted = by_hand(metric.a_known_likelihood)
    rows = np.arange(len(labels_N))
    assert (posteriors_NK[rows, labels_N] == 0.25).all()
    for row_K in posteriors_NK:
        assert sorted(row_K) == [0.125, 0.125, 0.25, 0.5]
    assert wanted == pytest.approx(math.log(4), abs=1e-5)


def test_certain_and_wrong_is_2_for_a_score_and_1_for_a_calibration():
    for prop, worst in (
        (metric.certain_and_wrong_gives_2, 2.0),
        (metric.a_certain_error_gives_1, 1.0),
    ):
        posteriors_NK, labels_N, wanted = by_hand(prop)
        assert set(posteriors_NK.ravel()) == {0.0, 1.0}
        assert (posteriors_NK.argmax(axis=1) != labels_N).all()
        assert len(set(labels_N)) == CLASSES
        assert wanted == worst


def confidences(posteriors_NK, labels_N):
    """Confidence and whether it is right, for each example; the others share what is left."""
    for row_K in posteriors_NK:
        assert len({round(p, 12) for p in sorted(row_K)[:3]}) == 1
    right_N = posteriors_NK.argmax(axis=1) == labels_N
    return [
        (round(float(p), 9), bool(r))
        for p, r in zip(posteriors_NK.max(axis=1), right_N, strict=True)
    ]


def test_three_quarters_that_are_right_three_times_of_four_are_calibrated():
    sizes = set()
    for seed in range(150):
        posteriors_NK, labels_N, wanted = by_hand(metric.calibrated_posteriors_give_0, seed=seed)
        found = confidences(posteriors_NK, labels_N)
        assert {p for p, _ in found} == {0.75}
        assert sum(right for _, right in found) / len(found) == 0.75
        assert wanted == 0.0
        sizes.add(len(found) // 4)
    assert sizes == set(range(2, 20))


def test_bins_weigh_by_their_examples():
    sizes = set()
    for seed in range(30):
        posteriors_NK, labels_N, wanted = by_hand(metric.bins_weigh_by_their_examples, seed=seed)
        found = confidences(posteriors_NK, labels_N)
        many, few = found.count((0.9, True)), found.count((0.7, False))
        assert (many + few, many) == (len(found), 9 * few)
        assert wanted == pytest.approx(0.9 * 0.1 + 0.1 * 0.7, abs=1e-6)
        sizes.add(few)
    assert sizes == set(range(2, 9))


def right_pairs(prop, answers):
    calls, said = told(prop, answers)
    found = []
    for posteriors_NK, labels_N in calls:
        (low, first), (high, second) = confidences(posteriors_NK, labels_N)
        assert (first, second) == (True, False)
        found.append((low, high))
    return found, said


def test_neighbouring_bins_are_asked_at_every_edge_above_a_half():
    edges = [edge / BINS for edge in range(9, BINS)]
    wanted = [(round(e - 1e-4, 9), round(e + 1e-4, 9)) for e in edges]

    def apart(p_NK, _y):  # right below an edge, wrong above it
        low, high = p_NK.max(axis=1)
        return (abs(1 - low) + high) / 2

    found, said = right_pairs(metric.neighbouring_bins_are_kept_apart, apart)
    assert (found, said) == (wanted, None)
    found, said = right_pairs(metric.neighbouring_bins_are_kept_apart, 777.0)
    assert found == wanted[:1]
    assert said == f"got 777, by hand it is {(1 - wanted[0][0] + wanted[0][1]) / 2:.6g}"


def test_one_bin_is_asked_at_both_its_ends():
    wanted = [
        (round(edge / BINS + 1e-4, 9), round((edge + 1) / BINS - 1e-4, 9))
        for edge in range(8, BINS)
    ]

    def together(p_NK, _y):
        low, high = p_NK.max(axis=1)
        return abs((1 - low) + (0 - high)) / 2

    found, said = right_pairs(metric.one_bin_is_one_bin, together)
    assert (found, said) == (wanted, None)
    found, said = right_pairs(metric.one_bin_is_one_bin, 777.0)
    assert said == f"got 777, by hand it is {abs(1 - sum(wanted[0])) / 2:.6g}"


def test_a_report_of_a_metric_says_what_each_property_is():
    class Always:
        def __call__(self, p, y):
            return 0.0

    report = check_metric(Always(), "brier")
    assert report.subject == "brier"
    failed = {"certain_and_wrong_gives_2"}
    assert {each.name for each in report.results if each.status is Status.FAILED} == failed
    assert report.verdict == "not brier: certain_and_wrong_gives_2"
    last = report.results[-1]
    assert (last.says, last.detail) == (
        "The score sums over all classes: certain and wrong is 2, not 1.",
        "got 0, by hand it is 2",
    )
    assert [each.name for each in report.results] == [
        each.__name__ for each in metric.PROPERTIES["brier"]
    ]
    assert check_metric(lambda p: 0.0, "mean_entropy").subject == "<lambda>"


def test_the_seed_of_a_check_decides_what_a_metric_is_asked():
    def sizes(**seed):
        seen = []
        check_metric(lambda p, y: seen.append(len(p)) or 0.0, "accuracy", **seed)
        return seen

    assert sizes() == sizes(seed=0) != sizes(seed=1)


# Rules


def simulated(shown, studies=40, seed=0):
    """A simulation whose rule shows so, and what it was asked."""
    seen = []

    def rule(effects_CTS, margin):
        seen.append((effects_CTS, margin))
        return shown(len(seen)) if callable(shown) else np.full(len(effects_CTS), shown)

    return Simulated(rule, studies, seed), seen


CHECKS = {
    judge.no_effect_is_rarely_shown: ([[0.0]], 0.0),
    judge.an_effect_at_the_margin_is_rarely_shown: ([[0.5]], 0.5),
    judge.one_task_does_not_speak_for_all: ([[5.0, 0.5, 0.5]], 0.5),
    judge.company_is_paid_for: ([[0.0]] * 12, 0.0),
    judge.the_opposite_is_not_shown: ([[-5.0]], 0.5),
    judge.a_clear_effect_is_shown: ([[5.0] * 3], 0.5),
}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_of_a_rule_simulates_studies_of_known_effects(check):
    effects_CT, margin = CHECKS[check]
    sim, seen = simulated(False)
    check(sim)
    assert len(seen) == 40
    assert {each for _, each in seen} == {margin}
    values = np.stack([each for each, _ in seen])
    assert values.shape == (40, *np.shape(effects_CT), 20)
    # 800 draws of deviation 1 each: their mean is known to 0.035.
    np.testing.assert_allclose(values.mean(axis=(0, 3)), effects_CT, atol=0.18)
    np.testing.assert_allclose(values.std(axis=(0, 3)), np.ones(np.shape(effects_CT)), atol=0.13)
    assert len(np.unique(values)) == values.size


def test_a_seed_decides_the_studies():
    first, again, other = (simulated(False, seed=seed) for seed in (1, 1, 2))
    for sim, _ in (first, again, other):
        sim.any_shown([[0.0]])
    np.testing.assert_array_equal(first[1][0][0], again[1][0][0])
    assert not np.array_equal(first[1][0][0], other[1][0][0])


def test_a_study_counts_once_however_many_claims_are_shown():
    sim, _ = simulated(lambda turn: np.array([turn % 4 == 0, turn % 2 == 0]))
    assert sim.any_shown([[0.0]] * 2) == 20
    sim, _ = simulated(lambda turn: turn <= 3)
    assert sim.any_shown([[0.0]]) == 3


@pytest.mark.parametrize("studies", [40, 400])
@pytest.mark.parametrize("rate", [0.025, 0.1])
def test_more_false_claims_than_chance_explains_are_an_alarm(studies, rate):
    sim, _ = simulated(False, studies=studies)
    # Another route: scipy's exact test of a share.
    for shown in range(studies + 1):
        p = stats.binomtest(shown, studies, rate, alternative="greater").pvalue
        said = sim.too_often(shown, rate)
        if p >= 1e-6:
            assert said is None
        else:
            told_rate = "2.5%" if rate == 0.025 else "10.0%"
            assert said == (
                f"a false claim in {shown} of {studies} studies, where {told_rate} are allowed"
            )
    assert sim.too_often(studies) == sim.too_often(studies, 0.025)


@pytest.mark.parametrize(("missed", "said"), [(2, None), (3, "it is missed in 3 of 40 studies")])
def test_a_clear_effect_may_be_missed_in_one_study_of_twenty(missed, said):
    sim, _ = simulated(lambda turn: turn > missed)
    assert judge.a_clear_effect_is_shown(sim) == said


@pytest.mark.parametrize("check", list(CHECKS)[:-1])
def test_what_is_always_shown_is_told_by_each_check(check):
    sim, _ = simulated(True)
    assert check(sim) == "a false claim in 40 of 40 studies, where 2.5% are allowed"


def test_a_report_of_a_rule_has_each_check_with_its_sentence():
    class Never:
        def __call__(self, effects_CTS, margin):
            return np.zeros(len(effects_CTS), dtype=bool)

    report = check_rule(Never(), studies=3, only=judge.CHECKS[-2:])
    assert report.subject == "rule"
    assert [(each.name, each.says, each.status, each.detail) for each in report.results] == [
        (
            "the_opposite_is_not_shown",
            "A clear effect the other way is never shown as the one that was claimed.",
            Status.PASSED,
            "",
        ),
        (
            "a_clear_effect_is_shown",
            "A clear effect on every task is shown in nearly every study.",
            Status.FAILED,
            "it is missed in 3 of 3 studies",
        ),
    ]
    assert len(check_rule(Never(), studies=1).results) == 6


def test_the_studies_and_the_seed_of_a_check_are_those_that_are_given():
    def asked(**given):
        seen = []

        def rule(effects_CTS, margin):
            seen.append(float(effects_CTS[0, 0, 0]))
            return np.zeros(1, dtype=bool)

        check_rule(rule, only=judge.CHECKS[:1], **given)
        return seen

    assert len(asked()) == 400
    assert asked(studies=2) == asked(studies=2, seed=0) != asked(studies=2, seed=1)
    assert len(asked(studies=2)) == 2
