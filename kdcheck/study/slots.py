"""Whether the runs that a claim's table names are those that their slots ask for: arm, task and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from kdcheck.claims import Arm
from kdcheck.errors import KdcheckError
from kdcheck.evidence.files import digest_of
from kdcheck.evidence.judged import RunTable
from kdcheck.recipe import Recipe
from kdcheck.study.lock import Section, expected_recipe

RecipeOf = Callable[[str], Recipe]
"""The recipe of a run, by digest."""
Slot = tuple[Arm, str, int]
"""An arm, a task and a seed."""
SHOWN = 3
"""Fields that are named one by one where many differ."""
DIGITS = 64
"""Of a sha256."""
OF_LOOKS = ("evaluations_per_epoch", "curve_rows")
"""Fields of a recipe that decide what is seen of a model while it trains, and not what it becomes."""


class Slots:
    """The runs that a section of a lock asks for, beside those that claims rest on."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._wanted = cache(self._want)

    def misfiled(self, table: RunTable, recipe: RecipeOf) -> Iterator[str]:
        """How the runs of a table are not those that their slots ask for."""
        yield from _twice(table)
        for slot, digest in _slots(table):
            wanted = self._wanted(*slot)
            if isinstance(wanted, str):
                yield f"{_text(slot)} cannot be: {wanted}"
            elif wanted.digest != digest:
                yield f"{_text(slot)} is the run {digest[:8]}, with {_wrong(recipe(digest), wanted)}"

    def _want(self, arm: Arm, task: str, seed: int) -> Recipe | str:
        try:
            return expected_recipe(self._section, arm, task, seed)
        except KdcheckError as error:
            return f"{error.who} has {error.got}"


def _wrong(run: Recipe, wanted: Recipe) -> str:
    """Fields in which a recipe is not the one that was wanted."""
    now, then = _flat(run), _flat(wanted)
    differing = [name for name in now | then if now.get(name) != then.get(name)]
    wrong = [
        f"{name} {_shown(now.get(name))}, not {_shown(then.get(name))}"
        for name in differing[:SHOWN]
    ]
    if (more := len(differing) - SHOWN) > 0:
        wrong.append(f"{more} more fields that differ")
    return "; ".join(wrong)


def what_it_becomes(recipe: Recipe) -> str:
    """Digest of all that decides the trained model: recipes that are alike in it give one model."""
    return digest_of(_bare(recipe, OF_LOOKS))


def _bare(recipe: Recipe, without: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a recipe and of its teachers, but for some."""
    values = {k: v for k, v in recipe.canonical().items() if k not in without}
    return values | {"teacher": recipe.teacher and _bare(recipe.teacher, without)}


def _slots(table: RunTable) -> Iterator[tuple[Slot, str]]:
    for arm, tasks in table.runs.items():
        for task, seeds in tasks.items():
            for seed, digest in seeds.items():
                yield (arm, task, seed), digest


def missing(table: RunTable) -> list[str]:
    """Slots of the table's tasks and seeds that hold no run, and none that could not be trained."""
    failed = {(each.arm, each.task, each.seed) for each in table.missing}
    return [
        _text((arm, task, seed))
        for arm, tasks in table.runs.items()
        for task in table.tasks
        for seed in table.seeds
        if seed not in tasks.get(task, {}) and (arm, task, seed) not in failed
    ]


def _twice(table: RunTable) -> Iterator[str]:
    """Slots of one arm that hold one run."""
    for arm in table.runs:
        seen: dict[str, Slot] = {}
        for slot, digest in _slots(replace(table, runs={arm: table.runs[arm]})):
            first = seen.setdefault(digest, slot)
            if first != slot:
                yield f"{_text(slot)} is the run {digest[:8]}, which is {_text(first)} already"


def _text(slot: Slot) -> str:
    arm, task, seed = slot
    return f"{arm.key} on {task} with seed {seed}"


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Fields by name, those of objective and teacher after theirs."""
    values = recipe.canonical()
    objective, teacher = values.pop("objective"), values.pop("teacher")
    flat = values | {f"objective.{name}": value for name, value in objective.items()}
    if recipe.teacher is None:
        return flat | {"teacher": teacher}
    return flat | {f"teacher.{name}": value for name, value in _flat(recipe.teacher).items()}


def _shown(value: Any) -> str:
    is_digest = isinstance(value, str) and len(value) == DIGITS
    return value[:12] if is_digest else str(value)
