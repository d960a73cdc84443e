"""The graph of recipes: teachers first, shared runs once, budgets and temperatures as asked."""

from __future__ import annotations

import pytest

from kdcheck.claims import Arm
from kdcheck.errors import ClaimError, InputError, RecipeError
from kdcheck.study import graph as graphs
from kdcheck.study.graph import build, recipe_of
from tests.study_doubles import (
    BACK,
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
    SELF,
    NamedDigests,
    entropy_gap,
    planned,
    scale,
)

DIGESTS = NamedDigests()
SEEDS = (5, 2, 11)


def recipe(arm, task="a", seed=0, **changes):
    return recipe_of(arm, scale(**changes), task, seed, DIGESTS)


def test_every_teacher_stands_before_its_students_and_is_trained_first():
    graph = build(
        [entropy_gap(ERM_SMALL, KD), entropy_gap(SELF, BACK, "d")], scale(), SEEDS, DIGESTS
    )
    for order in (list(graph.recipes), graph.longest_first()):
        seen: set[str] = set()
        for digest in order:
            teacher = graph.recipes[digest].teacher
            assert teacher is None or teacher.digest in seen
            seen.add(digest)
    first = graph.longest_first()[: len(graph.teachers)]
    assert set(first) == graph.teachers


def test_of_what_teaches_and_of_the_rest_the_larger_come_first_and_then_the_longer():
    rows = {"a": {"train": 100}, "b": {"train": 60}}
    graph = build([entropy_gap(LS_SMALL, KD), entropy_gap(SELF, BACK, "d")], scale(rows=rows), (0, 1), DIGESTS)  # fmt: skip
    found = [
        (graph.roles[digest].method, graph.roles[digest].size, recipe.task)
        for digest, recipe in ((d, graph.recipes[d]) for d in graph.longest_first())
        if recipe.seed == 0
    ]
    # Epochs times rows: ERM 3, back 6, own 5, KD 4, LS 2, on 100 or 60 rows.
    assert found == [
        *(("erm", "larger", "a"), ("erm", "larger", "b")),
        *(("erm", "smaller", "a"), ("erm", "smaller", "b")),
        *(("back_kd", "larger", "a"), ("back_kd", "larger", "b")),
        *(("own_kd", "smaller", "a"), ("kd", "smaller", "a")),
        *(("own_kd", "smaller", "b"), ("kd", "smaller", "b")),
        *(("ls", "smaller", "a"), ("ls", "smaller", "b")),
    ]


def test_of_runs_that_are_equally_long_those_on_the_same_rows_follow_each_other():
    assert KD.teacher is not None
    softer = KD.taught_by(KD.teacher, temperature=2.0)
    graph = build([entropy_gap(KD, softer)], scale(), SEEDS, DIGESTS)
    order = [graph.recipes[digest] for digest in graph.longest_first()]
    rows = [(recipe.task, recipe.seed) for recipe in order if recipe.teacher is not None]
    assert rows[::2] == rows[1::2] == sorted(set(rows))
    assert len(rows) == 2 * len(set(rows))


def test_the_order_of_runs_is_the_same_in_whatever_order_the_claims_come_but_for_equals():
    claims = [entropy_gap(LS_SMALL, KD), entropy_gap(SELF, BACK, "d")]
    orders = [build(asked, scale(), (0,), DIGESTS) for asked in (claims, claims[::-1], claims)]
    costs = [
        [(g.roles[d].size, g.recipes[d].epochs, d in g.teachers) for d in g.longest_first()]
        for g in orders
    ]
    assert costs[0] == costs[1]
    assert orders[0].longest_first() == orders[2].longest_first()


def test_a_training_split_that_is_not_cut_counts_as_longer_than_one_that_is():
    graph = build([entropy_gap(LS_SMALL, ERM_SMALL)], scale(rows={"b": {"train": 60}}), (0,), DIGESTS)  # fmt: skip
    assert [graph.recipes[d].task for d in graph.longest_first()] == ["a", "a", "b", "b"]


def test_a_shuffled_teacher_is_the_same_run_with_another_student():
    usual, control = recipe(KD), recipe(KD.taught_by(ERM_LARGE, shuffled=True))
    changed = {k for k, v in control.canonical().items() if usual.canonical()[k] != v}
    assert changed == {"teacher_shuffled"}


def looked_at(times: int, **methods):
    """A scale whose runs are looked at so often an epoch, unless a method says otherwise."""
    made = dict(scale().methods)
    for name, own in methods.items():
        made[name] = {s: v | {"evaluations_per_epoch": own} for s, v in made[name].items()}
    return scale(training={"batch_size": 8, "evaluations_per_epoch": times}, methods=made)


def test_a_curve_of_an_arm_that_is_looked_at_once_is_refused_before_training():
    curve = planned(lambda study: study.first(study.entropy_curve(KD)), "early")
    with pytest.raises(ClaimError) as caught:
        build([curve], looked_at(0), (0,), DIGESTS)
    for fact in (
        "claim 'early'",
        "kd/smaller<-erm/larger on a",
        "looked at once",
        "[methods.kd.sm",
    ):
        assert fact in str(caught.value)
    build([curve], looked_at(0, kd=2), (0,), DIGESTS)
    with pytest.raises(ClaimError, match="looked at once"):
        build([curve], looked_at(2, kd=0), (0,), DIGESTS)


def test_the_end_of_an_arm_that_is_looked_at_once_can_be_read_on_every_split():
    claim = planned(lambda study: study.entropy(KD) - study.entropy(KD, split="test_sample"))
    assert build([claim], looked_at(0), (0,), DIGESTS).recipes


def test_runs_that_several_claims_share_are_there_once():
    asked = [
        entropy_gap(ERM_SMALL, KD, "one"),
        entropy_gap(ERM_SMALL, SELF, "two"),
        entropy_gap(LS_SMALL, ERM_SMALL, "three"),
    ]
    graph = build(asked, scale(), SEEDS, DIGESTS)
    # ERM smaller and larger, LS, standard and self KD, on two tasks with three seeds.
    assert len(graph.recipes) == 5 * 2 * 3
    plain = graph.runs[ERM_SMALL]["a"][5]
    assert graph.claims[plain] == {"one", "two", "three"}
    assert plain in graph.teachers


def test_each_place_of_the_table_holds_the_run_of_its_arm_task_and_seed():
    claim = entropy_gap(LS_SMALL, KD)
    table = build([claim], scale(), SEEDS, DIGESTS).table(claim.measures)
    assert (table.tasks, table.seeds, set(table.runs)) == (("a", "b"), SEEDS, {LS_SMALL, KD})
    for arm in (LS_SMALL, KD):
        for task in ("a", "b"):
            for seed in SEEDS:
                assert table.digest(arm, task, seed) == recipe(arm, task, seed).digest


def test_a_teacher_has_its_students_seed_and_task_and_its_own_size_and_budget():
    found = recipe(KD, "b", 7)
    assert (found.teacher.seed, found.teacher.task) == (7, "b")
    assert (found.encoder, found.teacher.encoder) == ("tiny-1", "tiny-2")
    assert (found.encoder_digest, found.task_digest) == ("weights of smaller", "content of b")
    assert (found.learning_rate, found.epochs) == (3e-3, 4)
    assert (found.teacher.learning_rate, found.teacher.epochs) == (2e-3, 3)


@pytest.mark.parametrize(("lender", "rate", "epochs"), [(KD, 3e-3, 4), (BACK, 1e-2, 6)])
def test_a_lent_budget_changes_rate_and_epochs_and_nothing_else(lender, rate, epochs):
    own, lent = recipe(ERM_SMALL), recipe(ERM_SMALL.on_budget_of(lender))
    changed = {k: v for k, v in lent.canonical().items() if own.canonical()[k] != v}
    assert changed == {"learning_rate": rate, "epochs": epochs}


def test_a_teacher_at_another_temperature_is_the_same_run_with_another_student():
    usual, softened = recipe(KD), recipe(KD.taught_by(ERM_LARGE, temperature=2.0))
    assert softened.teacher.digest == usual.teacher.digest
    assert softened.digest != usual.digest
    assert (usual.teacher_temperature, softened.teacher_temperature) == (1.0, 2.0)


def test_arms_that_nest_alike_are_runs_of_their_own():
    claim = entropy_gap(KD.taught_by(ERM_LARGE.on_budget_of(BACK)), KD.on_budget_of(BACK))
    graph = build([claim], scale(), (0,), DIGESTS)
    one, other = claim.measures.arms()
    assert graph.runs[one]["a"][0] != graph.runs[other]["a"][0]


def test_two_arms_of_one_key_are_refused(monkeypatch):
    monkeypatch.setattr(Arm, "key", "the same")
    with pytest.raises(ClaimError, match="two arms called the same; wanted a key of its own"):
        graphs._check_keys([ERM_SMALL, LS_SMALL])


def test_rows_of_a_task_are_those_the_scale_cuts_it_to():
    rows = {"b": {"train": 30, "validation": 20, "test": 10}}
    on_a, on_b = (recipe(ERM_SMALL, task, rows=rows) for task in "ab")
    assert (on_b.train_rows, on_b.validation_rows, on_b.test_rows) == (30, 20, 10)
    assert (on_a.train_rows, on_a.validation_rows, on_a.test_rows) == (None, None, None)
    assert on_b.task_digest == "content of b"


def test_a_method_that_the_scale_lacks_is_named_with_those_it_has():
    without = scale(methods={"erm": {"smaller": scale().methods["erm"]["smaller"]}})
    with pytest.raises(InputError) as caught:
        recipe_of(BACK, without, "a", 0, DIGESTS)
    for fact in ("made up", "back_kd/larger", "erm/smaller", "scale file"):
        assert fact in str(caught.value)


def test_a_scale_that_gives_a_recipe_nonsense_is_refused():
    with pytest.raises(RecipeError, match="batch_size"):
        recipe(ERM_SMALL, training={"batch_size": 0})


def test_an_exception_of_one_task_changes_that_task_alone():
    methods = dict(scale().methods)
    own = methods["ls"]["smaller"] | {"tasks": {"b": {"objective": {"alpha": 0.9}, "epochs": 8}}}
    methods["ls"] = {"smaller": own}
    on_a, on_b = (recipe(LS_SMALL, task, methods=methods) for task in "ab")
    assert (on_a.objective.alpha, on_a.epochs) == (0.4, 2)
    assert (on_b.objective.alpha, on_b.epochs) == (0.9, 8)


@pytest.mark.parametrize("arm", [ERM_SMALL, KD], ids=lambda arm: arm.method)
def test_the_smoothing_floor_of_an_arm_without_smoothing_is_refused_before_training(arm):
    claim = planned(lambda study: study.entropy(arm) - study.smoothing_floor(arm), "floor")
    with pytest.raises(ClaimError, match=f"claim 'floor': got the smoothing floor of {arm.method}"):
        build([claim], scale(), (0,), DIGESTS)
