"""What is stored of a verdict, and what it says of itself: every field, and the whole of the words."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import digamma, polygamma

from kdcheck.claims.arm import Arm
from kdcheck.claims.contrast import apply, reading
from kdcheck.verdict import (
    Criterion,
    Interval,
    Measured,
    Plan,
    TaskEffects,
    TaskResult,
    Verdict,
    Word,
    compare_with_published,
    guards,
    judge,
    judge_family,
    seeds_needed,
)
from kdcheck.verdict.calibration import null_family
from kdcheck.verdict.guards import Arrays, FailedRun
from kdcheck.verdict.looks import kind_of, look_at, parts_of, size_of_parts
from kdcheck.verdict.p_values import claim_p_values, sample_of
from kdcheck.verdict.premises import _seeds_of
from kdcheck.verdict.resolution import Resolution, resolution
from kdcheck.verdict.spread import NO_PRIOR, Prior, class_prior, moderated, raised
from kdcheck.verdict.words import DECIDING, REGIONS, REHEARSED, Region
from tests.verdict_doubles import CRITERION

SCATTER = (0.01, -0.012, 0.004, -0.007, 0.005, 0.011, -0.003, -0.008, 0.002, -0.002)


def effects(*centres, seeds=5, spread=1.0):
    names = ["mrpc"] if len(centres) == 1 else list("abcdef"[: len(centres)])
    return Measured(
        tasks={
            name: TaskEffects(
                seeds=tuple(range(seeds)),
                effects=tuple(float(c + spread * x) for x in np.roll(SCATTER, t)[:seeds]),
            )
            for t, (name, c) in enumerate(zip(names, centres, strict=True))
        }
    )


# Stored


CONTRAST = apply(
    "-", reading("accuracy", Arm("ls", "small")), reading("accuracy", Arm("erm", "small"))
)
RICH = TaskEffects(
    seeds=(3, 1),
    effects=(0.5, math.nan),
    arms={"ls": (0.75, math.inf), "erm": (0.25, 0.5)},
    curves={"along": ((0.1, 0.2), (0.3, -math.inf))},
    constants={"log K": (1.0, 1.0)},
    limits={"ls": (0.0, 1.5)},
    runs={"ls": ("aa", "bb")},
    data="cc",
    degenerate_runs=("ls seed 3",),
    failed_runs=("ls seed 7: no memory",),
)
RICH_STORED = {
    "seeds": [3, 1],
    "effects": [0.5, "nan"],
    "arms": {"ls": [0.75, "inf"], "erm": [0.25, 0.5]},
    "curves": {"along": [[0.1, 0.2], [0.3, "-inf"]]},
    "constants": {"log K": [1.0, 1.0]},
    "limits": {"ls": [0.0, 1.5]},
    "runs": {"ls": ["aa", "bb"]},
    "data": "cc",
    "degenerate_runs": ["ls seed 3"],
    "failed_runs": ["ls seed 7: no memory"],
}


def test_all_that_is_known_of_a_task_is_stored_and_read_back():
    assert RICH.to_dict() == RICH_STORED
    back = TaskEffects.from_dict(json.loads(json.dumps(RICH_STORED)))
    assert repr(back) == repr(RICH)  # as text, where NaN is itself
    plain = replace(RICH, failed_runs=())
    assert "failed_runs" not in plain.to_dict()
    assert TaskEffects.from_dict(plain.to_dict()).failed_runs == ()


def test_values_are_read_by_name_and_place():
    assert (RICH.value("erm", 1), RICH.value("log K", 0)) == (0.5, 1.0)
    assert RICH.value("along", 1).tolist() == [0.3, -math.inf]
    assert RICH.effect_of(3) == 0.5
    with pytest.raises(KeyError, match="nothing"):
        RICH.value("nothing", 0)


def test_all_that_was_measured_is_stored_and_read_back():
    measured = Measured(tasks={"a": RICH}, seeds_expected=4, contrast=CONTRAST)
    stored = {
        "tasks": {"a": RICH_STORED},
        "seeds_expected": 4,
        "contrast": CONTRAST.to_dict(),
    }
    assert measured.to_dict() == stored
    assert repr(Measured.from_dict(stored)) == repr(measured)
    bare = Measured(tasks={})
    assert bare.to_dict() == {"tasks": {}, "seeds_expected": None, "contrast": None}
    assert Measured.from_dict(bare.to_dict()) == bare


def test_nothing_was_measured_where_no_task_has_a_seed_or_a_run_that_failed():
    none = TaskEffects(seeds=(), effects=())
    assert Measured(tasks={}).is_empty is True
    assert Measured(tasks={"a": none}).is_empty is True
    failed = replace(none, failed_runs=("x",))
    for tasks in ({"a": none, "b": failed}, {"a": failed}, {"a": RICH}):
        assert Measured(tasks=tasks).is_empty is False


def test_arms_may_come_in_another_order_on_another_task():
    turned = replace(RICH, arms=dict(reversed(RICH.arms.items())))
    assert Measured(tasks={"a": RICH, "b": turned}).tasks["b"] is turned


PLAN_STORED = {
    "looks": [3, 5, 7, 10],
    "weights": [0.25, 0.25, 0.25, 0.25],
    "supported": 0.025,
    "refuted": 0.025,
    "equivalent": 0.025,
    "attempt": 1,
}
CRITERION_STORED = {
    "claim": "ls_raises_entropy",
    "tasks": ["mrpc"],
    "margin": 0.05,
    "because": "the smallest gap of the paper is six times as large",
    "unit": "nats",
    "contrast": "",
    "direction": "above",
    "says": "",
    "holds": "every",
    "rests_on": ["other"],
    "paper": "",
    "scale": "embedded",
    "seeds": list(range(20)),
    "plan": PLAN_STORED,
}
WORDS = {Word.SUPPORTED: 0.5, Word.REFUTED: 0.25, Word.EQUIVALENT: 1.0}


def test_a_criterion_and_its_plan_are_stored_and_read_back():
    resting = replace(CRITERION, rests_on=("other",))
    assert resting.to_dict() == CRITERION_STORED
    assert Criterion.from_dict(json.loads(json.dumps(CRITERION_STORED))) == resting
    assert Plan.from_dict(json.loads(json.dumps(PLAN_STORED))) == CRITERION.plan


def test_every_field_of_a_verdict_is_stored_and_read_back():
    measured = effects(0.4)
    verdict = Verdict(
        criterion=CRITERION,
        measured=measured,
        word=Word.NOT_TESTABLE,
        seeds_used=5,
        adjusted_p=WORDS,
        prior=Prior(3.0, 0.5),
        family_size=7,
        rivals={Word.SUPPORTED: 2, Word.REFUTED: 3, Word.EQUIVALENT: 4},
        fault=FailedRun("not trained is x"),
        untestable="It rests on another.",
        premise_seeds=6,
        exploratory=("The margin was moved.", "A task was added."),
    )
    stored = verdict.to_dict()
    assert {name: value for name, value in stored.items() if name != "derived"} == {
        "criterion": CRITERION.to_dict(),
        "criterion_digest": CRITERION.digest,
        "measured": measured.to_dict(),
        "word": "NOT_TESTABLE",
        "seeds_used": 5,
        "adjusted_p": {"SUPPORTED": 0.5, "REFUTED": 0.25, "EQUIVALENT": 1.0},
        "family_size": 7,
        "prior": [3.0, 0.5],
        "rivals": {"SUPPORTED": 2, "REFUTED": 3, "EQUIVALENT": 4},
        "fault": {"kind": "FailedRun", "detail": "not trained is x"},
        "untestable": "It rests on another.",
        "premise_seeds": 6,
        "exploratory": ["The margin was moved.", "A task was added."],
    }
    (task,) = verdict.tasks
    assert stored["derived"] == {
        "effect": verdict.effect,
        "interval_95": list(verdict.interval()),
        "more_seeds": 6,
        "cause": None,
        "reason": "It rests on another.",
        "tasks": {
            "mrpc": {
                "effect": task.effect,
                "interval_95": list(task.interval),
                "p": {word.value: task.p[word] for word in DECIDING},
            }
        },
    }
    assert Verdict.from_dict(json.loads(verdict.to_json())) == verdict
    bare = Verdict(criterion=CRITERION, measured=None, word=Word.NOT_RUN)
    assert bare.to_dict()["measured"] is None
    assert bare.to_dict()["fault"] is None
    assert Verdict.from_dict(bare.to_dict()) == bare
    assert bare.adjusted_p == dict.fromkeys(DECIDING, 1.0)
    assert bare.rivals == dict.fromkeys(DECIDING, 1)


def test_stored_json_is_indented_by_one_with_its_keys_in_order():
    text = judge(CRITERION, None).to_json()
    assert text.startswith('{\n "adjusted_p": {\n  "EQUIVALENT": 1.0,\n  "REFUTED": 1.0,\n')
    keys = [line.split('"')[1] for line in text.splitlines() if line.startswith(' "')]
    assert keys == sorted(keys)
    assert len(keys) == 14


# What it says


def test_standing_and_prices_are_told():
    verdict = judge(CRITERION, effects(0.4))
    assert verdict.standing == "CONFIRMATORY"
    assert replace(verdict, exploratory=("x",)).standing == "EXPLORATORY"
    assert replace(verdict, exploratory=("x", REHEARSED)).standing == "REHEARSAL"
    priced = replace(verdict, adjusted_p=WORDS)
    assert (priced.p_supported, priced.p_refuted, priced.p_equivalent) == (0.5, 0.25, 1.0)


def test_what_was_not_judged_has_no_seeds_and_no_effect():
    verdict = judge(CRITERION, effects(0.4))
    assert verdict.seeds == 5
    for word in (Word.INVALID, Word.NOT_RUN):
        changed = replace(verdict, word=word)
        assert (changed.seeds, changed.effect, changed.tasks) == (0, None, ())
    assert replace(verdict, measured=None).seeds == 0
    assert replace(verdict, seeds_used=0).tasks == ()


def figures(verdict):
    low, high = verdict.interval()
    return f"{verdict.effect:+.3g} [{low:+.3g}, {high:+.3g}] nats"


def test_a_verdict_is_a_sentence_with_its_figures():
    verdict = judge(CRITERION, effects(0.4))
    p = f"{verdict.p_supported:.2g}"
    reason = f"The effect is above +0.05 nats on 'mrpc' (adjusted p = {p} at the look of 3 seeds)."
    assert verdict.reason == reason
    assert (
        str(verdict)
        == f"ls_raises_entropy: SUPPORTED at embedded scale, {figures(verdict)}. {reason}"
    )
    nowhere = replace(verdict, criterion=replace(CRITERION, scale=""))
    assert str(nowhere) == f"ls_raises_entropy: SUPPORTED, {figures(verdict)}. {reason}"
    rehearsed = replace(verdict, exploratory=(REHEARSED,))
    assert str(rehearsed).startswith("ls_raises_entropy: SUPPORTED (REHEARSAL) at embedded scale, ")
    one = judge(CRITERION, effects(0.4, seeds=1))
    assert str(one) == (
        "ls_raises_entropy: UNDECIDED at embedded scale. "
        "The first planned look is at 3 seeds; 2 more are needed."
    )
    two = judge(CRITERION, effects(0.4, seeds=2))
    assert str(two).startswith(
        f"ls_raises_entropy: UNDECIDED at embedded scale, {figures(two)}. The"
    )
    assert judge(CRITERION, None).reason == "No run of this claim is in the evidence."
    broken = replace(one, word=Word.INVALID, fault=FailedRun("not trained is x"))
    assert broken.reason == "Not trained is x."
    assert replace(broken, untestable="Because.").reason == "Because."


@pytest.mark.parametrize(
    ("holds", "word", "where"),
    [
        ("every", Word.SUPPORTED, "on every one of 3 tasks"),
        ("every", Word.REFUTED, "on at least 1 of 3 tasks"),
        ("most", Word.SUPPORTED, "on at least 2 of 3 tasks"),
        ("most", Word.REFUTED, "on at least 2 of 3 tasks"),
        ("some", Word.SUPPORTED, "on at least 1 of 3 tasks"),
        ("some", Word.EQUIVALENT, "on every one of 3 tasks"),
        ("average", Word.SUPPORTED, "on average over 3 tasks"),
        (2, Word.SUPPORTED, "on at least 2 of 3 tasks"),
    ],
)
def test_a_word_says_on_which_tasks(holds, word, where):
    criterion = replace(CRITERION, tasks=("a", "b", "c"), holds=holds)
    verdict = replace(judge(criterion, effects(0.4, 0.4, 0.4)), word=word)
    assert f" {where} (adjusted p = " in verdict.reason


@pytest.mark.parametrize(
    ("direction", "word", "text"),
    [
        ("above", Word.SUPPORTED, "above +0.05 nats"),
        ("above", Word.REFUTED, "below -0.05 nats"),
        ("above", Word.EQUIVALENT, "above -0.05 nats and below +0.05 nats"),
        ("not_below", Word.SUPPORTED, "above -0.05 nats"),
        ("within", Word.REFUTED, "above +0.05 nats or below -0.05 nats"),
    ],
)
def test_a_region_is_told_with_its_margin(direction, word, text):
    assert REGIONS[direction][word].text(0.05, "nats") == text
    assert Region(((1, 0),)).text(0.05, "nats") == "above 0 nats"


def undecided(centres, *, spread=1.0, holds="every", company=24, seeds=5, **changes):
    tasks = CRITERION.tasks if len(centres) == 1 else tuple("abcdef"[: len(centres)])
    criterion = replace(CRITERION, tasks=tasks, holds=holds, **changes)
    others = [replace(criterion, claim=f"other_{k}") for k in range(company)]
    found = judge_family(
        [criterion, *others], {criterion.claim: effects(*centres, spread=spread, seeds=seeds)}
    )
    return found[criterion.claim]


NO_NUMBER = "At this effect and spread no affordable number of seeds would decide."


def test_an_undecided_verdict_says_why_what_is_nearest_and_what_would_decide():
    margin = undecided((0.0502,))
    low, high = margin.interval()
    assert margin.reason == (
        f"Margin: the interval, {low:+.3g} to {high:+.3g} nats, is narrow but reaches across the margin of 0.05 "
        f"nats. Nothing is near. {NO_NUMBER}"
    )
    noise = undecided((0.07,), spread=9.0)
    low, high = noise.interval()
    assert noise.reason == (
        f"Noise: the interval reaches {(high - low) / 2:.2g} nats to either side, the margin is 0.05 nats. "
        f"Nothing is near. {NO_NUMBER}"
    )
    price = undecided((0.06,), spread=0.65)
    p = price.adjusted_p[Word.SUPPORTED]
    assert price.reason == (
        f"Price: clear by itself, not for a family of 25 at all its looks. Nearest is SUPPORTED (adjusted p = {p:.2g}). "
        f"About {price.more_seeds} more seeds would decide, more than the plan has."
    )
    torn = undecided((0.4, 0.4, -0.4, 0.05), holds="most")
    p = min(torn.adjusted_p.values())
    near = f"Nearest is SUPPORTED (adjusted p = {p:.2g})." if p < 1 else "Nothing is near."
    assert torn.reason == (
        "Contradiction between tasks: by itself SUPPORTED on 'a' and 'b', REFUTED on 'c'. "
        f"{near} More seeds would not; the claim would have to say on which tasks it holds."
    )
    beyond = undecided((0.062,), company=30)
    assert beyond.reason.endswith(
        f"About {beyond.more_seeds} more seeds would decide, more than the plan has."
    )
    assert beyond.seeds + beyond.more_seeds > 10


def test_a_p_of_just_below_1_is_near_and_1_is_not():
    verdict = undecided((0.0502,))
    for p, near in ((0.99, "Nearest is REFUTED (adjusted p = 0.99)."), (1.0, "Nothing is near.")):
        changed = replace(verdict, adjusted_p={**verdict.adjusted_p, Word.REFUTED: p})
        assert near in changed.reason


@pytest.mark.parametrize(
    ("bound", "cause"),
    [
        ((0.051, 0.3), "price"),
        ((0.049, 0.3), "noise"),
        ((0.049, 0.1), "margin"),
        ((-0.3, -0.051), "price"),
    ],
)
def test_the_cause_is_read_off_the_interval(monkeypatch, bound, cause):
    verdict = undecided((0.0502,))
    monkeypatch.setattr(Verdict, "interval", lambda self, level=0.95, task=None: Interval(*bound))
    assert replace(verdict).cause == cause


def test_an_interval_at_its_very_edges_reaches_across_and_is_not_narrow(monkeypatch):
    verdict = undecided((0.0502,))
    for bound, cause in (
        ((0.05, 0.075), "margin"),
        ((0.0, 0.05), "margin"),
        ((0.0, 0.1), "noise"),
    ):
        monkeypatch.setattr(
            Verdict, "interval", lambda self, level=0.95, task=None, bound=bound: Interval(*bound)
        )
        assert replace(verdict).cause == cause


def test_a_task_shows_a_word_by_itself_at_its_share_of_the_rate_and_beside_its_rivals():
    verdict = replace(judge(CRITERION, effects(0.4)), seeds_used=5)
    rate = 0.0225 * 0.25

    def shows(p, own, rivals=1):
        task = TaskResult("mrpc", 0.4, Interval(0, 1), {Word.SUPPORTED: p}, {Word.SUPPORTED: own})
        return verdict._shows(task, Word.SUPPORTED, rivals)

    assert shows(rate, rate)
    assert not shows(rate * 1.01, rate)
    assert not shows(rate, rate * 1.01)
    assert shows(rate / 4, rate, rivals=4)
    assert not shows(rate / 3.9, rate, rivals=4)
    later = replace(verdict, criterion=replace(CRITERION, plan=Plan(looks=(3, 10))), seeds_used=3)
    task = TaskResult(
        "x", 0.4, Interval(0, 1), {Word.SUPPORTED: 0.0225 * 0.69}, {Word.SUPPORTED: 0}
    )
    assert later._shows(task, Word.SUPPORTED)
    assert not replace(later, seeds_used=10)._shows(task, Word.SUPPORTED)


def test_tasks_as_claimed_are_counted_at_the_price_of_the_rivals():
    criterion = replace(CRITERION, tasks=("a", "b"))
    verdict = judge(criterion, effects(0.4, 0.2))
    p = verdict.tasks[1].p[Word.SUPPORTED]
    count = int(0.0225 * 0.25 / p)
    assert count >= 1
    for rivals, tasks in ((0, 2), (1, 2), (count, 2), (count + 1, 1)):
        changed = replace(verdict, rivals={**verdict.rivals, Word.SUPPORTED: rivals})
        assert changed.tasks_as_claimed == tasks


def test_each_task_is_told_with_the_p_of_scipy_beside_its_class_and_by_itself():
    criterion = replace(CRITERION, tasks=("a", "b"))
    measured = effects(0.4, 0.06, seeds=6)
    verdict = replace(judge(criterion, measured), prior=Prior(4.0, 0.001))
    for name, task in zip("ab", verdict.tasks, strict=True):
        used = np.array(measured.tasks[name].effects[: verdict.seeds_used])
        own = stats.ttest_1samp(used, 0.05, alternative="greater").pvalue
        assert task.own_p[Word.SUPPORTED] == pytest.approx(own)
        n = len(used)
        variance = (4 * 0.001 + (n - 1) * used.var(ddof=1)) / (4 + n - 1)
        t = (used.mean() - 0.05) / math.sqrt(variance / n)
        assert task.p[Word.SUPPORTED] == pytest.approx(stats.t(4 + n - 1).sf(t))
        assert task.name == name
    averaged = replace(verdict, criterion=replace(criterion, holds="average"))
    assert [task.p for task in averaged.tasks] == [task.own_p for task in averaged.tasks]


# Seeds that would decide


def test_a_look_that_is_to_come_has_its_share_and_a_plan_beyond_the_largest():
    criterion = replace(CRITERION, plan=Plan())
    seeds, shares = seeds_needed._candidates(criterion, 6)
    assert seeds.tolist() == [8.0, 13.0, 20.0, *map(float, range(21, 201))]
    assert shares.tolist() == [0.1, 0.1, 0.1, *[0.7] * 180]
    seeds, shares = seeds_needed._candidates(criterion, 20)
    assert (seeds[0], shares[0], seeds[-1]) == (21.0, 0.7, 200.0)
    seeds, _ = seeds_needed._candidates(criterion, 30)
    assert seeds[0] == 31.0
    seeds, _ = seeds_needed._candidates(criterion, 5)
    assert seeds[:3].tolist() == [8.0, 13.0, 20.0]


def test_premises_wait_for_the_slowest_of_them_unless_one_never_comes():
    waiting = undecided((0.0665,), company=0)
    assert waiting.more_seeds == 2
    untestable = replace(waiting, word=Word.NOT_TESTABLE, premise_seeds=9)
    assert _seeds_of([waiting]) == 2
    assert _seeds_of([waiting, untestable]) == _seeds_of([untestable, waiting]) == 9
    assert _seeds_of([waiting, replace(waiting, word=Word.REFUTED)]) is None
    assert _seeds_of([replace(untestable, premise_seeds=None), waiting]) is None


def test_a_resolution_has_the_figures_of_its_verdict():
    verdict = undecided((0.0665,), company=0)
    found = resolution(verdict, seeds=(5, 20))
    sd = np.std(verdict.measured.tasks["mrpc"].effects, ddof=1)
    assert found == Resolution(
        claim="ls_raises_entropy",
        word=Word.UNDECIDED,
        unit="nats",
        margin=0.05,
        effect=verdict.effect,
        spread=pytest.approx(sd),
        smallest=found.smallest,
        decided_at=7,
    )
    assert list(found.smallest) == [5, 20]
    wide = resolution(replace(verdict, prior=Prior(8.0, 0.5)), seeds=(5,))
    assert wide.spread == pytest.approx(math.sqrt((8 * 0.5 + 4 * sd**2) / 12))
    two = judge(CRITERION, effects(0.4, seeds=2))
    assert resolution(two, seeds=(5,)).decided_at == 3


# Spread


def prior_by_hand(variances, df):
    """Smyth 2004, equations of section 6, with a root finder of scipy."""
    logs = np.log([v for v in variances if np.isfinite(v) and v > 0])
    beyond = logs.var(ddof=1) - polygamma(1, df / 2)
    if beyond > polygamma(1, 10.0):
        prior_df = 2 * optimize.brentq(lambda x: polygamma(1, x) - beyond, 1e-6, 1e3, xtol=1e-12)
    else:
        prior_df = 20.0
    own = digamma(df / 2) - math.log(df / 2)
    of_prior = digamma(prior_df / 2) - math.log(prior_df / 2)
    return prior_df, math.exp(logs.mean() - own + of_prior)


@pytest.mark.parametrize("df", [1, 2, 4, 9])
def test_a_class_has_the_prior_of_its_moments(df):
    rng = np.random.default_rng(df)
    spreads_FV = rng.chisquare(df, (6, 11)) / df * np.exp(rng.normal(0, 1.5, (6, 11)))
    spreads_FV[0, 3], spreads_FV[1, 5], spreads_FV[2, :6] = np.nan, 0.0, np.nan
    found = class_prior(spreads_FV, df)
    assert found.df.shape == found.variance.shape == (6,)
    for f, variances in enumerate(spreads_FV):
        wanted = prior_by_hand(variances, df)
        assert (found.df[f], found.variance[f]) == pytest.approx(wanted, rel=1e-7)
    assert 0 < found.df.min() < found.df.max()
    few = class_prior(np.array([1.0, 2.0, 4.0, 8.0, np.inf]), df)
    assert (few.df, few.variance) == (0.0, 0.0)


def test_variances_stand_beside_a_class_of_their_own_family():
    variances_FT = np.array([[1.0, 9.0], [4.0, 0.25]])
    prior = Prior(np.array([4.0, 0.0]), np.array([3.0, 0.0]))
    lowered_FT, df_FT = moderated(variances_FT, 4, prior)
    assert lowered_FT.tolist() == [[2.0, 6.0], [4.0, 0.25]]
    assert df_FT.tolist() == [[8.0, 8.0], [4.0, 4.0]]
    assert raised(variances_FT, 4, prior)[0].tolist() == [[2.0, 9.0], [4.0, 0.25]]


# Looks


def test_the_parts_of_a_claim_on_average_are_its_mean_and_its_class_is_one_of_means():
    one, two = CRITERION, replace(CRITERION, tasks=("a", "b"))
    average, alone = replace(two, holds="average"), replace(one, holds="average")
    assert [kind_of(c) for c in (one, two, average, alone)] == [
        *(("nats", False), ("nats", False), ("nats", True), ("nats", False))
    ]
    size = np.array([[0.5, 2.0]])
    assert size_of_parts(two, size) is size
    assert size_of_parts(average, size).tolist() == [[2.0]]
    families = np.array([[[0.5, 2.0], [3.0, 1.0]]])
    assert size_of_parts(average, families).tolist() == [[[2.0], [3.0]]]
    values = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert parts_of(two, values) is values


def test_every_look_pays_its_share_and_the_smallest_p_so_far_stays():
    plan = Plan(looks=(3, 5, 8), weights=(0.5, 0.2, 0.3))
    criteria = [replace(CRITERION, claim=str(c), plan=plan) for c in range(7)]
    rng = np.random.default_rng(12)
    arrays = [Arrays(rng.normal(0.1 * c, 0.1, (2, 1, 8))) for c in range(7)]
    arrays[2] = None
    arrays[4] = Arrays(arrays[4].effects[..., :6])
    found = look_at(criteria, arrays, plan)
    assert found.p.shape == found.own.shape == (2, 7, 3, 3)
    for f in range(2):
        for c in range(7):
            best = {"p": np.ones(3), "own": np.ones(3)}
            for k, (n, share) in enumerate(zip(plan.looks, plan.weights, strict=True)):
                if arrays[c] is not None and arrays[c].effects.shape[-1] >= n:
                    like = [
                        a.effects[f, 0, :n].var(ddof=1)
                        for a in arrays
                        if a is not None and a.effects.shape[-1] >= n
                    ]
                    values = arrays[c].effects[f, :, :n]
                    size = np.abs(arrays[c].effects[f]).max(axis=-1)
                    for name, prior in (
                        ("p", class_prior(np.array(like), n - 1)),
                        ("own", NO_PRIOR),
                    ):
                        p = claim_p_values(criteria[c], sample_of(values, size, prior))
                        best[name] = np.minimum(best[name], np.minimum(1.0, p / share))
                np.testing.assert_allclose(found.p[f, c, k], best["p"], rtol=1e-9)
                np.testing.assert_allclose(found.own[f, c, k], best["own"], rtol=1e-9)
    assert found.priors[2] == [NO_PRIOR] * 3
    assert found.priors[4][2] == NO_PRIOR
    assert found.priors[0][0].df.shape == (2,)
    assert look_at(criteria, [None] * 7, plan).p.tolist() == np.ones((7, 3, 3)).tolist()


def test_no_look_is_judged_by_a_rule_but_the_one_that_is_given():
    plan = Plan(looks=(5,))
    criteria = [replace(CRITERION, claim=str(c), plan=plan) for c in range(6)]
    rng = np.random.default_rng(13)
    arrays = [Arrays(rng.normal(0.1, 0.1 * (1 + c), (1, 5))) for c in range(6)]
    usual, other = look_at(criteria, arrays, plan), look_at(criteria, arrays, plan, moderated)
    np.testing.assert_array_equal(usual.own, other.own)
    assert not np.allclose(usual.p, other.p)


def test_many_families_are_looked_at_as_one_by_one():
    plan = Plan(looks=(3, 5), weights=(0.6, 0.4))
    criteria = null_family(8, Word.EQUIVALENT, plan)
    rng = np.random.default_rng(14)
    arrays = [
        Arrays(
            rng.normal(0.0, 9.0, (4, len(c.tasks), 5)),
            (rng.normal(0.0, 10.0**c.parts, (4, len(c.tasks), 5)),),
        )
        for c in criteria
    ]
    # In one family a task's differences are equal but for rounding: they say nothing of spread.
    arrays[1].effects[2, 1] = 7.0 + 1e-15 * np.arange(5)
    arrays[3].effects[2] = 7.0 + 1e-15 * np.arange(5)
    whole = look_at(criteria, arrays, plan)
    for f in range(4):
        one = [Arrays(a.effects[f], tuple(arm[f] for arm in a.arms)) for a in arrays]
        alone = look_at(criteria, one, plan)
        np.testing.assert_allclose(whole.p[f], alone.p, rtol=1e-12)
        np.testing.assert_allclose(whole.own[f], alone.own, rtol=1e-12)
        for c in range(8):
            for got, want in zip(whole.priors[c], alone.priors[c], strict=True):
                assert np.array(got)[:, f].tolist() == pytest.approx(np.array(want).tolist())
    assert size_of_parts(criteria[3], arrays[3].size).shape == (4, 1)
    np.testing.assert_array_equal(
        size_of_parts(criteria[3], arrays[3].size)[:, 0], arrays[3].size.max(axis=1)
    )
    assert parts_of(criteria[3], arrays[3].effects).shape == (4, 1, 5)


def test_differences_that_are_equal_but_for_rounding_say_nothing_of_the_spread_of_their_class():
    plan = Plan(looks=(5,))
    criteria = [replace(CRITERION, claim=str(c), plan=plan) for c in range(6)]
    rng = np.random.default_rng(15)
    arrays = [Arrays(rng.normal(0.0, 1.0, (1, 5))) for _ in range(6)]
    usual = look_at(criteria, arrays[:5], plan).priors[0][0]
    arrays[5] = Arrays(7.0 + 1e-15 * np.arange(5.0)[None])
    assert 0 < arrays[5].effects.var() < 1e-28
    beside = look_at(criteria, arrays, plan).priors
    for prior in (beside[0][0], beside[5][0]):
        assert np.array(prior).tolist() == pytest.approx(np.array(usual).tolist())


# Guards


def test_guards_of_many_families_are_those_of_each():
    rng = np.random.default_rng(16)
    effects, arm = rng.normal(0, 1, (5, 2, 4)), rng.normal(3, 1, (5, 2, 4))
    effects[1, 0, 2], arm[2, 1, 3], arm[3, 1], effects[4, 0] = np.nan, np.inf, 0.25, 0.5
    arrays = Arrays(effects, (arm,))
    assert guards.unfit(arrays).tolist() == [False, True, True, True, True]
    np.testing.assert_array_equal(
        arrays.size[0], np.maximum(np.abs(effects[0]).max(axis=1), np.abs(arm[0]).max(axis=1))
    )
    assert guards.unfit(Arrays(effects)).tolist() == [False, True, False, False, True]
    assert guards._not_finite(arrays).tolist() == [
        *([False, False], [True, False], [False, True], [False, False], [False, False])
    ]
    assert guards._seed_ignored(Arrays(effects)).shape == (5, 2)
    assert guards._seed_ignored(arrays)[3].tolist() == [False, True]


def test_many_failed_runs_are_named_up_to_three():
    def failing(*runs):
        task = TaskEffects(seeds=(), effects=(), failed_runs=runs)
        return judge(CRITERION, Measured(tasks={"mrpc": task})).reason

    assert failing("a", "b", "c") == "Not trained is a; b; c."
    assert failing("a", "b", "a", "c", "d", "e") == "Not trained is a; b; c; 2 more."


def faults(criterion=CRITERION, **tasks):
    expected = tasks.pop("seeds_expected", None)
    contrast = tasks.pop("contrast", None)
    measured = Measured(tasks=tasks, seeds_expected=expected, contrast=contrast)
    return [(each.kind, each.detail) for each in guards._structural_faults(criterion, measured)]


TWO = replace(CRITERION, tasks=("a", "b"))
SOUND = TaskEffects(
    seeds=(0, 1, 2),
    effects=(0.5, 0.25, 0.375),
    arms={"entropy(ls)": (0.75, 0.5, 0.625), "entropy(erm)": (0.25, 0.25, 0.25)},
)


def test_every_structural_fault_is_told_in_whole_words():
    assert faults(TWO, a=SOUND, b=SOUND) == []
    assert faults(TWO, a=SOUND) == [("FewerRuns", "no runs on ['b'], registered are ['a', 'b']")]
    assert faults(TWO, a=SOUND, b=SOUND, d=SOUND, c=SOUND) == [
        ("UnregisteredRuns", "tasks ['c', 'd'] are not registered")
    ]
    twice = replace(SOUND, seeds=(1, 1, 2))
    assert faults(mrpc=twice) == [
        ("DuplicateSeeds", "seeds [1] count more than once on 'mrpc'"),
        ("FewerRuns", "seeds [0] of the first 2 registered are missing"),
    ]
    assert faults(TWO, a=SOUND, b=replace(SOUND, seeds=(0, 90, 80))) == [
        ("UnregisteredRuns", "seeds [80, 90] on 'b' are not registered"),
        ("UnequalSeeds", "tasks were run with different seeds: {'a': [0, 1, 2], 'b': [0, 80, 90]}"),
    ]
    assert faults(mrpc=replace(SOUND, degenerate_runs=("x", "y"))) == [
        ("DegenerateRun", "one class only on 'mrpc': x, y")
    ]
    assert faults(mrpc=SOUND, seeds_expected=5) == [
        ("FewerRuns", "seeds [3, 4] of the first 5 registered are missing")
    ]
    assert faults(mrpc=SOUND, seeds_expected=2) == []


def test_a_run_that_counts_twice_is_told_with_both_of_its_places():
    once = replace(SOUND, runs={"ls": ("a" * 20, "b", "c"), "erm": ("a" * 20, "d", "e")}, data="x")
    assert faults(TWO, a=once, b=replace(SOUND, data="y")) == []
    again = replace(SOUND, runs={"ls": ("f", "g", "a" * 20)}, data="x")
    assert faults(TWO, a=once, b=again) == [
        ("RunTwice", f"run {'a' * 12} of ls counts as seed 0 on 'a' and as seed 2 on 'b'"),
        ("SameData", "'a' and 'b' are tested on the same examples"),
    ]


def test_a_reading_outside_its_range_is_told_and_rounding_is_none():
    def of(value, low=0.0, high=1.0):
        task = replace(SOUND, arms={"ls": (0.5, value, 0.5)}, limits={"ls": (low, high)})
        return faults(mrpc=task)

    for value in (0.0, 1.0, 1.0 + 0.9e-9, -0.9e-9):
        assert of(value) == []
    assert of(1.25) == [("OutOfRange", "ls is 1.25 with seed 1 on 'mrpc', outside 0 to 1")]
    assert of(-1.2e-9) == [("OutOfRange", "ls is -1.2e-09 with seed 1 on 'mrpc', outside 0 to 1")]
    assert of(1 + 1.2e-9) != []
    assert of(1e3 + 0.9e-6, high=1e3) == []
    assert of(1e3 + 1.2e-6, high=1e3) != []


def test_effects_that_do_not_follow_from_their_arms_are_told():
    criterion = replace(CRITERION, contrast=CONTRAST.text)
    names = [
        each.text
        for each in (
            reading("accuracy", Arm("ls", "small")),
            reading("accuracy", Arm("erm", "small")),
        )
    ]
    sound = replace(SOUND, arms=dict(zip(names, SOUND.arms.values(), strict=True)))

    def of(task, criterion=criterion):
        return faults(criterion, mrpc=task, contrast=CONTRAST)

    assert of(sound) == []
    assert of(sound, CRITERION) == [
        ("NotTheDifference", f"measured is {CONTRAST.text}, registered ")
    ]
    assert of(replace(sound, effects=(0.5, 0.2, 0.375))) == [
        (
            "NotTheDifference",
            "the effect +0.2 with seed 1 on 'mrpc' is not the contrast of its arms, +0.25",
        )
    ]
    assert of(replace(sound, effects=(0.5 + 0.9e-9, 0.25, 0.375))) == []
    assert of(replace(sound, effects=(0.5 + 1.2e-9, 0.25, 0.375))) != []
    assert of(replace(sound, effects=(math.nan, 0.25, 0.375))) == []
    bare = replace(sound, arms={names[0]: sound.arms[names[0]]})
    assert of(bare) == [("NotTheDifference", f"there are no values of {names[1]!r} on 'mrpc'")]


def test_what_the_values_show_is_told_with_tasks_and_seeds():
    def reason(first, second, arms=None, seeds=3):
        def task(values, at):
            held = {} if arms is None else {"ls": arms[at]}
            return TaskEffects(seeds=tuple(range(seeds)), effects=values, arms=held)

        return judge(TWO, Measured(tasks={"a": task(first, 0), "b": task(second, 1)})).reason

    same, unlike = (0.1, 0.1, 0.1), (0.1, 0.2, 0.4)
    assert reason(same, same) == "All paired differences are equal on 'a', 'b' (3 seeds)."
    assert reason(unlike, same) == "All paired differences are equal on 'b' (3 seeds)."
    assert reason(unlike, (0.1, math.nan, 0.2)) == "A value is not finite on 'b' (3 seeds)."
    assert reason(unlike, unlike, (unlike, (math.inf, 1.0, 2.0))) == (
        "A value is not finite on 'b' (3 seeds)."
    )
    assert reason(unlike, unlike, (unlike, (0.7, 0.7, 0.7))) == (
        "All seeds gave one value in an arm on 'b' (3 seeds)."
    )
    moved = (0.7, 0.7, 0.7 * (1 + 1.2e-6))
    assert "one value" not in reason(unlike, unlike, (unlike, moved))
    still = (0.7, 0.7, 0.7 * (1 + 0.9e-6))
    assert "one value" in reason(unlike, unlike, (unlike, still))


def test_arrays_are_in_registered_order_with_their_size():
    criterion = replace(TWO, seeds=(*range(5, 15), *range(5)))
    one = TaskEffects(seeds=(0, 6, 5), effects=(1.0, 2.0, 3.0), arms={"ls": (7.0, -8.0, 9.0)})
    two = TaskEffects(seeds=(5, 6, 0), effects=(4.0, 5.0, -6.0), arms={"ls": (1.0, 1.0, 1.0)})
    found = guards.as_arrays(criterion, Measured(tasks={"b": two, "a": one}))
    assert found.effects.tolist() == [[3.0, 2.0, 1.0], [4.0, 5.0, -6.0]]
    assert [arm.tolist() for arm in found.arms] == [[[9.0, -8.0, 7.0], [1.0, 1.0, 1.0]]]
    assert found.size.tolist() == [9.0, 6.0]


# Published figures


def test_a_comparison_keeps_what_it_was_made_from_and_holds_at_its_edges():
    found = compare_with_published(0.31, [0.30, 0.33, 0.29], half_width=0.005, level=0.9)
    assert (found.published, found.half_width, found.values, found.level) == (
        *(0.31, 0.005, (0.30, 0.33, 0.29), 0.9),
    )
    values = np.array(found.values)
    reach = stats.t(2).ppf(0.95) * values.std(ddof=1) * math.sqrt(1 + 1 / 3)
    assert found.interval == pytest.approx((values.mean() - reach, values.mean() + reach))
    low, high = found.interval
    for published in (low, high):
        assert replace(found, published=published, half_width=0.0).word == "CONSISTENT"
