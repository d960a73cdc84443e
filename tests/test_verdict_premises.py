"""What rests on a premise is testable only where the premise is SUPPORTED."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kdcheck.errors import ClaimError
from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects, Verdict, Word, judge_family
from kdcheck.verdict.premises import premises_first

SCATTER = np.array([0.01, -0.012, 0.004, -0.007, 0.005, 0.011, -0.003, -0.008, 0.002, -0.002])
CLAIM = Criterion(
    claim="kd_helps", tasks=("mrpc",), margin=0.05, because="a test", unit="nats",
    rests_on=("larger_is_surer",), plan=Plan(looks=(5, 10)),
)  # fmt: skip
PREMISE = replace(CLAIM, claim="larger_is_surer", rests_on=())
OTHER = replace(CLAIM, claim="other", rests_on=())


def around(centre, seeds=5, spread=1.0):
    effects = tuple((centre + spread * SCATTER[:seeds]).tolist())
    return Measured(tasks={"mrpc": TaskEffects(seeds=tuple(range(seeds)), effects=effects)})


EQUAL = Measured(tasks={"mrpc": TaskEffects(seeds=tuple(range(5)), effects=(0.1,) * 5)})


@pytest.mark.parametrize(
    ("premise", "word"),
    [
        (around(-0.4), Word.REFUTED),
        (around(0.0, spread=0.1), Word.EQUIVALENT),
        (around(0.05), Word.UNDECIDED),
        (EQUAL, Word.INVALID),
        (None, Word.NOT_RUN),
    ],
)
def test_a_claim_is_not_testable_where_its_premise_is_anything_but_supported(premise, word):
    found = judge_family([CLAIM, PREMISE], {"kd_helps": around(0.4), "larger_is_surer": premise})
    assert found["larger_is_surer"].word is word
    verdict = found["kd_helps"]
    assert verdict.word is Word.NOT_TESTABLE
    assert verdict.reason == verdict.untestable
    assert f"It rests on 'larger_is_surer', which is {word}" in verdict.reason
    # Its own figures are shown all the same.
    assert verdict.effect == pytest.approx(0.4)
    assert verdict.interval().low < 0.4 < verdict.interval().high
    back = Verdict.from_dict(json.loads(verdict.to_json()))
    assert (back, back.reason, back.more_seeds) == (verdict, verdict.reason, verdict.more_seeds)


def test_the_sentence_has_the_figures_of_the_premise():
    found = judge_family(
        [CLAIM, PREMISE], {"kd_helps": around(0.4), "larger_is_surer": around(-0.4)}
    )
    premise = found["larger_is_surer"]
    low, high = premise.interval()
    assert found["kd_helps"].reason == (
        "It rests on 'larger_is_surer', which is REFUTED: "
        f"{premise.effect:+.3g} [{low:+.3g}, {high:+.3g}] nats, where above +0.05 was claimed."
    )


def test_a_claim_whose_premise_is_supported_has_its_own_word():
    for effect, word in ((0.4, Word.SUPPORTED), (-0.4, Word.REFUTED), (0.05, Word.UNDECIDED)):
        found = judge_family(
            [CLAIM, PREMISE], {"kd_helps": around(effect), "larger_is_surer": around(0.4)}
        )
        assert found["kd_helps"].word is word
        assert found["kd_helps"].untestable == ""


def test_premises_of_premises_count_and_the_root_is_named():
    root = replace(PREMISE, claim="root")
    middle = replace(PREMISE, rests_on=("root",))
    measured = {
        "kd_helps": around(0.4), "larger_is_surer": around(0.4), "root": around(-0.4),
    }  # fmt: skip
    found = judge_family([CLAIM, middle, root], measured)
    assert [found[c].word for c in ("root", "larger_is_surer", "kd_helps")] == [
        *(Word.REFUTED, Word.NOT_TESTABLE, Word.NOT_TESTABLE)
    ]
    assert "'larger_is_surer', which is NOT_TESTABLE itself" in found["kd_helps"].reason
    assert "'root', which is REFUTED" in found["kd_helps"].reason


def test_an_undecided_premise_says_how_many_seeds_and_a_failed_one_that_none_would():
    def more(premise, claim=0.4):
        measured = {"kd_helps": around(claim), "larger_is_surer": premise}
        found = judge_family([CLAIM, PREMISE], measured)
        return found["kd_helps"].more_seeds, found["larger_is_surer"].more_seeds

    of_claim, of_premise = more(around(0.062, spread=1.5))
    assert of_claim == of_premise
    assert of_claim > 0
    assert more(around(-0.4))[0] is None
    assert more(None)[0] is None
    # The farther of two premises counts.
    second = replace(PREMISE, claim="second")
    both = replace(CLAIM, rests_on=("larger_is_surer", "second"))
    near, far = around(0.066), around(0.0585, spread=1.5)
    measured = {"kd_helps": around(0.4), "larger_is_surer": near, "second": far}
    found = judge_family([both, PREMISE, second], measured)
    counts = [found[c].more_seeds for c in ("larger_is_surer", "second")]
    assert {found[c].word for c in ("larger_is_surer", "second")} == {Word.UNDECIDED}
    assert found["kd_helps"].more_seeds == max(counts) > min(counts)


def test_what_is_invalid_or_was_not_run_stays_so_whatever_its_premise():
    for measured, word in ((EQUAL, Word.INVALID), (None, Word.NOT_RUN)):
        found = judge_family(
            [CLAIM, PREMISE], {"kd_helps": measured, "larger_is_surer": around(-0.4)}
        )
        assert found["kd_helps"].word is word


def test_a_claim_that_is_not_testable_still_costs_the_others():
    alone = judge_family([OTHER], {"other": around(0.06)})["other"]
    measured = {"other": around(0.06), "kd_helps": around(0.4), "larger_is_surer": around(-0.4)}
    found = judge_family([OTHER, CLAIM, PREMISE], measured)
    assert found["kd_helps"].word is Word.NOT_TESTABLE
    assert found["other"].p_supported > 1.9 * alone.p_supported


def test_gating_takes_words_back_and_moves_no_p_value():
    measured = {"kd_helps": around(0.4), "larger_is_surer": around(-0.4)}
    gated = judge_family([CLAIM, PREMISE], measured)
    free = judge_family([replace(CLAIM, rests_on=()), PREMISE], measured)
    assert gated["kd_helps"].adjusted_p == free["kd_helps"].adjusted_p
    assert free["kd_helps"].word is Word.SUPPORTED


@pytest.mark.parametrize(
    ("criteria", "fact"),
    [
        ([CLAIM], "the premise 'larger_is_surer'"),
        ([replace(CLAIM, rests_on=("kd_helps",))], "kd_helps rests on kd_helps"),
        (
            [CLAIM, replace(PREMISE, rests_on=("other",)), replace(OTHER, rests_on=("kd_helps",))],
            "kd_helps rests on larger_is_surer rests on other rests on kd_helps",
        ),
    ],
)
def test_unknown_premises_and_circles_are_refused(criteria, fact):
    with pytest.raises(ClaimError) as refused:
        judge_family(criteria, {})
    assert fact in str(refused.value)


def test_premises_are_placed_before_what_rests_on_them():
    criteria = [CLAIM, OTHER, PREMISE]
    assert [c.claim for c in premises_first(criteria)] == ["larger_is_surer", "kd_helps", "other"]
    found = judge_family(criteria, {})
    assert list(found) == [c.claim for c in criteria], "verdicts keep the order of the criteria"


def test_reasons_to_be_exploratory_reach_their_verdicts():
    reasons = {"kd_helps": ("Its margin was moved.", "The seeds are others.")}
    measured = {"kd_helps": around(0.4), "larger_is_surer": around(-0.4)}
    found = judge_family([CLAIM, PREMISE], measured, exploratory=reasons)
    assert found["kd_helps"].exploratory == reasons["kd_helps"]
    assert (found["kd_helps"].standing, found["larger_is_surer"].standing) == (
        *("EXPLORATORY", "CONFIRMATORY"),
    )
