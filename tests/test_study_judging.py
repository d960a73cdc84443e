"""From logits to verdicts: every reading by another route, and who belongs to the family."""

# Shapes: N examples, K classes.

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from kdcheck import metrics
from kdcheck.claims import Reading, nats
from kdcheck.claims.contrast import apply, reading
from kdcheck.errors import EvidenceError
from kdcheck.evidence.judged import Judged
from kdcheck.study.compare import with_verdict
from kdcheck.study.examine import check_metrics
from kdcheck.study.graph import build, recipe_of
from kdcheck.study.judging import criterion_of, measure
from kdcheck.study.readings import Readings
from kdcheck.verdict import Measured, Plan, Word, judge_family
from kdcheck.verdict.guards import FewerRuns
from tests.study_doubles import (
    BACK,
    CLASSES,
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
    NamedDigests,
    entropy_gap,
    evidence,
    evidence_of,
    planned,
    scale,
)

SEEDS = (0, 1, 2)
SOFTENED = KD.taught_by(ERM_LARGE, temperature=2.0)


def run_of(arm, task="a", seed=1):
    return recipe_of(arm, scale(), task, seed, NamedDigests())


def value(metric, arm, task="a", seed=1, **parts):
    """A reading through the code under test."""
    recipes = {r.digest: r for r in run_of(arm, task, seed).lineage()}
    readings = Readings(lambda digest, trajectory=False: evidence(recipes[digest]))
    return readings.value(Reading(metric, arm, **parts), run_of(arm, task, seed).digest)


def logits_of(arm, task="a", seed=1, *, split="test", at=-1):
    found = evidence(run_of(arm, task, seed)).points[at].predictions[split]
    return torch.from_numpy(found.logits_NK).double(), torch.from_numpy(found.labels_N), found.ids


def entropy_by_torch(logits_NK):
    return torch.distributions.Categorical(logits=logits_NK).entropy().mean().item()


@pytest.mark.parametrize("task", ["a", "b"])
@pytest.mark.parametrize("split", ["test", "validation", "train_sample", "test_sample"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_an_entropy_is_that_of_its_own_split_task_and_temperature(task, split, temperature):
    logits_NK, _, _ = logits_of(LS_SMALL, task, split=split)
    found = value("mean_entropy_nats", LS_SMALL, task, split=split, temperature=temperature)
    assert found == pytest.approx(entropy_by_torch(logits_NK / temperature), abs=1e-12)


def test_an_accuracy_counts_the_labels_of_its_own_split():
    for split in ("test", "validation", "train_sample", "test_sample"):
        logits_NK, labels_N, _ = logits_of(KD, split=split)
        right = (logits_NK.argmax(1) == labels_N).double().mean().item()
        assert 0.5 < right < 1.0
        assert value("accuracy", KD, split=split) == right


def test_first_last_and_every_look_are_read_in_order():
    for split in ("test_sample", "train_sample"):
        looks = [entropy_by_torch(logits_of(KD, split=split, at=at)[0]) for at in range(8)]
        every, first, last = (
            value("mean_entropy_nats", KD, split=split, point=point)
            for point in ("every", "first", "last")
        )
        assert every == pytest.approx(looks, abs=1e-12)
        assert (first, last) == pytest.approx((looks[0], looks[-1]), abs=1e-12)


@pytest.mark.parametrize("arm", [KD, SOFTENED], ids=["as it is", "softened"])
def test_agreement_and_divergence_are_from_the_teacher_as_it_was_shown_joined_by_id(arm):
    student_NK, _, ids = logits_of(arm)
    teacher_NK, _, theirs = logits_of(ERM_LARGE)
    assert ids != theirs, "a join by position would be right by chance"
    teacher_NK = teacher_NK[[theirs.index(example) for example in ids]] / arm.teacher_temperature
    same = (student_NK.argmax(1) == teacher_NK.argmax(1)).double().mean().item()
    assert value("teacher_agreement", arm) == same
    divergence = torch.nn.functional.kl_div(
        student_NK.log_softmax(1), teacher_NK.log_softmax(1), reduction="batchmean", log_target=True
    )
    assert value("kl_from_teacher_nats", arm) == pytest.approx(divergence.item(), abs=1e-9)
    entropies = [
        torch.distributions.Categorical(logits=each).entropy() for each in (student_NK, teacher_NK)
    ]
    wanted = stats.spearmanr(*entropies).statistic
    assert value("entropy_correlation", arm) == pytest.approx(wanted, abs=1e-12)


def test_a_control_with_a_shuffled_teacher_is_compared_with_the_teacher_as_it_is():
    control = KD.taught_by(ERM_LARGE, shuffled=True)
    student_NK, _, ids = logits_of(control)
    teacher_NK, _, theirs = logits_of(ERM_LARGE)
    teacher_NK = teacher_NK[[theirs.index(example) for example in ids]]
    entropies = [
        torch.distributions.Categorical(logits=each).entropy() for each in (student_NK, teacher_NK)
    ]
    wanted = stats.spearmanr(*entropies).statistic
    assert value("entropy_correlation", control) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("task", ["a", "b"])
def test_the_smoothing_floor_is_that_of_the_arms_alpha_and_the_tasks_classes(task):
    p = torch.full((CLASSES[task],), 0.4 / CLASSES[task], dtype=torch.float64)
    p[0] += 0.6
    floor = -(p * p.log()).sum().item()
    assert value("smoothing_floor_nats", LS_SMALL, task) == pytest.approx(floor, abs=1e-12)


def test_readings_of_one_run_are_remembered_apart():
    recipe = run_of(LS_SMALL)
    readings = Readings(lambda digest, trajectory=False: evidence(recipe))
    parts = [
        {},
        {"temperature": 3.0},
        {"split": "validation"},
        {"split": "train_sample"},
        {"split": "test_sample"},
        {"split": "test_sample", "point": "first"},
    ]
    found = [
        readings.value(Reading("mean_entropy_nats", LS_SMALL, **part), recipe.digest)
        for part in parts
    ]
    assert found == [value("mean_entropy_nats", LS_SMALL, **part) for part in parts]
    assert len(set(found)) == len(parts)


def test_what_the_engine_stored_of_a_metric_is_not_believed():
    recipe = run_of(ERM_SMALL)
    boasting = replace(evidence(recipe).final, values={"test/accuracy": 1.0})
    run = replace(evidence(recipe), points=(boasting,))
    readings = Readings(lambda digest, trajectory=False: run)
    assert readings.value(Reading("accuracy", ERM_SMALL), recipe.digest) < 1.0


def test_the_figures_of_a_run_are_the_metrics_of_its_test_logits_whoever_asks_first():
    recipe = run_of(LS_SMALL)
    run = evidence(recipe)
    wanted = metrics.summary(run.test.logits_NK, run.test.labels_N)
    readings = Readings(lambda digest, trajectory=False: run)
    for name in wanted:
        assert readings.value(Reading(name, LS_SMALL), recipe.digest) == wanted[name]
    run.test.logits_NK[:] = 0  # they are not looked at again
    assert {name: run.figure(name) for name in wanted} == wanted


def test_logits_that_were_not_kept_are_named():
    recipe = run_of(ERM_SMALL)
    kept = evidence(recipe)
    del kept.final.predictions["train_sample"]
    reading = Reading("brier", ERM_SMALL, "train_sample")
    with pytest.raises(EvidenceError, match=r"step 6: got no logits on train_sample"):
        Readings(lambda digest, trajectory: kept).value(reading, recipe.digest)


def test_effects_are_paired_by_seed_and_kept_by_task():
    claim = entropy_gap(LS_SMALL, ERM_SMALL)
    graph = build([claim], scale(), SEEDS, NamedDigests())
    found = measure(claim.measures, graph.table(claim.measures), Readings(evidence_of(graph)))
    assert (list(found.tasks), found.seeds_expected) == (["a", "b"], 3)
    for task, effects in found.tasks.items():
        by_hand = [
            entropy_by_torch(logits_of(LS_SMALL, task, seed)[0])
            - entropy_by_torch(logits_of(ERM_SMALL, task, seed)[0])
            for seed in SEEDS
        ]
        assert effects.effects == pytest.approx(by_hand, abs=1e-12)
        raw = [entropy_by_torch(logits_of(ERM_SMALL, task, seed)[0]) for seed in SEEDS]
        assert effects.arms["mean_entropy_nats(erm/smaller)"] == pytest.approx(raw, abs=1e-12)


def test_readings_that_no_seed_can_change_are_kept_from_the_guards():
    claim = planned(lambda study: study.entropy(LS_SMALL) - study.smoothing_floor(LS_SMALL))
    graph = build([claim], scale(), SEEDS, NamedDigests())
    found = measure(claim.measures, graph.table(claim.measures), Readings(evidence_of(graph)))
    assert set(found.tasks["a"].arms) == {"mean_entropy_nats(ls/smaller)"}


GAP = entropy_gap(KD, ERM_SMALL)
GAP_GRAPH = build([GAP], scale(), SEEDS, NamedDigests())


def measured_with(spoil, may_collapse=(), arm=KD, task="b", seed=2):
    """What is measured where one run's test predictions were spoilt."""
    bad = GAP_GRAPH.runs[arm][task][seed]

    def get(digest, trajectory=False):
        found = evidence(GAP_GRAPH.recipes[digest])
        if digest == bad:
            spoil(found.final.predictions["test"].logits_NK, found.final.predictions["test"])
        return found

    return measure(GAP.measures, GAP_GRAPH.table(GAP.measures), Readings(get), may_collapse)


def in_one_class(logits_NK, _):
    logits_NK[:, 1] = 50.0


def mostly_wrong(logits_NK, part):
    logits_NK[np.arange(len(logits_NK)), part.labels_N] -= 9.0


@pytest.mark.parametrize("spoil", [in_one_class, mostly_wrong])
def test_a_run_that_is_no_classifier_is_named(spoil):
    found = measured_with(spoil)
    assert found.tasks["b"].degenerate_runs == ("kd/smaller<-erm/larger seed 2",)
    assert found.tasks["a"].degenerate_runs == ()


def test_whether_runs_are_classifiers_is_remembered_apart():
    bad, good = (GAP_GRAPH.runs[KD]["b"][seed] for seed in (1, 2))
    runs = {digest: evidence(GAP_GRAPH.recipes[digest]) for digest in (bad, good)}
    in_one_class(runs[bad].test.logits_NK, None)
    readings = Readings(lambda digest, trajectory=False: runs[digest])
    assert [readings.is_degenerate(each) for each in (bad, good, bad)] == [True, False, True]


def test_an_arm_made_bad_on_purpose_may_collapse_and_so_may_its_students():
    assert measured_with(in_one_class, ["kd"]).tasks["b"].degenerate_runs == ()
    # The teacher of KD is erm/larger; erm/smaller is of that method too.
    assert measured_with(in_one_class, ["erm"]).tasks["b"].degenerate_runs == ()
    assert measured_with(in_one_class, ["erm"], arm=ERM_SMALL).tasks["b"].degenerate_runs == ()
    assert measured_with(in_one_class, ["kd"], arm=ERM_SMALL).tasks["b"].degenerate_runs == (
        "erm/smaller seed 2",
    )
    assert measured_with(in_one_class, ["ls"]).tasks["b"].degenerate_runs != ()


def test_what_the_guards_look_at_is_measured_with_the_effects():
    found = measure(GAP.measures, GAP_GRAPH.table(GAP.measures), Readings(evidence_of(GAP_GRAPH)))
    assert found.contrast == GAP.measures
    for task, classes in CLASSES.items():
        effects = found.tasks[task]
        assert effects.limits == dict.fromkeys(effects.arms, (0.0, np.log(classes)))
        assert effects.runs == {
            arm.key: tuple(GAP_GRAPH.runs[arm][task][seed] for seed in SEEDS)
            for arm in (KD, ERM_SMALL)
        }
        test = evidence(GAP_GRAPH.recipes[effects.runs[KD.key][0]]).final.predictions["test"]
        pairs = sorted(zip(test.ids, test.labels_N.tolist(), strict=True))
        assert effects.data == hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
    assert Measured.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert judge_family([criterion_of(GAP, scale())], {GAP.id: found})[GAP.id].fault is None


def test_a_curve_is_kept_in_full_and_guarded_by_its_mean():
    curve = reading("mean_entropy_nats", KD, split="test_sample", point="every")
    claim = planned(lambda study: apply("least", curve) - study.smoothing_floor(LS_SMALL))
    graph = build([claim], scale(), SEEDS, NamedDigests())
    found = measure(claim.measures, graph.table(claim.measures), Readings(evidence_of(graph)))
    name = f"curve of test_sample mean_entropy_nats({KD.key})"
    for task, effects in found.tasks.items():
        for at, seed in enumerate(SEEDS):
            looks = [
                entropy_by_torch(logits_of(KD, task, seed, split="test_sample", at=k)[0])
                for k in range(8)
            ]
            assert effects.curves[name][at] == pytest.approx(looks, abs=1e-12)
            assert effects.arms[name][at] == pytest.approx(np.mean(looks), abs=1e-12)
        assert list(effects.constants) == ["smoothing_floor_nats(ls/smaller)"]
    assert judge_family([criterion_of(claim, scale())], {"c": found})["c"].fault is None


def test_a_criterion_says_what_the_claim_says_at_its_scale():
    claim = planned(
        lambda study: study.accuracy(KD) - study.accuracy(BACK),
        "better",
        says="It is better.",
        because="of that",
        margin=nats(0.25),
        holds="most",
        direction="not_below",
    )
    found = criterion_of(claim, scale())
    assert (found.claim, found.says, found.because) == ("better", "It is better.", "of that")
    assert (found.margin, found.unit, found.holds, found.direction) == (
        *(0.25, "nats"),
        *("most", "not_below"),
    )
    assert (found.paper, found.scale, found.tasks) == ("own", "made up", ("a", "b"))
    assert found.plan == Plan.of(3)
    assert found.seeds == tuple(range(12))
    later = criterion_of(claim, scale(first_seed=100, seeds=5))
    assert (later.plan, later.seeds) == (Plan.of(5), tuple(range(100, 120)))
    assert found.contrast == claim.measures.text


# Families

ONE = entropy_gap(LS_SMALL, ERM_SMALL, "one", margin=nats(0.01))
OTHER = replace(ONE, id="other")
GRAPH = build([ONE, OTHER], scale(), SEEDS, NamedDigests())


def judge(*claims, get=None):
    readings = Readings(get or evidence_of(GRAPH))
    measured = {
        claim.id: measure(claim.measures, GRAPH.table(claim.measures), readings) for claim in claims
    }
    return judge_family([criterion_of(claim, scale()) for claim in claims], measured)


def stored(claim, verdict):
    return Judged(claim, verdict, GRAPH.table(claim.measures), ())


def test_a_stored_metric_that_its_logits_do_not_give_is_named_at_any_look_and_split():
    run = evidence(run_of(KD))
    for at, split in ((0, "test_sample"), (3, "train_sample"), (-1, "validation"), (-1, "test")):
        logits_NK, labels_N, _ = logits_of(KD, split=split, at=at)
        nll = torch.nn.functional.cross_entropy(logits_NK, labels_N).item()
        name = f"{split}/nll_nats"
        changed = replace(run.points[at], values={name: nll})
        points = list(run.points)
        points[at] = changed
        check_metrics(replace(run, points=tuple(points)))
        points[at] = replace(changed, values={name: nll + 1e-4})
        with pytest.raises(EvidenceError, match=f"{name} at step {changed.step}"):
            check_metrics(replace(run, points=tuple(points)))


def with_effects(verdict, effects):
    task = replace(verdict.measured.tasks["b"], effects=effects)
    tasks = {**verdict.measured.tasks, "b": task}
    return replace(verdict, measured=replace(verdict.measured, tasks=tasks))


def test_verify_sees_another_word_another_fault_and_one_effect_of_one_seed():
    verdict = judge(ONE)["one"]
    invalid = replace(verdict, word=Word.INVALID, fault=FewerRuns("runs are missing"))
    effects = np.array(verdict.measured.tasks["b"].effects)
    moved = with_effects(verdict, (*effects[:2], effects[2] + 1e-5))
    word = Word.REFUTED if verdict.word is not Word.REFUTED else Word.SUPPORTED
    assert list(with_verdict(verdict, verdict)) == []
    assert list(with_verdict(with_effects(verdict, tuple(effects + 1e-10)), verdict)) == []
    for other, fact in (
        (replace(verdict, word=word), f"stored as {word}"),
        (invalid, "FewerRuns"),
        (moved, "effect on b with seed 2"),
        (replace(verdict, measured=None), "other tasks or seeds"),
    ):
        differences = list(with_verdict(other, verdict))
        assert any(fact in each for each in differences), differences
