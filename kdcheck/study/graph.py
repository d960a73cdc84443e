"""The graph of recipes that a set of claims needs: teachers before students, each run once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from kdcheck.claims import Arm, Claim, Contrast
from kdcheck.errors import ClaimError
from kdcheck.evidence.judged import RunTable
from kdcheck.metrics import METRICS
from kdcheck.objectives import LabelSmoothing
from kdcheck.recipe import Recipe
from kdcheck.study.scale import Scale


class Digests(Protocol):
    """Where the digests come from that a recipe must name."""

    def task(self, name: str) -> str:
        """Content digest of a whole task."""
        ...

    def encoder(self, size: str) -> str:
        """Digest of the pair's larger or smaller encoder."""
        ...

    def encoder_name(self, size: str) -> str:
        """Name of the pair's larger or smaller encoder."""
        ...


ALL_ROWS = 10**6
"""Stands for a training split that is not cut: its size is not in the recipe, and it is the largest."""


@dataclass
class Graph:
    """All recipes of a study, deduplicated by digest."""

    scale: Scale
    seeds: tuple[int, ...]
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """By digest, every teacher before its students."""
    teachers: set[str] = field(default_factory=set)
    """Digests of runs that others learn from: they must leave logits on the training split."""
    runs: dict[Arm, dict[str, dict[int, str]]] = field(default_factory=dict)
    """Arm, task, seed: the digest."""
    claims: dict[str, set[str]] = field(default_factory=dict)
    """Digest: ids of the claims it serves."""
    roles: dict[str, Arm] = field(default_factory=dict)
    """Digest: the arm that asked for it first."""

    def table(self, contrast: Contrast) -> RunTable:
        """Which run is which, for the arms of a contrast."""
        runs = {arm: self.runs[arm] for arm in contrast.arms()}
        return RunTable(self.scale.tasks, self.seeds, runs)

    def longest_first(self) -> list[str]:
        """Digests in the order in which they are best trained: whoever teaches, since others wait for
        it, then the rest, each the longest first, so that no worker is left with a long one at the end.
        Of equal length those on the same rows follow each other: a worker has their batches lying ready.
        """

        def place(digest: str) -> tuple[bool, bool, int, str, int]:
            recipe = self.recipes[digest]
            is_larger = self.roles[digest].size == "larger"
            cost = recipe.epochs * (recipe.train_rows or ALL_ROWS)
            return digest not in self.teachers, not is_larger, -cost, recipe.task, recipe.seed

        return sorted(self.recipes, key=place)


def build(claims: Iterable[Claim], scale: Scale, seeds: tuple[int, ...], digests: Digests) -> Graph:
    """The graph of every recipe that planned claims need; a teacher shares its student's seed.

    Raises:
        InputError, RecipeError: the scale lacks a method, or its fields contradict each other.
        ClaimError: a reading that the arm's recipe cannot have, or two arms of one key.
    """
    graph = Graph(scale, seeds)
    # Claims share most of their arms, and checking a recipe costs a millisecond.
    recipe = cache(lambda arm, task, seed: recipe_of(arm, scale, task, seed, digests))
    for claim in claims:
        readings = claim.measures.readings()
        smoothed = {each.arm for each in readings if METRICS[each.metric].needs == "smoothing"}
        followed = {each.arm for each in readings if each.point != "last"}
        for arm in claim.measures.arms():
            for task in scale.tasks:
                for seed in seeds:
                    wanted = recipe(arm, task, seed)
                    if arm in smoothed:
                        _check_smoothing(claim, arm, wanted)
                    if arm in followed:
                        _check_looks(claim, arm, wanted)
                    _add(graph, wanted, arm, claim.id)
                    graph.runs.setdefault(arm, {}).setdefault(task, {})[seed] = wanted.digest
    _check_keys(graph.runs)
    return graph


def recipe_of(arm: Arm, scale: Scale, task: str, seed: int, digests: Digests) -> Recipe:
    """The recipe of one arm on one task with one seed of the whole pipeline, its teacher's inside.

    Raises:
        InputError, RecipeError: the scale lacks the method, or its fields contradict each other.
    """
    settings: dict[str, Any] = scale.settings(arm, task)
    rows = {f"{split}_rows": count for split, count in scale.rows.get(task, {}).items()}
    teacher = recipe_of(arm.teacher, scale, task, seed, digests) if arm.teacher else None
    named = {"task": task, "task_digest": digests.task(task), "seed": seed}
    named |= {
        "encoder": digests.encoder_name(arm.size),
        "encoder_digest": digests.encoder(arm.size),
    }
    taught = {"teacher": teacher.to_dict()} if teacher else {}
    recipe = Recipe.from_dict(settings | rows | named | taught)
    return replace(
        recipe,
        teacher_temperature=arm.teacher_temperature,
        teacher_shuffled=arm.teacher_shuffled,
    )


def _check_smoothing(claim: Claim, arm: Arm, recipe: Recipe) -> None:
    # Here and not in the claim: which objective a method has is the scale's to say.
    if not isinstance(recipe.objective, LabelSmoothing):
        raise ClaimError(
            f"claim {claim.id!r}",
            f"the smoothing floor of {arm.key}, trained with {recipe.objective.name!r}",
            f"an arm trained with {LabelSmoothing.name!r}",
            "Only label smoothing has that floor; name an arm whose method smooths labels.",
        )


def _check_looks(claim: Claim, arm: Arm, recipe: Recipe) -> None:
    if recipe.evaluations_per_epoch == 0:
        raise ClaimError(
            f"claim {claim.id!r}",
            f"a curve of {arm.key} on {recipe.task}, which is looked at once, at its end",
            "an arm with evaluations_per_epoch of at least 1",
            f"Say so in the scale file, under [methods.{arm.method}.{arm.size}] or [training].",
        )


def _check_keys(arms: Iterable[Arm]) -> None:
    """Tables and tags tell arms apart by key: two of one key would be shown as one."""
    known: dict[str, Arm] = {}
    for arm in arms:
        if known.setdefault(arm.key, arm) != arm:
            got, wanted = f"two arms called {arm.key}", "a key of its own for each"
            raise ClaimError("study", got, wanted, "Rename one of their methods.")


def _add(graph: Graph, recipe: Recipe, arm: Arm, claim: str) -> None:
    if recipe.teacher is not None:
        assert arm.teacher is not None
        _add(graph, recipe.teacher, arm.teacher, claim)
        graph.teachers.add(recipe.teacher.digest)
    graph.recipes.setdefault(recipe.digest, recipe)
    graph.roles.setdefault(recipe.digest, arm)
    graph.claims.setdefault(recipe.digest, set()).add(claim)
