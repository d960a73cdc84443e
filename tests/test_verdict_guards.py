"""Each guard catches its planted fault, and lets sound evidence pass."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kdcheck.claims.arm import Arm
from kdcheck.claims.contrast import apply, reading
from kdcheck.errors import InputError
from kdcheck.verdict import Criterion, Measured, TaskEffects, Word, judge
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


def fault_of(evidence, *, criterion=CRITERION):
    verdict = judge(criterion, evidence)
    assert verdict.word is Word.INVALID
    assert verdict.effect is None
    assert verdict.p_supported == verdict.p_refuted == verdict.p_equivalent == 1
    assert "Likely causes" in verdict.fault.advice
    return verdict.fault.kind, verdict.reason


def test_sound_evidence_passes_every_guard():
    verdict = judge(CRITERION, measured())
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


def test_a_run_that_failed_is_named_before_whatever_follows_from_it():
    lost = {
        "seeds": SEEDS[:4],
        "effects": SOUND.effects[:4],
        "arms": {"ls": LS[:4], "erm": ERM[:4]},
    }
    told = tuple(f"ls on 'sst2' with seed {seed}: a loss that is not finite" for seed in range(5))
    kind, reason = fault_of(measured(**lost, failed_runs=told[4:]))
    assert kind == "FailedRun"
    assert told[4] in reason
    kind, reason = fault_of(measured(**lost, failed_runs=told))
    assert told[2] in reason
    assert told[3] not in reason
    assert "; 2 more" in reason


def test_a_claim_whose_every_run_failed_is_invalid_and_one_that_nobody_ran_is_not_run():
    nothing = TaskEffects(seeds=(), effects=())
    failed = replace(nothing, failed_runs=("ls on 'sst2' with seed 0: a loss that is not finite",))
    words = [
        judge(CRITERION, Measured(tasks=dict.fromkeys(CRITERION.tasks, each))).word
        for each in (nothing, failed)
    ]
    assert words == [Word.NOT_RUN, Word.INVALID]
    again = TaskEffects.from_dict(failed.to_dict())
    assert again == failed
    assert "failed_runs" not in nothing.to_dict(), "what was stored before stays as it was"


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
    evidence = Measured(tasks={"mrpc": SOUND, "sst2": SOUND}, seeds_expected=6)
    kind, reason = fault_of(evidence)
    assert kind == "FewerRuns"
    assert "[5]" in reason
    assert judge(CRITERION, replace(evidence, seeds_expected=5)).word is Word.SUPPORTED


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


def test_no_evidence_at_all_is_not_run_rather_than_invalid():
    empty = TaskEffects(seeds=(), effects=())
    for nothing in (None, Measured(tasks={}), Measured(tasks={"mrpc": empty})):
        assert judge(CRITERION, nothing).word is Word.NOT_RUN


def test_two_equal_differences_may_be_chance_and_only_wait_for_more_seeds():
    two = TaskEffects(seeds=(0, 1), effects=(0.5, 0.5))
    verdict = judge(CRITERION, Measured(tasks={"mrpc": two, "sst2": two}))
    assert (verdict.word, verdict.more_seeds) == (Word.UNDECIDED, 3)


def test_every_fault_lists_likely_causes():
    assert len(FAULTS) == 13
    for fault in FAULTS.values():
        assert "Likely causes: 1." in fault("x").advice


def test_values_that_do_not_pair_with_seeds_are_refused_at_the_border():
    with pytest.raises(InputError, match="4 values of 'erm' for 5 seeds"):
        replace(SOUND, arms={"ls": LS, "erm": ERM[:4]})
    with pytest.raises(InputError, match="same arms on every task"):
        Measured(tasks={"mrpc": SOUND, "sst2": replace(SOUND, arms={})})


# Runs, ranges, data and the contrast itself

GAP = reading("mean_entropy_nats", Arm("ls", "smaller")) - reading(
    "mean_entropy_nats", Arm("erm", "smaller")
)
LS_NAME, ERM_NAME = (each.text for each in GAP.readings())
KNOWN = TaskEffects(
    seeds=SEEDS,
    effects=SOUND.effects,
    arms={LS_NAME: LS, ERM_NAME: ERM},
    limits={LS_NAME: (0.0, math.log(2)), ERM_NAME: (0.0, math.log(2))},
    runs={"ls/smaller": tuple("abcde"), "erm/smaller": tuple("fghij")},
    data="of mrpc",
)
LIMITED = replace(CRITERION, contrast=GAP.text)


def known(contrast=GAP, mrpc=KNOWN, **changes):
    """Evidence with all that is known of it, with changes to the second task."""
    sst2 = replace(
        KNOWN, runs={"ls/smaller": tuple("klmno"), "erm/smaller": tuple("pqrst")}, data="of sst2"
    )
    return Measured(tasks={"mrpc": mrpc, "sst2": replace(sst2, **changes)}, contrast=contrast)


LOW = tuple(x - 0.1 for x in LS)
IN_RANGE = {"arms": {LS_NAME: LOW, ERM_NAME: ERM}}
IN_RANGE["effects"] = tuple(a - b for a, b in zip(LOW, ERM, strict=True))


def sound(**changes):
    """Evidence that passes: entropies of two classes below log 2."""
    return known(mrpc=replace(KNOWN, **IN_RANGE), **{**IN_RANGE, **changes})


def test_evidence_with_all_that_is_known_of_it_passes_every_guard():
    verdict = judge(LIMITED, sound())
    assert (verdict.word, verdict.fault) == (Word.SUPPORTED, None)


def test_an_arm_that_a_seed_moves_by_a_billionth_ignores_its_seed():
    noise = (1e-9, -2e-9, 3e-9, 0.0, -1e-9)
    blind = {LS_NAME: tuple(0.6 + x for x in noise), ERM_NAME: tuple(0.2 - x for x in noise)}
    effects = tuple(a - b for a, b in zip(*blind.values(), strict=True))
    kind, reason = fault_of(sound(arms=blind, effects=effects), criterion=LIMITED)
    assert kind == "SeedIgnored"
    assert "'sst2'" in reason
    # Differences that a seed moves by as little come from arms that it does not move at all.
    moved = {name: tuple(x + 1e-4 * k for k, x in enumerate(arm)) for name, arm in blind.items()}
    effects = tuple(a - b for a, b in zip(*moved.values(), strict=True))
    assert judge(LIMITED, sound(arms=moved, effects=effects)).fault is None


@pytest.mark.parametrize(("value", "side"), [(math.log(2) + 1e-6, "above"), (-1e-6, "below")])
def test_an_entropy_that_no_posteriors_have_is_not_judged(value, side):
    arms = {LS_NAME: (*LOW[:4], value), ERM_NAME: ERM}
    effects = tuple(a - b for a, b in zip(*arms.values(), strict=True))
    kind, reason = fault_of(sound(arms=arms, effects=effects), criterion=LIMITED)
    assert kind == "OutOfRange", side
    assert f"(ls/smaller) is {value:.6g} with seed 4 on 'sst2', outside 0 to 0.693147" in reason
    # The mean of posteriors at the very limit may pass it by a rounding.
    arms = {LS_NAME: (*LOW[:4], math.log(2) * (1 + 1e-15)), ERM_NAME: ERM}
    effects = tuple(a - b for a, b in zip(*arms.values(), strict=True))
    assert judge(LIMITED, sound(arms=arms, effects=effects)).fault is None


@pytest.mark.parametrize("place", ["two seeds", "two tasks"])
def test_one_run_that_counts_twice_is_named(place):
    digests = tuple("klmnk") if place == "two seeds" else tuple("klmna")
    runs = {"ls/smaller": digests, "erm/smaller": tuple("pqrst")}
    kind, reason = fault_of(sound(runs=runs), criterion=LIMITED)
    assert kind == "RunTwice"
    other = "seed 0 on 'sst2'" if place == "two seeds" else "seed 0 on 'mrpc'"
    assert f"of ls/smaller counts as {other} and as seed 4 on 'sst2'" in reason
    # Two ways of training may be one recipe; that they are equal is another guard's business.
    shared = {"ls/smaller": tuple("klmno"), "erm/smaller": tuple("klmno")}
    assert judge(LIMITED, sound(runs=shared)).fault is None


def test_two_tasks_that_are_one_data_set_are_not_judged():
    kind, reason = fault_of(sound(data="of mrpc"), criterion=LIMITED)
    assert kind == "SameData"
    assert "'mrpc' and 'sst2'" in reason


def test_an_effect_that_is_not_the_contrast_of_its_arms_is_not_judged():
    moved = (*IN_RANGE["effects"][:3], IN_RANGE["effects"][3] + 1e-7, IN_RANGE["effects"][4])
    kind, reason = fault_of(sound(effects=moved), criterion=LIMITED)
    assert kind == "NotTheDifference"
    assert "with seed 3 on 'sst2'" in reason
    turned = reading("mean_entropy_nats", Arm("erm", "smaller")) - 0.5
    kind, _ = fault_of(sound(contrast=turned), criterion=LIMITED)
    assert kind == "NotTheDifference"


def test_what_was_measured_must_be_what_was_registered():
    turned = replace(LIMITED, contrast=f"{ERM_NAME} - {LS_NAME}")
    kind, reason = fault_of(sound(), criterion=turned)
    assert kind == "NotTheDifference"
    assert f"registered {turned.contrast}" in reason


def test_curves_and_constants_are_part_of_the_contrast():
    curve = reading("mean_entropy_nats", Arm("erm", "smaller"), split="test_sample", point="every")
    floor = reading("smoothing_floor_nats", Arm("ls", "smaller"))
    contrast = apply("greatest", curve) - floor
    looks = tuple((0.7 + 0.01 * seed, 0.2 - 0.01 * seed) for seed in SEEDS)
    task = TaskEffects(
        seeds=SEEDS,
        effects=tuple(max(each) - 0.5 for each in looks),
        arms={curve.text: tuple(sum(each) / 2 + 1e-3 * k for k, each in enumerate(looks))},
        curves={curve.text: looks},
        constants={floor.text: (0.5,) * 5},
    )
    one = replace(CRITERION, tasks=("mrpc",), contrast=contrast.text)
    assert judge(one, Measured(tasks={"mrpc": task}, contrast=contrast)).fault is None
    other = replace(task, curves={curve.text: tuple((a + 0.1, b) for a, b in looks)})
    kind, _ = fault_of(Measured(tasks={"mrpc": other}, contrast=contrast), criterion=one)
    assert kind == "NotTheDifference"
    back = Measured.from_dict(Measured(tasks={"mrpc": task}, contrast=contrast).to_dict())
    assert back == Measured(tasks={"mrpc": task}, contrast=contrast)


def test_limits_of_what_is_no_arm_are_refused_at_the_border():
    with pytest.raises(InputError, match=r"limits of \['kd'\]"):
        replace(SOUND, limits={"kd": (0.0, 1.0)})
