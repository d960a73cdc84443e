"""The graph of recipes that a set of claims needs: teachers before students, each run once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from kdcheck.claims import Arm, Claim
from kdcheck.errors import ClaimError
from kdcheck.objectives import LabelSmoothing
from kdcheck.recipe import Recipe
from kdcheck.study.measures import FLOOR, Measure
from kdcheck.study.scale import Scale


@dataclass(frozen=True)
class Question:
    """A claim and the contrast that decides it.

    Source: none.

    >>> from kdcheck.claims import nats
    >>> from kdcheck.study.measures import Constant
    >>> claim = Claim(id="c", says="S.", where="s", holds="every", margin=nats(0), because="b")
    >>> Question(claim, Constant(1.0), {}).claim.id
    'c'
    """

    claim: Claim
    contrast: Measure
    arms: Mapping[str, Arm]
    """Every arm of the contrast, by key."""


class Digests(Protocol):
    """Where the digests come from that a recipe must name.

    Source: none.

    >>> from kdcheck.study.samples import SampleDigests
    >>> digests: Digests = SampleDigests()
    >>> digests.task("mrpc")
    'content of mrpc'
    """

    def task(self, name: str) -> str:
        """Content digest of a task, cut to the scale's rows."""
        ...

    def encoder(self, size: str) -> str:
        """Digest of the pair's larger or smaller encoder."""
        ...

    def encoder_name(self, size: str) -> str:
        """Name of the pair's larger or smaller encoder."""
        ...


@dataclass
class Graph:
    """All recipes of a study, deduplicated by digest.

    Source: none.

    >>> Graph.__dataclass_fields__["recipes"].type
    'dict[str, Recipe]'
    """

    scale: Scale
    seeds: tuple[int, ...]
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """By digest, every teacher before its students."""
    teachers: set[str] = field(default_factory=set)
    """Digests of runs that others learn from: they must leave logits on the training split."""
    runs: dict[str, dict[str, dict[int, str]]] = field(default_factory=dict)
    """Arm key, task, seed: the digest."""
    claims: dict[str, set[str]] = field(default_factory=dict)
    """Digest: ids of the claims it serves."""
    roles: dict[str, str] = field(default_factory=dict)
    """Digest: key of the arm that asked for it first."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the scale's tasks."""
        return self.scale.tasks

    def digest(self, arm: str, task: str, seed: int) -> str:
        """Digest of the run of an arm on a task with a seed."""
        return self.runs[arm][task][seed]

    def students_first_needed(self) -> list[str]:
        """Digests in the order in which they are best trained: teachers, then the rest."""
        return sorted(self.recipes, key=lambda digest: digest not in self.teachers)


def build(
    questions: Iterable[Question], scale: Scale, seeds: tuple[int, ...], digests: Digests
) -> Graph:
    """The graph of every recipe that the questions need.

    Args:
        questions: claims with their contrasts.
        scale: tasks and hyper-parameters.
        seeds: seeds of the whole pipeline, teacher included.
        digests: content digests of tasks and encoders.

    Returns:
        Recipes in an order in which each can be trained.

    Raises:
        InputError, RecipeError: the scale lacks a method, or its fields contradict each other.
        ClaimError: the smoothing floor of an arm that is not trained with label smoothing.

    Source: section 4; a teacher shares its student's seed, so one seed is one whole pipeline.

    >>> from kdcheck.study.samples import SampleDigests, sample_question, sample_scale
    >>> graph = build([sample_question()], sample_scale(), (0, 1), SampleDigests())
    >>> len(graph.recipes), sorted(graph.runs)  # two arms, one task, two seeds
    (4, ['erm/smaller', 'ls/smaller'])
    """
    graph = Graph(scale, seeds)
    # Claims share most of their arms, and checking a recipe costs a millisecond.
    recipe = cache(lambda arm, task, seed: recipe_of(arm, scale, task, seed, digests))
    for question in questions:
        floors = {read.arm for read in question.contrast.reads() if read.name == FLOOR}
        for key, arm in question.arms.items():
            for task in scale.tasks:
                for seed in seeds:
                    wanted = recipe(arm, task, seed)
                    if key in floors:
                        _check_smoothing(question.claim, key, wanted)
                    _add(graph, wanted, arm, question.claim.id)
                    graph.runs.setdefault(key, {}).setdefault(task, {})[seed] = wanted.digest
    return graph


def recipe_of(arm: Arm, scale: Scale, task: str, seed: int, digests: Digests) -> Recipe:
    """The recipe of one arm on one task with one seed.

    Args:
        arm: method and size; its teacher, if it has one, becomes the recipe's.
        scale: hyper-parameters.
        task: one of the scale's.
        seed: of the whole pipeline, teacher included.
        digests: content digests of tasks and encoders.

    Returns:
        The recipe, with its teacher's inside.

    Raises:
        InputError, RecipeError: the scale lacks the method, or its fields contradict each other.

    Source: section 4.

    >>> from kdcheck.paper.arms import LS
    >>> from kdcheck.study.samples import SampleDigests, sample_scale
    >>> recipe_of(LS("smaller"), sample_scale(), "invented", 0, SampleDigests()).objective.alpha
    0.3
    """
    settings: dict[str, Any] = scale.settings(arm, task)
    rows = {f"{split}_rows": count for split, count in scale.rows.get(task, {}).items()}
    teacher = recipe_of(arm.teacher, scale, task, seed, digests) if arm.teacher else None
    recipe = Recipe.from_dict(
        settings
        | rows
        | {
            "task": task,
            "task_digest": digests.task(task),
            "encoder": digests.encoder_name(arm.size),
            "encoder_digest": digests.encoder(arm.size),
            "seed": seed,
        }
        | ({"teacher": teacher.to_dict()} if teacher else {})
    )
    return (
        replace(recipe, teacher_temperature=arm.teacher_temperature)
        if arm.teacher_temperature != 1.0
        else recipe
    )


def _check_smoothing(claim: Claim, arm: str, recipe: Recipe) -> None:
    # Here and not in the claim: which objective a method has is the scale's to say.
    if not isinstance(recipe.objective, LabelSmoothing):
        raise ClaimError(
            f"claim {claim.id!r}",
            f"the smoothing floor of {arm}, trained with {recipe.objective.name!r}",
            f"an arm trained with {LabelSmoothing.name!r}",
            "Only label smoothing has that floor; name an arm such as LS(size).",
        )


def _add(graph: Graph, recipe: Recipe, arm: Arm, claim: str) -> None:
    if recipe.teacher is not None:
        assert arm.teacher is not None
        _add(graph, recipe.teacher, arm.teacher, claim)
        graph.teachers.add(recipe.teacher.digest)
    graph.recipes.setdefault(recipe.digest, recipe)
    graph.roles.setdefault(recipe.digest, arm.key)
    graph.claims.setdefault(recipe.digest, set()).add(claim)
