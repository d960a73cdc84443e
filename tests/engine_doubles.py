"""The task and the recipe on which the tests of the engine train."""

from __future__ import annotations

from functools import lru_cache

from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.recipe import Recipe
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

MAX_LENGTH = 32


@lru_cache
def inputs_of(kind: str = "bert", rows: int = 24, pairs: bool = False) -> Inputs:
    """A task of three splits of different sizes, tokenised once for all tests."""
    task = tiny_task(train=rows, validation=9, test=11, pairs=pairs)
    return prepare(task, tiny_encoder(kind), MAX_LENGTH)


def recipe_of(inputs: Inputs | None = None, **changes) -> Recipe:
    """Six steps on the inputs, unless changed; those of a small BERT if none are given."""
    made = inputs or inputs_of()
    return tiny_recipe(made.task, made.encoder, **{"max_length": MAX_LENGTH} | changes)
