"""What each run of a graph comes to: steps, tokens, arithmetic and disk, counted without training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kdcheck.engine.predict import TOKENS_PER_BATCH
from kdcheck.engine.schedule import Schedule
from kdcheck.planning.sizes import Shape, Sizes, TaskSize
from kdcheck.recipe import Recipe
from kdcheck.study.graph import Graph

BYTES_PER_ROW = 3.5
"""Of an id and a label beside the logits of a stored row; this and the next two were measured on a store
of 399 runs and 128 records of claims."""
BYTES_PER_RUN = 50_000
"""Of a run in the database and in small files."""
BYTES_PER_CLAIM = 160_000
"""Of the record of a claim, its paper and its lock."""
STATE_BYTES = 12
"""Of a weight in a checkpoint: itself and AdamW's two moments."""
CHECKPOINTS = 3
"""At most, of a run that is going on: two are kept while a third is written."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What one run comes to."""

    recipe: Recipe
    shape: Shape
    steps: int
    examples: int
    """Training rows seen, each as often as it is seen."""
    tokens: float
    """Training tokens seen."""
    looks: int
    looked_splits: int
    """Splits and samples of them that logits are computed of, at all looks together."""
    looked_rows: int
    """Rows whose logits are computed, at all looks together."""
    looked_tokens: float
    look_batches: int
    flops: float
    """Of steps and looks."""
    parameters: int
    bytes_kept: float

    @property
    def kind(self) -> tuple[str, str, str, int]:
        """Runs of one kind take equal seconds a step: encoder, task, precision, batch."""
        recipe = self.recipe
        return recipe.encoder, recipe.task, recipe.precision, recipe.batch_size


@dataclass(frozen=True, kw_only=True)
class Total:
    """What some runs come to together."""

    recipes: int
    steps: int
    examples: int
    tokens: float
    looked_tokens: float
    flops: float


def amounts(graph: Graph, sizes: Sizes) -> dict[str, Amount]:
    """What each run comes to, by digest.

    Whatever has no teacher leaves logits on all of its training text, as when it is trained.
    """
    return {
        digest: _amount(recipe, sizes, digest in graph.teachers or recipe.teacher is None)
        for digest, recipe in graph.recipes.items()
    }


def total(parts: Iterable[Amount]) -> Total:
    """The sum of some runs."""
    found = list(parts)
    return Total(
        recipes=len(found),
        steps=sum(each.steps for each in found),
        examples=sum(each.examples for each in found),
        tokens=sum(each.tokens for each in found),
        looked_tokens=sum(each.looked_tokens for each in found),
        flops=sum(each.flops for each in found),
    )


def store_bytes(parts: Iterable[Amount], claims: int) -> float:
    """What the store of some runs and claims takes on disk."""
    kept = [each.bytes_kept + BYTES_PER_RUN for each in parts]
    return sum(kept) + BYTES_PER_CLAIM * claims


def checkpoint_bytes(parts: Iterable[Amount]) -> float:
    """The most that one worker's checkpoints take on disk at a time."""
    return max(CHECKPOINTS * STATE_BYTES * each.parameters for each in parts)


def _amount(recipe: Recipe, sizes: Sizes, whole_train: bool) -> Amount:
    task = sizes.task(recipe.task, recipe.max_length)
    shape = sizes.shape(recipe.encoder)
    train = task.rows["train"]
    schedule = Schedule(recipe, train)
    examples = train * recipe.epochs
    looks = len(schedule.evaluation_steps)
    looked = _looked(task, recipe, looks, whole_train)
    looked_tokens = {split: rows * task.tokens[split] for split, rows in looked.items()}
    flops = 3 * shape.forward_flops(
        examples * task.tokens["train"], task.tokens["train"], examples
    ) + sum(
        shape.forward_flops(looked_tokens[split], task.tokens[split], rows)
        for split, rows in looked.items()
    )
    # At the end a sample of test text is stored beside the whole of it.
    kept = sum(looked.values()) + min(recipe.curve_rows, task.rows["test"])
    return Amount(
        recipe=recipe,
        shape=shape,
        steps=schedule.total_steps,
        examples=examples,
        tokens=examples * task.tokens["train"],
        looks=looks,
        # Samples of training and test text at each; the last sees all of test, validation, and perhaps
        # all of training text.
        looked_splits=2 * looks + 1 + whole_train,
        looked_rows=sum(looked.values()),
        looked_tokens=sum(looked_tokens.values()),
        look_batches=2 * looks + round(sum(looked_tokens.values()) / TOKENS_PER_BATCH),
        flops=flops,
        parameters=shape.parameters(task.vocabulary),
        bytes_kept=kept * (4 * task.classes + BYTES_PER_ROW),
    )


def _looked(task: TaskSize, recipe: Recipe, looks: int, whole_train: bool) -> Mapping[str, int]:
    """Per split, how many rows are looked at while a run trains and at its end."""
    rows = task.rows
    test_sample = min(recipe.curve_rows, rows["test"])
    train_sample = min(recipe.curve_rows, rows["train"])
    return {
        "train": looks * train_sample + whole_train * rows["train"],
        "validation": rows["validation"],
        "test": (looks - 1) * test_sample + rows["test"],
    }
