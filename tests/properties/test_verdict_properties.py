"""What must hold of verdicts whatever was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from verdict_strategies import claims, criteria, families, measurements, p_values, powers_of_two

from kdcheck.verdict import (
    Criterion,
    Measured,
    Plan,
    TaskEffects,
    Verdict,
    Word,
    judge,
    judge_family,
)
from kdcheck.verdict.guards import Arrays, as_arrays
from kdcheck.verdict.looks import look_at
from kdcheck.verdict.p_values import holm, partial_conjunction, region_p_value, sample_of
from kdcheck.verdict.words import DECIDING, REGIONS

SHOWN = set(DECIDING)
few = settings(max_examples=30)  # several families are judged per example


def transformed(measured, change):
    tasks = {
        name: replace(task, effects=tuple(change(x) for x in task.effects))
        for name, task in measured.tasks.items()
    }
    return replace(measured, tasks=tasks)


@given(claims(), powers_of_two)
def test_a_change_of_unit_changes_no_verdict(claim, factor):
    criterion, measured = claim
    before = judge(criterion, measured)
    after = judge(
        replace(criterion, margin=criterion.margin * factor),
        transformed(measured, lambda x: x * factor),
    )
    # A power of two scales without rounding, so even the p values are equal to the last bit.
    assert (after.word, after.adjusted_p) == (before.word, before.adjusted_p)


@few
@given(families(), st.randoms(use_true_random=False))
def test_the_order_of_seeds_tasks_and_claims_changes_no_verdict(family, random):
    criteria_in_order, measured = family
    shuffled_measured = {}
    for criterion in criteria_in_order:
        names = list(measured[criterion.claim].tasks)
        random.shuffle(names)
        tasks = {}
        for name in names:
            task = measured[criterion.claim].tasks[name]
            order = list(range(len(task.seeds)))
            random.shuffle(order)
            tasks[name] = replace(
                task,
                seeds=tuple(task.seeds[i] for i in order),
                effects=tuple(task.effects[i] for i in order),
            )
        shuffled_measured[criterion.claim] = Measured(tasks=tasks)
    shuffled_criteria = random.sample(criteria_in_order, len(criteria_in_order))
    before = judge_family(criteria_in_order, measured)
    after = judge_family(shuffled_criteria, shuffled_measured)
    for claim, verdict in before.items():
        assert after[claim].word == verdict.word
        assert after[claim].adjusted_p == verdict.adjusted_p
        assert after[claim].effect == verdict.effect


@given(claims(direction=st.just("above")))
def test_turning_the_contrast_round_swaps_supported_and_refuted(claim):
    criterion, measured = claim
    # "At least u of m rise" turned round is broken where "at least m - u + 1 fall" holds.
    dual = replace(criterion, holds=len(criterion.tasks) - criterion.needed + 1)
    there, back = judge(criterion, measured), judge(dual, transformed(measured, lambda x: -x))
    assert there.adjusted_p[Word.SUPPORTED] == back.adjusted_p[Word.REFUTED]
    assert there.adjusted_p[Word.REFUTED] == back.adjusted_p[Word.SUPPORTED]
    swap = {Word.SUPPORTED: Word.REFUTED, Word.REFUTED: Word.SUPPORTED}
    if len(criterion.tasks) == 1:
        assert back.word == swap.get(there.word, there.word)


@few
@given(families(), claims(claim="newcomer", unit="another"))
def test_more_claims_of_another_unit_never_decide_an_undecided_one(family, newcomer):
    small, measured = family
    criterion, new = newcomer
    before = judge_family(small, measured)
    after = judge_family([*small, criterion], {**measured, criterion.claim: new})
    for claim, verdict in before.items():
        if verdict.word is Word.UNDECIDED:
            assert after[claim].word is Word.UNDECIDED
        for word in DECIDING:
            assert after[claim].rivals[word] >= verdict.rivals[word]


@few
@given(families())
def test_a_claim_that_is_not_run_costs_as_much_as_one_that_is(family):
    registered, measured = family
    absent = judge_family(registered, {})
    assert {v.word for v in absent.values()} == {Word.NOT_RUN}
    alone = {registered[0].claim: measured[registered[0].claim]}
    verdict = judge_family(registered, alone)[registered[0].claim]
    assert verdict.family_size == len(registered)
    single = judge(registered[0], measured[registered[0].claim])
    if single.word is Word.UNDECIDED:
        assert verdict.word is Word.UNDECIDED


@given(st.data())
def test_one_more_task_never_makes_every_easier_to_support(data):
    more = data.draw(criteria(tasks=st.integers(2, 4)))
    more = replace(more, holds="every")
    fewer = replace(more, tasks=more.tasks[:-1])
    seen = as_arrays(more, data.draw(measurements(more)))
    # Of fewer than five variances no class is made, so each task stands by itself.
    p_more = look_at([more], [seen], more.plan).own[0]
    p_fewer = look_at([fewer], [Arrays(seen.effects[:-1])], fewer.plan).own[0]
    supported = DECIDING.index(Word.SUPPORTED)
    assert (p_more[:, supported] >= p_fewer[:, supported]).all()


@few
@given(st.data())
def test_seeds_after_the_deciding_look_do_not_change_the_word(data):
    criterion = data.draw(criteria())
    measured = data.draw(measurements(criterion, seeds=st.just(10)))
    earlier = None
    for count in range(3, 11):
        tasks = {
            name: replace(task, seeds=task.seeds[:count], effects=task.effects[:count])
            for name, task in measured.tasks.items()
        }
        verdict = judge(criterion, Measured(tasks=tasks))
        assert verdict.seeds_used in criterion.plan.looks
        assert verdict.seeds_used <= count
        if earlier is not None and earlier.word in SHOWN:
            assert (verdict.word, verdict.seeds_used) == (earlier.word, earlier.seeds_used)
        earlier = verdict


@few
@given(families())
def test_a_verdict_survives_json_and_judging_again(family):
    registered, measured = family
    for verdict in judge_family(registered, measured).values():
        back = Verdict.from_dict(json.loads(verdict.to_json()))
        assert back == verdict
        assert back.to_json() == verdict.to_json()
        assert back.reason == verdict.reason
        assert back.criterion.digest == verdict.criterion.digest


@few
@given(families())
def test_company_never_gives_a_word_that_a_claim_could_not_get_by_itself(family):
    registered, measured = family
    verdicts = judge_family(registered, measured)
    for criterion in registered:
        together = verdicts[criterion.claim]
        # Alone there is no class of five variances and no family to pay for.
        alone = judge(criterion, measured[criterion.claim])
        assert together.word not in DECIDING or alone.word in DECIDING
        assert alone.seeds_used <= together.seeds_used
        # A claim that must pay may wait for a later look, where its p is smaller than it was before.
        if together.seeds_used == alone.seeds_used:
            for word in DECIDING:
                assert together.adjusted_p[word] >= alone.adjusted_p[word] * (1 - 1e-9)


def test_a_claim_that_company_makes_wait_is_shown_by_the_look_that_it_waited_for():
    plan = Plan(looks=(3, 5, 7, 10), weights=(0.4, 0.3, 0.2, 0.1))
    one = Criterion(claim="one", tasks=("a",), margin=3 / 32, because="b", unit="nats", plan=plan)
    close = (-0.046875, -0.0458984375, -0.0595703125, -0.0478515625, -0.044921875)
    measured = Measured(tasks={"a": TaskEffects(seeds=tuple(range(5)), effects=close)})
    alone = judge(one, measured)
    together = judge_family([one, replace(one, claim="other")], {"one": measured})["one"]
    assert [alone.seeds_used, together.seeds_used] == [3, 5]
    assert alone.word == together.word == Word.EQUIVALENT


@given(claims())
def test_intervals_grow_with_their_level_and_hold_the_effect(claim):
    verdict = judge(*claim)
    wide, narrow = verdict.interval(0.99), verdict.interval(0.8)
    assert wide.low <= narrow.low <= narrow.high <= wide.high
    assert narrow.low <= verdict.effect <= narrow.high


@given(arrays(np.float64, st.integers(1, 12), elements=p_values))
def test_holm_equals_statsmodels(p_C):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    with patch("gc.collect"):  # it collects garbage on each call: 60 ms where torch is loaded
        theirs = multitest.multipletests(p_C, method="holm")[1]
    np.testing.assert_allclose(holm(p_C), theirs, rtol=1e-12)


@given(arrays(np.float64, st.integers(1, 12), elements=p_values), st.floats(0, 1))
def test_a_smaller_p_makes_no_adjusted_p_larger(p_C, factor):
    smaller = p_C.copy()
    smaller[0] *= factor
    assert (holm(smaller) <= holm(p_C)).all()
    assert (holm(p_C) >= p_C).all()


@given(
    arrays(
        np.float64, st.integers(2, 10), elements=st.integers(-512, 512).map(lambda k: k / 64)
    ).filter(lambda x: np.ptp(x) > 0),
    st.integers(1, 64).map(lambda k: k / 32),
)
def test_equivalence_equals_tost_of_statsmodels(effects_S, margin):
    stats = pytest.importorskip("statsmodels.stats.weightstats")
    sample = sample_of(effects_S[None], np.abs(effects_S).max(keepdims=True))
    (ours,) = region_p_value(sample, REGIONS["within"][Word.SUPPORTED], margin)
    theirs = stats.DescrStatsW(effects_S).ttost_mean(-margin, margin)[0]
    # Both divide a mean of exact figures by a standard error; the tail of Student's t magnifies the
    # error of t by at most n * t / (1 + t) < 10 relative: 1e-9 leaves room for cancellation.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-300)


@given(arrays(np.float64, st.integers(1, 8), elements=p_values))
def test_asking_for_more_tasks_never_gives_a_smaller_p_than_any_valid_shortcut(p_T):
    tasks = len(p_T)
    assert partial_conjunction(p_T, tasks) == p_T.max()
    assert partial_conjunction(p_T, 1) == min(1.0, tasks * p_T.min())
    for needed in range(1, tasks + 1):
        assert partial_conjunction(p_T, needed) >= np.sort(p_T)[needed - 1]


@given(claims())
def test_a_word_is_given_exactly_where_its_p_is_within_its_rate(claim):
    verdict = judge(*claim)
    within = {
        word for word in DECIDING if verdict.adjusted_p[word] <= verdict.criterion.plan.rate(word)
    }
    assert verdict.word in within or (verdict.word is Word.UNDECIDED and not within)
