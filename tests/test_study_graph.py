"""The graph of recipes: teachers first, shared runs once, budgets and temperatures as asked."""

from __future__ import annotations

import pytest

from kdcheck.errors import ClaimError, InputError, RecipeError
from kdcheck.paper.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD
from kdcheck.study.graph import build, recipe_of
from kdcheck.study.samples import SampleDigests
from tests.study_doubles import question, scale

DIGESTS = SampleDigests()


def kd_against_erm(study):
    return study.entropy(ERM("smaller")) - study.entropy(STANDARD_KD)


def test_every_teacher_stands_before_its_students():
    graph = build([question(kd_against_erm)], scale(), (0, 1), DIGESTS)
    seen: set[str] = set()
    for digest in graph.recipes:
        teacher = graph.recipes[digest].teacher
        assert teacher is None or teacher.digest in seen
        seen.add(digest)


def test_runs_that_several_claims_share_are_there_once():
    asked = [
        question(kd_against_erm, "one"),
        question(lambda study: study.entropy(ERM("smaller")) - study.entropy(SELF_KD), "two"),
        question(
            lambda study: study.entropy(LS("smaller")) - study.entropy(ERM("smaller")), "three"
        ),
    ]
    graph = build(asked, scale(), (0, 1, 2), DIGESTS)
    # ERM smaller and larger, LS, standard and self KD, on two tasks with three seeds.
    assert len(graph.recipes) == 5 * 2 * 3
    plain = graph.digest("erm/smaller", "a", 0)
    assert graph.claims[plain] == {"one", "two", "three"}
    assert plain in graph.teachers


def test_a_teacher_has_its_students_seed_and_task():
    recipe = recipe_of(STANDARD_KD, scale(), "b", 7, DIGESTS)
    assert (recipe.teacher.seed, recipe.teacher.task) == (7, "b")
    assert recipe.teacher.encoder == "tiny-2"


def test_a_lent_budget_changes_rate_and_epochs_and_nothing_else():
    own = recipe_of(ERM("smaller"), scale(), "a", 0, DIGESTS)
    lent = recipe_of(ERM("smaller").on_budget_of(STANDARD_KD), scale(), "a", 0, DIGESTS)
    changed = {k for k, v in lent.canonical().items() if own.canonical()[k] != v}
    assert changed == {"epochs"}


def test_a_teacher_at_another_temperature_is_the_same_run_with_another_student():
    plain = recipe_of(STANDARD_KD, scale(), "a", 0, DIGESTS)
    softened = recipe_of(
        STANDARD_KD.taught_by(ERM("larger"), temperature=2.0), scale(), "a", 0, DIGESTS
    )
    assert softened.teacher.digest == plain.teacher.digest
    assert softened.digest != plain.digest
    assert softened.teacher_temperature == 2.0


def test_a_method_that_the_scale_lacks_is_named_with_those_it_has():
    without = scale(methods={"erm": {"smaller": scale().methods["erm"]["smaller"]}})
    with pytest.raises(InputError) as caught:
        recipe_of(REVERSE_KD, without, "a", 0, DIGESTS)
    for fact in ("made up", "reverse_kd/larger", "erm/smaller", "scale file"):
        assert fact in str(caught.value)


def test_a_scale_that_gives_a_recipe_nonsense_is_refused():
    with pytest.raises(RecipeError, match="batch_size"):
        recipe_of(ERM("smaller"), scale(training={"batch_size": 0}), "a", 0, DIGESTS)


def test_an_exception_of_one_task_changes_that_task_alone():
    methods = dict(scale().methods)
    own = methods["ls"]["smaller"] | {"tasks": {"b": {"objective": {"alpha": 0.9}, "epochs": 8}}}
    methods["ls"] = {"smaller": own}
    special = scale(methods=methods)
    on_a, on_b = (recipe_of(LS("smaller"), special, task, 0, DIGESTS) for task in "ab")
    assert (on_a.objective.alpha, on_a.epochs) == (0.4, 3)
    assert (on_b.objective.alpha, on_b.epochs) == (0.9, 8)


@pytest.mark.parametrize("arm", [ERM("smaller"), STANDARD_KD], ids=lambda arm: arm.method)
def test_the_smoothing_floor_of_an_arm_without_smoothing_is_refused_before_training(arm):
    asked = question(lambda study: study.entropy(arm) - study.smoothing_floor(arm), "floor")
    with pytest.raises(ClaimError, match=f"claim 'floor': got the smoothing floor of {arm.method}"):
        build([asked], scale(), (0,), DIGESTS)


def test_the_smoothing_floor_of_label_smoothing_is_planned():
    arm = LS("smaller")
    asked = question(lambda study: study.entropy(arm) - study.smoothing_floor(arm))
    assert build([asked], scale(), (0,), DIGESTS).recipes
