"""What a family cannot be judged with is refused, in the whole of the words that a reader gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcheck.errors import ClaimError, InputError
from kdcheck.verdict import (
    Criterion,
    Measured,
    Plan,
    TaskEffects,
    compare_with_published,
    judge,
    judge_family,
)
from kdcheck.verdict import calibration as cal
from tests.verdict_doubles import CRITERION

SOUND = TaskEffects(
    seeds=(0, 1, 2),
    effects=(0.4, 0.41, 0.39),
    arms={"ls": (0.6, 0.62, 0.59), "erm": (0.2, 0.21, 0.2)},
)


def refusal(raised, act):
    """The words of the error that is raised."""
    with pytest.raises(raised) as refused:
        act()
    return str(refused.value)


DIRECTIONS = (
    "one of ['above', 'not_below', 'within']. See docs/verdicts.md for what each kind means."
)
TURN = (
    "a finite margin >= 0. Turn the contrast round if the claim says that the effect is negative."
)
SEEDS = "at least 10, each once. The last planned look needs them."
ONE_TASK = "a count from 1 to 1. A claim cannot need more tasks than it has."
TASKS = "at least one task, each once. List the tasks of this scale."


@pytest.mark.parametrize(
    ("changes", "got", "wanted"),
    [
        ({"margin": -0.1}, "margin -0.1", TURN),
        ({"margin": float("nan")}, "margin nan", TURN),
        (
            {"direction": "within", "margin": 0},
            "margin 0 for direction='within'",
            "a positive margin. No number of seeds shows that an effect is exactly zero.",
        ),
        ({"direction": "beyond"}, "direction='beyond'", DIRECTIONS),
        (
            {"because": " "},
            "no reason for the margin",
            "a sentence. Say in `because` why a smaller effect would not matter.",
        ),
        ({"tasks": ()}, "tasks ()", TASKS),
        ({"tasks": ("a", "a")}, "tasks ('a', 'a')", TASKS),
        (
            {"holds": "all"},
            "holds='all'",
            "one of every, most, some, average, or a count. Name the quantifier.",
        ),
        ({"holds": 2}, "holds=2", ONE_TASK),
        ({"holds": 0}, "holds=0", ONE_TASK),
        ({"seeds": (0, 1, 2)}, "3 distinct seeds in 3", SEEDS),
        ({"seeds": (0,) * 10}, "1 distinct seeds in 10", SEEDS),
    ],
)
def test_a_criterion_that_cannot_be_judged_is_refused(changes, got, wanted):
    words = refusal(ClaimError, lambda: replace(CRITERION, **changes))
    assert words == f"criterion of 'ls_raises_entropy': got {got}; wanted {wanted}"


def test_a_criterion_needs_a_name_and_known_fields():
    assert refusal(ClaimError, lambda: replace(CRITERION, claim="")) == (
        "criterion of '': got no claim id; wanted an id. Give the claim a name."
    )
    stored = {**CRITERION.to_dict(), "power": 0.8}
    assert refusal(ClaimError, lambda: Criterion.from_dict(stored)) == (
        "Criterion.from_dict: got unknown fields ['power']; wanted a criterion of this version. "
        "Was it written by a newer kdcheck?"
    )


LOOKS = (
    "rising numbers of seeds, the first at least 2. "
    "A t test needs two differences; Plan.of(5) is the usual plan."
)
SHARES = (
    "one positive share for each look, together at most 1. "
    "Leave them out: the first look gets 0.7, the others share the rest."
)
ATTEMPT = "a whole number from 1. kdcheck lock counts the attempts."
RATES = "rates between 0 and 0.5. The usual rate is 0.025 for each word."


@pytest.mark.parametrize(
    ("changes", "got", "wanted"),
    [
        ({"looks": ()}, "looks = ()", LOOKS),
        ({"looks": (1, 3)}, "looks = (1, 3)", LOOKS),
        ({"looks": (3, 3)}, "looks = (3, 3)", LOOKS),
        ({"weights": (1.0,)}, "weights = (1.0,) for 4 looks", SHARES),
        (
            {"weights": (0.5, 0.4, 0.1, 0.1)},
            "weights = (0.5, 0.4, 0.1, 0.1) for 4 looks",
            SHARES,
        ),
        (
            {"weights": (0.9, 0.1, 0.0, 0.0)},
            "weights = (0.9, 0.1, 0.0, 0.0) for 4 looks",
            SHARES,
        ),
        ({"attempt": 0}, "attempt = 0", ATTEMPT),
        ({"attempt": 1.5}, "attempt = 1.5", ATTEMPT),
        ({"supported": 0.0}, "rates 0.0, 0.025, 0.025", RATES),
        ({"refuted": 0.5}, "rates 0.025, 0.5, 0.025", RATES),
        ({"equivalent": -0.1}, "rates 0.025, 0.025, -0.1", RATES),
    ],
)
def test_a_plan_that_cannot_be_judged_is_refused(changes, got, wanted):
    assert refusal(ClaimError, lambda: Plan(**changes)) == f"Plan: got {got}; wanted {wanted}"


OTHER = replace(CRITERION, claim="other")
PREMISE = "Check its id, or judge it beside this claim."


@pytest.mark.parametrize(
    ("criteria", "measured", "words"),
    [
        (
            [],
            {},
            (
                "claims []; wanted at least one claim, each once. "
                "Two criteria of one claim are two claims: give each its own id."
            ),
        ),
        (
            [CRITERION, CRITERION],
            {},
            (
                "claims ['ls_raises_entropy', 'ls_raises_entropy']; wanted at least one claim, each once. "
                "Two criteria of one claim are two claims: give each its own id."
            ),
        ),
        (
            [CRITERION],
            {"x": None},
            "evidence for ['x']; wanted a criterion for each. Register the claim before its first run.",
        ),
        (
            [CRITERION, replace(OTHER, plan=Plan(looks=(3, 5)))],
            {},
            (
                "2 different plans; wanted one plan per family. "
                "Looks and error rates belong to the family, not to a claim."
            ),
        ),
        (
            [CRITERION, replace(OTHER, paper="another")],
            {},
            (
                "claims of 2 papers or scales: [('', 'embedded'), ('another', 'embedded')]; "
                "wanted one paper at one scale. "
                "Claims pay for each other within a family alone: judge each family by itself."
            ),
        ),
        (
            [replace(CRITERION, rests_on=("other",)), replace(OTHER, rests_on=(CRITERION.claim,))],
            {},
            (
                "ls_raises_entropy rests on other rests on ls_raises_entropy; wanted premises that do "
                "not rest on it. Drop one of these from rests_on."
            ),
        ),
    ],
)
def test_a_family_that_is_no_family_is_refused(criteria, measured, words):
    assert refusal(ClaimError, lambda: judge_family(criteria, measured)) == (
        f"judge_family: got {words}"
    )


def test_a_premise_of_another_family_is_refused():
    resting = replace(CRITERION, rests_on=("learned",))
    assert refusal(ClaimError, lambda: judge_family([resting], {})) == (
        "criterion of 'ls_raises_entropy': got the premise 'learned'; wanted a claim of the same "
        f"family. {PREMISE}"
    )


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            lambda: replace(SOUND, arms={"ls": (0.6, 0.62)}),
            (
                "TaskEffects: got 2 values of 'ls' for 3 seeds; wanted one value per seed. "
                "Pair each value with the seed that made it."
            ),
        ),
        (
            lambda: replace(SOUND, limits={"kd": (0.0, 1.0)}),
            (
                "TaskEffects: got limits of ['kd']; wanted limits of its arms, ls, erm. "
                "Name them as the arms are named."
            ),
        ),
        (
            lambda: replace(SOUND, arms={}, limits={"kd": (0.0, 1.0)}),
            (
                "TaskEffects: got limits of ['kd']; wanted limits of its arms, of which it has none. "
                "Name them as the arms are named."
            ),
        ),
        (
            lambda: Measured(tasks={"mrpc": SOUND, "sst2": replace(SOUND, arms={})}),
            (
                "Measured: got arms [(), ('erm', 'ls')]; wanted the same arms on every task. "
                "Name the two sides of the contrast alike on each task."
            ),
        ),
    ],
)
def test_measurements_that_do_not_belong_together_are_refused(act, words):
    assert refusal(InputError, act) == words


def judged(seeds):
    task = TaskEffects(seeds=tuple(range(seeds)), effects=(0.4, 0.41, 0.39)[:seeds])
    return judge(CRITERION, Measured(tasks={"mrpc": task}))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: judged(1).interval(), "got 1 seed; wanted at least 2. Run more seeds."),
        (lambda: judged(3).interval(95), "got level 95; wanted 0 < level < 1. Try 0.95."),
        (
            lambda: judged(3).interval(task="qnli"),
            "got task 'qnli'; wanted one of ('mrpc',). Name a registered task.",
        ),
    ],
)
def test_an_interval_that_cannot_be_is_refused(act, words):
    assert refusal(InputError, act) == f"Verdict.interval: {words}"


def test_a_verdict_without_evidence_has_no_interval():
    assert refusal(InputError, judge(CRITERION, None).interval) == (
        "verdict on 'ls_raises_entropy': got NOT_RUN; wanted evidence that could be judged. "
        "Look at .reason first."
    )


LEVEL = "0 < level < 1 and half_width >= 0. The usual level is 0.95."
SPREAD = "two or more finite values that differ. A prediction interval needs the spread over seeds."


@pytest.mark.parametrize(
    ("values", "changes", "words"),
    [
        ((0.3,), {}, f"1 values (0.3,); wanted {SPREAD}"),
        ((0.3, 0.3), {}, f"2 values (0.3, 0.3); wanted {SPREAD}"),
        ((0.3, float("inf")), {}, f"2 values (0.3, inf); wanted {SPREAD}"),
        ((0.3, 0.4), {"level": 95}, f"level 95, half_width 0.0; wanted {LEVEL}"),
        ((0.3, 0.4), {"half_width": -0.1}, f"level 0.95, half_width -0.1; wanted {LEVEL}"),
    ],
)
def test_a_published_figure_that_cannot_be_compared_is_refused(values, changes, words):
    assert refusal(InputError, lambda: compare_with_published(0.3, values, **changes)) == (
        f"compare_with_published: got {words}"
    )


@pytest.mark.parametrize(("families", "claims", "seed"), [(0, 12, 0), (9, 0, 0), (9, 12, -1)])
def test_a_simulation_of_nothing_is_refused(families, claims, seed):
    assert refusal(InputError, lambda: cal.check_numbers(families, claims, seed)) == (
        f"calibrate: got {families} families of {claims} claims, seed {seed}; wanted at least one "
        "family and one claim, and a seed >= 0. The documented table has 2000 families of 12 claims."
    )
