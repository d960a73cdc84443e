"""From criteria and measurements to verdicts that explain themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdcheck.errors import InputError
from kdcheck.verdict import (
    Measured,
    Plan,
    TaskEffects,
    Verdict,
    Word,
    compare_with_published,
    judge,
    judge_family,
)
from kdcheck.verdict.seeds_needed import power
from kdcheck.verdict.words import REGIONS
from tests.verdict_doubles import CRITERION

SCATTER = np.array([0.01, -0.012, 0.004, -0.007, 0.005, 0.011, -0.003, -0.008, 0.002, -0.002])


def effects(*centres, seeds=5, spread=1.0):
    """Measurements around one centre per task, tasks named a, b, ... (or mrpc if alone)."""
    names = ["mrpc"] if len(centres) == 1 else list("abcdef"[: len(centres)])
    return Measured(
        tasks={
            name: TaskEffects(
                seeds=tuple(range(seeds)),
                effects=tuple((centre + spread * np.roll(SCATTER, t)[:seeds]).tolist()),
            )
            for t, (name, centre) in enumerate(zip(names, centres, strict=True))
        }
    )


def word(*centres, seeds=5, spread=1.0, **changes):
    tasks = CRITERION.tasks if len(centres) == 1 else tuple("abcdef"[: len(centres)])
    criterion = replace(CRITERION, tasks=tasks, **changes)
    return judge(criterion, effects(*centres, seeds=seeds, spread=spread)).word


@pytest.mark.parametrize(
    ("direction", "above", "inside_upper", "inside_lower", "below"),
    [
        ("above", Word.SUPPORTED, Word.EQUIVALENT, Word.EQUIVALENT, Word.REFUTED),
        ("not_below", Word.SUPPORTED, Word.SUPPORTED, Word.SUPPORTED, Word.REFUTED),
        ("within", Word.REFUTED, Word.SUPPORTED, Word.SUPPORTED, Word.REFUTED),
    ],
)
def test_each_kind_of_claim_gives_its_word_to_each_region(
    direction, above, inside_upper, inside_lower, below
):
    found = [word(x, direction=direction, spread=0.1) for x in (0.4, 0.02, -0.02, -0.4)]
    assert found == [above, inside_upper, inside_lower, below]


def test_an_effect_near_its_margin_is_undecided():
    assert word(0.05) is Word.UNDECIDED
    assert word(-0.05) is Word.UNDECIDED


@pytest.mark.parametrize(
    ("holds", "centres", "expected"),
    [
        ("every", (0.4, 0.5, 0.6), Word.SUPPORTED),
        ("every", (0.4, 0.5, 0.05), Word.UNDECIDED),
        ("every", (0.4, 0.5, -0.4), Word.REFUTED),
        ("every", (0.4, 0.5, 0.0), Word.EQUIVALENT),
        ("most", (0.4, 0.5, -0.4), Word.SUPPORTED),
        ("most", (0.4, -0.5, -0.4), Word.REFUTED),
        ("most", (0.4, 0.0, 0.0), Word.EQUIVALENT),
        ("most", (0.4, 0.5, -0.4, -0.5), Word.REFUTED),
        ("some", (0.4, -0.5, -0.4), Word.SUPPORTED),
        ("some", (-0.4, -0.5, -0.4), Word.REFUTED),
        ("some", (-0.4, -0.5, 0.0), Word.UNDECIDED),
        ("some", (0.0, 0.0, 0.0), Word.EQUIVALENT),
        (2, (0.4, 0.5, 0.0), Word.SUPPORTED),
        (2, (0.4, 0.05, 0.0), Word.UNDECIDED),
    ],
)
def test_the_quantifier_of_the_claim_decides_over_tasks(holds, centres, expected):
    assert word(*centres, holds=holds, spread=0.1) is expected


def test_a_verdict_waits_for_the_first_look_and_says_so():
    verdict = judge(CRITERION, effects(0.4, seeds=2))
    assert (verdict.word, verdict.seeds_used, verdict.more_seeds) == (Word.UNDECIDED, 0, 1)
    assert "first planned look is at 3 seeds; 1 more" in verdict.reason
    assert verdict.effect == pytest.approx(0.399)
    assert verdict.tasks == ()


def test_a_verdict_between_looks_uses_the_look_before():
    assert judge(CRITERION, effects(0.055, seeds=6)).seeds_used == 5


def test_p_values_are_scipys_with_the_prices_paid():
    measured = effects(0.06, seeds=3)
    verdict = judge(CRITERION, measured)
    raw = stats.ttest_1samp(measured.tasks["mrpc"].effects, 0.05, alternative="greater").pvalue
    assert verdict.tasks[0].p[Word.SUPPORTED] == pytest.approx(raw)
    assert verdict.p_supported == pytest.approx(4 * raw)
    others = {f"absent_{k}": replace(CRITERION, claim=f"absent_{k}") for k in range(9)}
    in_company = judge_family([CRITERION, *others.values()], {CRITERION.claim: measured})
    assert in_company[CRITERION.claim].p_supported == pytest.approx(min(1, 40 * raw))
    assert in_company[CRITERION.claim].family_size == 10  # those that were not run count


def test_an_invalid_claim_still_counts_in_the_family():
    invalid = replace(CRITERION, claim="invalid")
    same = Measured(tasks={"mrpc": TaskEffects(seeds=(0, 1, 2), effects=(0.1,) * 3)})
    measured = {"invalid": same, CRITERION.claim: effects(0.4)}
    verdicts = judge_family([invalid, CRITERION], measured)
    alone = judge(CRITERION, effects(0.4))
    assert list(verdicts) == ["invalid", CRITERION.claim]
    assert verdicts["invalid"].word is Word.INVALID
    assert verdicts[CRITERION.claim].p_supported == pytest.approx(2 * alone.p_supported)


def test_intervals_equal_scipys_at_any_level():
    measured = effects(0.4)
    verdict = judge(CRITERION, measured)
    values = measured.tasks["mrpc"].effects
    for level in (0.5, 0.9, 0.95):
        theirs = stats.ttest_1samp(values, 0).confidence_interval(level)
        assert verdict.interval(level) == pytest.approx((theirs.low, theirs.high))
        assert verdict.interval(level, task="mrpc") == verdict.interval(level)
    both = judge(replace(CRITERION, tasks=("b", "a")), effects(0.4, 0.6))
    theirs = stats.ttest_1samp(both.measured.tasks["a"].effects, 0).confidence_interval(0.95)
    assert both.interval(task="a") == pytest.approx((theirs.low, theirs.high))
    assert [task.name for task in both.tasks] == ["b", "a"]
    means = [np.mean(both.measured.tasks[name].effects) for name in ("b", "a")]
    assert [task.effect for task in both.tasks] == pytest.approx(means)


@pytest.mark.parametrize(("holds", "centre"), [("every", 0.2), ("most", 0.4), ("some", 0.6)])
def test_the_effect_of_many_tasks_is_that_of_the_task_on_which_the_claim_turns(holds, centre):
    criterion = replace(CRITERION, tasks=("a", "b", "c"), holds=holds)
    verdict = judge(criterion, effects(0.4, 0.2, 0.6))
    assert verdict.effect == pytest.approx(centre, abs=0.01)
    low, high = verdict.interval()
    assert low < verdict.effect < high
    assert verdict.tasks_as_claimed == 3


@pytest.mark.parametrize(
    ("holds", "sign", "centres"),
    [
        ("most", 1, (0.52, 0.2, 0.51)),
        ("some", 1, (0.2, 0.53, 0.3)),
        ("most", -1, (-0.52, 0.2, -0.51)),
        ("every", -1, (0.2, -0.52, 0.3)),
    ],
)
def test_the_interval_and_the_test_of_a_quantified_claim_agree(holds, sign, centres):
    # The bound at level 1 - 2 p touches the margin where p is the claim's own p at this look.
    criterion = replace(CRITERION, tasks=("a", "b", "c"), holds=holds, margin=0.5)
    verdict = judge(criterion, effects(*centres, seeds=3))
    p = (verdict.p_supported if sign > 0 else verdict.p_refuted) / len(criterion.plan.looks)
    assert 0 < p < 0.25
    low, high = verdict.interval(1 - 2 * p)
    assert (low if sign > 0 else high) == pytest.approx(sign * criterion.margin)


@pytest.mark.parametrize(("centres", "turning"), [((0.01, -0.03), "b"), ((0.03, -0.01), "a")])
def test_a_claim_within_shows_the_interval_of_its_turning_task_for_all_at_once(centres, turning):
    criterion = replace(CRITERION, tasks=("a", "b"), direction="within")
    measured = effects(*centres)
    theirs = stats.ttest_1samp(measured.tasks[turning].effects, 0).confidence_interval(0.975)
    verdict = judge(criterion, measured)
    assert verdict.interval() == pytest.approx((theirs.low, theirs.high))
    assert verdict.effect == pytest.approx(np.mean(measured.tasks[turning].effects))


def test_intervals_that_cannot_be_given_name_the_reason():
    verdict = judge(CRITERION, effects(0.4, seeds=1))
    with pytest.raises(InputError, match="got 1 seed; wanted at least 2"):
        verdict.interval()
    with pytest.raises(InputError, match="0 < level < 1"):
        verdict.interval(95)
    with pytest.raises(InputError, match=r"'qnli'.*'mrpc'"):
        verdict.interval(task="qnli")
    with pytest.raises(InputError, match="NOT_RUN"):
        judge(CRITERION, None).interval()


def test_power_equals_a_simulation():
    # Null: our formula; 20,000 tries, standard error at most 0.0035, bound 4 of them.
    draws = np.random.default_rng(0).normal(1.0, 0.8, size=(20_000, 5))
    p = stats.ttest_1samp(draws, 0.2, axis=-1, alternative="greater").pvalue
    estimate = (p <= 0.01).mean()
    ours = power(
        REGIONS["above"][Word.SUPPORTED],
        0.2,
        mean=1.0,
        sd=0.8,
        rate=0.01,
        seeds_N=np.array([5.0]),
    )[0]
    print(f"power by simulation {estimate:.4f}, by formula {ours:.4f}, bound 0.014")
    assert ours == pytest.approx(estimate, abs=0.014)


def test_power_of_equivalence_equals_a_simulation():
    draws = np.random.default_rng(1).normal(0.1, 0.5, size=(20_000, 10))
    low = stats.ttest_1samp(draws, -0.8, axis=-1, alternative="greater").pvalue
    high = stats.ttest_1samp(draws, 0.8, axis=-1, alternative="less").pvalue
    estimate = (np.maximum(low, high) <= 0.01).mean()
    ours = power(
        REGIONS["within"][Word.SUPPORTED],
        0.8,
        mean=0.1,
        sd=0.5,
        rate=0.01,
        seeds_N=np.array([10.0]),
    )[0]
    print(f"power by simulation {estimate:.4f}, by formula {ours:.4f}, bound 0.014")
    assert ours == pytest.approx(estimate, abs=0.014)


def test_power_beyond_either_margin_is_that_of_the_likelier_side_at_half_the_rate():
    given = {"mean": -1.0, "sd": 1.0, "seeds_N": np.array([5.0, 10.0])}
    either = power(REGIONS["within"][Word.REFUTED], 0.2, rate=0.02, **given)
    below = power(REGIONS["above"][Word.REFUTED], 0.2, rate=0.01, **given)
    assert either.tolist() == below.tolist()


def test_every_task_must_have_power_before_seeds_are_promised():
    clear, unclear = effects(0.4, spread=0.1), effects(0.062)
    tasks = {"a": clear.tasks["mrpc"], "b": unclear.tasks["mrpc"]}
    both = judge(replace(CRITERION, tasks=("a", "b")), Measured(tasks=tasks))
    assert (both.word, both.more_seeds) == (Word.UNDECIDED, judge(CRITERION, unclear).more_seeds)
    assert both.tasks_as_claimed == 1


@pytest.mark.parametrize(
    ("centre", "seeds", "more"),
    [(0.064, 5, 5), (0.064, 6, 4), (0.0665, 5, 2), (0.0665, 6, 1)],  # to the looks at 10 and 7
)
def test_an_undecided_verdict_says_about_how_many_more_seeds(centre, seeds, more):
    verdict = judge(CRITERION, effects(centre, seeds=seeds))
    assert verdict.word is Word.UNDECIDED
    assert verdict.more_seeds == more
    assert f"About {more} more seeds would decide." in verdict.reason


def test_more_company_asks_for_more_seeds():
    company = [CRITERION, *(replace(CRITERION, claim=f"other_{k}") for k in range(30))]
    verdict = judge_family(company, {CRITERION.claim: effects(0.062)})[CRITERION.claim]
    assert verdict.more_seeds > 5
    assert "more than the plan has" in verdict.reason


def test_an_effect_at_its_margin_is_not_reachable():
    verdict = judge(CRITERION, effects(0.0502))
    assert verdict.more_seeds is None
    assert "no affordable number of seeds" in verdict.reason


@pytest.mark.parametrize(
    ("centres", "spread", "holds", "cause", "said"),
    [
        (
            (0.05,),
            1.0,
            "every",
            "margin",
            "is narrow but reaches across the margin of 0.05 nats",
        ),
        ((0.07,), 9.0, "every", "noise", "Noise: the interval reaches 0.1 nats to either side"),
        ((0.06,), 0.65, "every", "price", "Price: clear by itself, not for a family of 25"),
        (
            *((0.4, 0.4, -0.4, 0.05), 1.0, "most", "contradiction"),
            "by itself SUPPORTED on 'a' and 'b', REFUTED on 'c'.",
        ),
        (
            *((-0.4, -0.4, 0.0), 0.1, "some", "contradiction"),
            "by itself REFUTED on 'a' and 'b', EQUIVALENT on 'c'.",
        ),
    ],
)
def test_an_undecided_verdict_names_its_cause(centres, spread, holds, cause, said):
    tasks = CRITERION.tasks if len(centres) == 1 else tuple("abcdef"[: len(centres)])
    criterion = replace(CRITERION, tasks=tasks, holds=holds)
    company = [replace(criterion, claim=f"other_{k}") for k in range(24)]
    measured = {criterion.claim: effects(*centres, spread=spread)}
    verdict = judge_family([criterion, *company], measured)[criterion.claim]
    assert (verdict.word, verdict.cause) == (Word.UNDECIDED, cause)
    assert said in verdict.reason
    assert verdict.to_dict()["derived"]["cause"] == cause
    if cause == "contradiction":
        assert "More seeds would not" in verdict.reason


def test_only_undecided_verdicts_have_a_cause():
    assert judge(CRITERION, effects(0.4)).cause is None
    assert judge(CRITERION, None).cause is None
    assert judge(CRITERION, effects(0.4, seeds=2)).cause == "seeds"


def test_a_claim_on_average_turns_on_the_mean_over_tasks_and_shows_each_task_by_itself():
    criterion = replace(CRITERION, tasks=("a", "b"), holds="average")
    measured = effects(0.4, -0.1)
    verdict = judge(criterion, measured)
    assert verdict.word is Word.SUPPORTED
    means = np.mean([measured.tasks[name].effects for name in ("a", "b")], axis=0)
    assert verdict.effect == pytest.approx(means.mean())
    theirs = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert verdict.interval() == pytest.approx((theirs.low, theirs.high))
    raw = stats.ttest_1samp(means[:3], 0.05, alternative="greater").pvalue
    assert verdict.p_supported == pytest.approx(4 * raw)
    assert "on average over 2 tasks" in verdict.reason
    # One task alone breaks no claim on average.
    assert judge(criterion, effects(-0.4, 0.1)).word is Word.REFUTED
    assert judge(criterion, effects(0.4, -0.4)).word is Word.EQUIVALENT
    low, high = verdict.interval(task="b")
    assert low < -0.1 < high
    assert [task.p[Word.SUPPORTED] < 0.01 for task in verdict.tasks] == [True, False]


def test_the_spread_of_like_claims_lets_a_claim_be_shown_earlier_and_is_kept_with_it():
    alone = judge(CRITERION, effects(0.06, seeds=3))
    assert alone.word is Word.UNDECIDED
    like = {f"like_{k}": replace(CRITERION, claim=f"like_{k}") for k in range(9)}
    measured = {c: effects(0.2 + 0.1 * k, seeds=3) for k, c in enumerate(like)}
    family = judge_family(
        [CRITERION, *like.values()], {CRITERION.claim: effects(0.07, seeds=3), **measured}
    )
    beside = family[CRITERION.claim]
    assert beside.prior.df == 20, "variances that are all alike"
    # By hand: nine like it and itself have one variance, so the class says that very one.
    values = np.array(beside.measured.tasks["mrpc"].effects)
    t = (values.mean() - 0.05) / (values.std(ddof=1) / np.sqrt(3))
    assert beside.tasks[0].own_p[Word.SUPPORTED] == pytest.approx(stats.t(2).sf(t))
    assert beside.tasks[0].p[Word.SUPPORTED] < beside.tasks[0].own_p[Word.SUPPORTED]
    back = Verdict.from_dict(json.loads(beside.to_json()))
    assert back.prior == beside.prior
    assert back.tasks == beside.tasks


def test_another_unit_is_another_class():
    like = {f"like_{k}": replace(CRITERION, claim=f"like_{k}", unit="points") for k in range(9)}
    measured = {c: effects(0.2, seeds=3) for c in like}
    found = judge_family(
        [CRITERION, *like.values()], {CRITERION.claim: effects(0.07, seeds=3), **measured}
    )
    assert found[CRITERION.claim].prior.df == 0
    assert found["like_0"].prior.df == 20


def test_a_decided_verdict_needs_no_more_seeds():
    assert judge(CRITERION, effects(0.4)).more_seeds is None


def test_a_verdict_reads_as_a_sentence_with_its_scale_margin_and_tasks():
    text = str(judge(replace(CRITERION, tasks=("a", "b")), effects(0.4, 0.6)))
    for fact in (
        "ls_raises_entropy: SUPPORTED at embedded scale",
        "above +0.05 nats",
        "on every one of 2 tasks",
        "at the look of 3 seeds",
    ):
        assert fact in text
    without_margin = judge(replace(CRITERION, margin=0.0), effects(0.4)).reason
    assert "The effect is above 0 nats on 'mrpc'" in without_margin
    broken = str(judge(replace(CRITERION, tasks=("a", "b")), effects(0.4, -0.6)))
    assert "below -0.05 nats on at least 1 of 2 tasks" in broken
    assert str(judge(CRITERION, None)).endswith(
        "NOT_RUN at embedded scale. No run of this claim is in the evidence."
    )


def test_a_verdict_survives_json_with_its_faults_and_nan():
    nan = TaskEffects(seeds=(0, 1, 2), effects=(0.1, float("nan"), float("inf")))
    arms = {"erm": (0.1, 0.2, 0.3), "ls": (0.5, 0.7, 0.6)}
    known = TaskEffects(
        seeds=(2, 0, 1), effects=(0.4, 0.5, 0.3), arms=arms, degenerate_runs=("erm seed 2",)
    )
    for measured in (
        *(effects(0.4), None, Measured(tasks={"mrpc": nan})),
        Measured(tasks={"mrpc": known}, seeds_expected=3),
    ):
        verdict = judge(CRITERION, measured)
        back = Verdict.from_dict(json.loads(verdict.to_json()))
        assert back.to_json() == verdict.to_json()
        assert str(back.measured) == str(measured)  # as text, where NaN is itself
        assert (back.word, back.reason, back.fault) == (verdict.word, verdict.reason, verdict.fault)
        assert judge(back.criterion, back.measured).word is verdict.word


def test_stored_json_names_what_a_reader_looks_for():
    verdict = judge(CRITERION, effects(0.4))
    stored = json.loads(verdict.to_json())
    assert stored["word"] == "SUPPORTED"
    p = {"SUPPORTED": verdict.p_supported, "REFUTED": 1, "EQUIVALENT": 1}
    assert stored["adjusted_p"] == p
    assert stored["criterion"]["because"] == CRITERION.because
    assert stored["criterion_digest"] == CRITERION.digest
    assert set(stored["derived"]) == {
        *("effect", "interval_95", "more_seeds", "cause", "reason", "tasks")
    }
    assert set(stored["derived"]["tasks"]["mrpc"]["p"]) == {"SUPPORTED", "REFUTED", "EQUIVALENT"}


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_stored_json_has_an_interval_from_two_seeds_on(seeds):
    verdict = judge(CRITERION, effects(0.4, seeds=seeds))
    interval = json.loads(verdict.to_json())["derived"]["interval_95"]
    assert interval == (list(verdict.interval()) if seeds >= 2 else None)


def test_stored_json_is_strict_json():
    verdict = judge(CRITERION, effects(0.4))
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(verdict, adjusted_p={word: float("nan") for word in Word}).to_json()


def test_a_plan_is_made_from_the_number_of_seeds_of_its_scale():
    assert [Plan.of(n).looks for n in (2, 3, 5, 8)] == [
        *((2, 4, 5, 8), (3, 5, 8, 12), (5, 8, 13, 20), (8, 13, 20, 32)),
    ]
    assert Plan.of(8).weights == (0.7, 0.1, 0.1, 0.1)
    assert Plan(looks=(4,)).weights == (1.0,)
    assert Plan(looks=(3, 6)).weights == (0.7, 0.3)


@pytest.mark.parametrize(
    ("changes", "decides"),
    [
        *(({name: "other"}, True) for name in ("claim", "unit", "contrast", "paper", "scale")),
        *(({name: "other"}, False) for name in ("says", "because")),
        ({"tasks": ("sst2",)}, True),
        ({"margin": 0.06}, True),
        ({"direction": "within"}, True),
        ({"holds": "some"}, True),
        ({"rests_on": ("premise",)}, True),
        ({"seeds": tuple(range(1, 11))}, True),
        ({"plan": replace(CRITERION.plan, attempt=2)}, True),
    ],
)
def test_the_digest_of_a_criterion_is_of_all_that_decides_and_of_no_wording(changes, decides):
    assert (replace(CRITERION, **changes).digest != CRITERION.digest) is decides


def test_a_published_number_is_compared_with_where_one_more_seed_would_fall():
    ours = (0.30, 0.33, 0.29, 0.31)
    comparison = compare_with_published(0.36, ours)
    mean, sd = np.mean(ours), np.std(ours, ddof=1)
    reach = stats.t(3).ppf(0.975) * sd * np.sqrt(1 + 1 / 4)
    assert comparison.interval == pytest.approx((mean - reach, mean + reach))
    assert comparison.word == "CONSISTENT"
    assert compare_with_published(mean + reach + 0.004, ours).word == "INCONSISTENT"


def test_rounding_of_a_published_number_is_granted():
    ours = (0.30, 0.33, 0.29, 0.31)
    low, high = compare_with_published(0.3, ours).interval
    for published, word in (
        (high + 0.004, "CONSISTENT"),
        (high + 0.006, "INCONSISTENT"),
        (low - 0.004, "CONSISTENT"),
        (low - 0.006, "INCONSISTENT"),
    ):
        assert compare_with_published(published, ours, half_width=0.005).word == word


@pytest.mark.parametrize("values", [(0.3,), (0.3, 0.3), (0.3, float("nan"))])
def test_a_published_number_needs_seeds_that_spread(values):
    with pytest.raises(InputError, match="two or more finite values that differ"):
        compare_with_published(0.3, values)


def test_a_prediction_level_outside_its_domain_is_refused():
    with pytest.raises(InputError, match="level 95"):
        compare_with_published(0.3, (0.3, 0.4), level=95)
