"""Each guard catches its planted fault, and lets sound evidence pass."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kdcheck.errors import InputError
from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects, Word, judge
from kdcheck.verdict.guards import FAULTS

CRITERION = Criterion(
    claim="ls_raises_entropy",
    tasks=("mrpc", "sst2"),
    margin=0.05,
    because="a test",
    unit="nats",
)
SEEDS = (0, 1, 2, 3, 4)
LS = (0.71, 0.69, 0.72, 0.70, 0.68)
ERM = (0.20, 0.22, 0.21, 0.19, 0.23)
SOUND = TaskEffects(
    seeds=SEEDS,
    effects=tuple(ls - erm for ls, erm in zip(LS, ERM, strict=True)),
    arms={"ls": LS, "erm": ERM},
)


def measured(**changes):
    """Sound evidence on both tasks, with changes to the second."""
    return Measured(tasks={"mrpc": SOUND, "sst2": replace(SOUND, **changes)}, seeds_expected=5)


def fault_of(evidence, *, criterion=CRITERION, registered_digest=None):
    verdict = judge(criterion, evidence, registered_digest=registered_digest)
    assert verdict.word is Word.INVALID
    assert verdict.effect is None
    assert verdict.p_supported == verdict.p_refuted == verdict.p_equivalent == 1
    assert "Likely causes" in verdict.fault.advice
    return verdict.fault.kind, verdict.reason


def test_sound_evidence_passes_every_guard():
    verdict = judge(CRITERION, measured(), registered_digest=CRITERION.digest)
    assert (verdict.word, verdict.fault) == (Word.SUPPORTED, None)


@pytest.mark.parametrize("task", CRITERION.tasks)
def test_seeds_count_in_registered_order_in_whatever_order_a_task_was_measured(task):
    order = (3, 0, 4, 2, 1)
    shuffled = TaskEffects(
        seeds=order,
        effects=tuple(SOUND.effects[seed] for seed in order),
        arms={name: tuple(arm[seed] for seed in order) for name, arm in SOUND.arms.items()},
    )
    tasks = dict.fromkeys(CRITERION.tasks, SOUND) | {task: shuffled}
    found, sound = judge(CRITERION, Measured(tasks=tasks)), judge(CRITERION, measured())
    assert (found.adjusted_p, found.tasks) == (sound.adjusted_p, sound.tasks)


def test_a_seed_that_counts_twice_is_named():
    kind, reason = fault_of(measured(seeds=(0, 1, 2, 3, 3)))
    assert kind == "DuplicateSeeds"
    assert "[3]" in reason
    assert "'sst2'" in reason


def test_five_identical_differences_are_not_judged():
    kind, reason = fault_of(measured(effects=(0.5,) * 5))
    assert kind == "IdenticalDifferences"
    assert "5 seeds" in reason


def test_differences_that_differ_by_rounding_alone_are_identical():
    other = tuple(x + 0.1 for x in ERM)
    effects = tuple(a - b for a, b in zip(other, ERM, strict=True))
    assert len(set(effects)) > 1
    kind, _ = fault_of(measured(effects=effects, arms={"ls": other, "erm": ERM}))
    assert kind == "IdenticalDifferences"


def test_two_arms_that_are_one_recipe_up_to_rounding_are_identical():
    # The size of the differences says nothing here; that of the arms tells rounding from effect.
    other = tuple(x * (1 + k * 2**-52) for k, x in enumerate(ERM))
    effects = tuple(a - b for a, b in zip(other, ERM, strict=True))
    assert len(set(effects)) > 1
    kind, _ = fault_of(measured(effects=effects, arms={"ls": other, "erm": ERM}))
    assert kind == "IdenticalDifferences"


def test_a_metric_that_ignores_its_seed_is_not_judged():
    constant = (0.7,) * 5
    effects = tuple(0.7 - erm for erm in ERM)
    kind, reason = fault_of(measured(effects=effects, arms={"ls": constant, "erm": ERM}))
    assert kind == "SeedIgnored"
    assert "'sst2'" in reason


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["effects", "arms"])
def test_a_value_that_is_not_finite_is_not_judged(wrong, where):
    values = (wrong, *ERM[1:])
    changes = {"effects": values} if where == "effects" else {"arms": {"ls": LS, "erm": values}}
    kind, reason = fault_of(measured(**changes))
    assert kind == "NotFinite"
    assert "'sst2'" in reason


@pytest.mark.parametrize("task", CRITERION.tasks)
def test_a_run_at_the_majority_class_is_named_whatever_its_task(task):
    degenerate = replace(SOUND, degenerate_runs=("erm seed 3",))
    kind, reason = fault_of(
        Measured(tasks=dict.fromkeys(CRITERION.tasks, SOUND) | {task: degenerate})
    )
    assert kind == "DegenerateRun"
    assert f"{task!r}: erm seed 3" in reason


def test_a_registered_task_without_runs_is_missing():
    kind, reason = fault_of(Measured(tasks={"mrpc": SOUND}))
    assert kind == "FewerRuns"
    assert "'sst2'" in reason
    empty = TaskEffects(seeds=(), effects=(), arms={"ls": (), "erm": ()})
    assert fault_of(Measured(tasks={"mrpc": SOUND, "sst2": empty}))[0] == "FewerRuns"


def test_fewer_seeds_than_this_execution_set_out_to_run_are_missing():
    four = replace(
        SOUND, seeds=SEEDS[:4], effects=SOUND.effects[:4], arms={"ls": LS[:4], "erm": ERM[:4]}
    )
    evidence = Measured(tasks={"mrpc": four, "sst2": four}, seeds_expected=5)
    kind, reason = fault_of(evidence)
    assert kind == "FewerRuns"
    assert "[4]" in reason
    assert judge(CRITERION, replace(evidence, seeds_expected=4)).word is Word.SUPPORTED


def test_seeds_cannot_be_left_out_and_later_ones_taken():
    picked = replace(SOUND, seeds=(0, 1, 2, 3, 7))
    kind, reason = fault_of(Measured(tasks={"mrpc": picked, "sst2": picked}))
    assert kind == "FewerRuns"
    assert "[4]" in reason


def test_tasks_with_different_seeds_are_not_judged():
    kind, reason = fault_of(measured(seeds=(0, 1, 2, 3, 5)))
    assert kind == "UnequalSeeds"
    assert "[0, 1, 2, 3, 5]" in reason


def test_tasks_and_seeds_outside_those_registered_are_not_judged():
    extra = Measured(tasks={"mrpc": SOUND, "sst2": SOUND, "qnli": SOUND})
    assert fault_of(extra)[0] == "UnregisteredRuns"
    kind, reason = fault_of(measured(seeds=(0, 1, 2, 3, 99)))
    assert kind == "UnregisteredRuns"
    assert "[99]" in reason


@pytest.mark.parametrize(
    "moved",
    [
        {"margin": 0.01},
        {"contrast": "entropy(ERM) - entropy(LS)"},
        {"direction": "within"},
        {"holds": "some"},
        {"tasks": ("sst2", "mrpc", "qnli")},
        {"seeds": tuple(range(1, 11))},
        {"unit": "bits"},
        {"scale": "mini"},
        {"paper": "another"},
        {"plan": Plan(looks=(3, 5))},
    ],
)
def test_a_criterion_that_changed_after_the_first_run_is_caught(moved):
    kind, reason = fault_of(
        measured(), criterion=replace(CRITERION, **moved), registered_digest=CRITERION.digest
    )
    assert kind == "CriterionChanged"
    assert CRITERION.digest[:12] in reason


def test_rewording_a_claim_is_no_change_of_its_criterion():
    reworded = replace(CRITERION, because="said better", says="LS makes models unsure.")
    verdict = judge(reworded, measured(), registered_digest=CRITERION.digest)
    assert verdict.word is Word.SUPPORTED


def test_no_evidence_at_all_is_not_run_rather_than_invalid():
    empty = TaskEffects(seeds=(), effects=())
    for nothing in (None, Measured(tasks={}), Measured(tasks={"mrpc": empty})):
        assert judge(CRITERION, nothing).word is Word.NOT_RUN


def test_two_equal_differences_may_be_chance_and_only_wait_for_more_seeds():
    two = TaskEffects(seeds=(0, 1), effects=(0.5, 0.5))
    verdict = judge(CRITERION, Measured(tasks={"mrpc": two, "sst2": two}))
    assert (verdict.word, verdict.more_seeds) == (Word.UNDECIDED, 1)


def test_every_fault_lists_likely_causes():
    assert len(FAULTS) == 9
    for fault in FAULTS.values():
        assert "Likely causes: 1." in fault("x").advice


def test_values_that_do_not_pair_with_seeds_are_refused_at_the_border():
    with pytest.raises(InputError, match="4 values of 'erm' for 5 seeds"):
        replace(SOUND, arms={"ls": LS, "erm": ERM[:4]})
    with pytest.raises(InputError, match="same arms on every task"):
        Measured(tasks={"mrpc": SOUND, "sst2": replace(SOUND, arms={})})
