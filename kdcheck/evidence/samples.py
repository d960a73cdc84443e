"""Invented evidence, for tests, examples and timings. Nothing was trained."""

# Shapes: N examples, K classes.

from __future__ import annotations

import numpy as np

from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.objectives import LabelSmoothing
from kdcheck.recipe import Recipe


def sample_recipe(seed: int = 0) -> Recipe:
    """A recipe of a task that does not exist.

    Source: none.

    >>> sample_recipe(3).seed
    3
    """
    return Recipe(
        task="invented",
        task_digest="0" * 64,
        encoder="tiny-2",
        encoder_digest="1" * 64,
        objective=LabelSmoothing(alpha=0.3),
        learning_rate=5e-5,
        epochs=4,
        seed=seed,
    )


def sample_evidence(
    seed: int = 0, *, examples: int = 8, classes: int = 3, points: int = 2
) -> Evidence:
    """Evidence of :func:`sample_recipe` with random numbers in it.

    Args:
        seed: of the recipe and of the numbers.
        examples: N of each split.
        classes: K.
        points: evaluation points, ten steps apart.

    Returns:
        Logits of ``validation`` and ``test`` at each point.

    Source: none.

    >>> sample_evidence(points=4).final.step
    40
    """
    random = np.random.default_rng(seed)

    def predictions(split: str) -> Predictions:
        return Predictions(
            ids=tuple(f"{split}-{row}" for row in range(examples)),
            labels_N=random.integers(0, classes, examples),
            logits_NK=random.normal(size=(examples, classes)).astype(np.float32),
        )

    def point(number: int) -> EvaluationPoint:
        names = ("test/mean_entropy_nats", "test/accuracy", "validation/accuracy")
        return EvaluationPoint(
            step=10 * number,
            epoch=number / 2,
            predictions={split: predictions(split) for split in ("validation", "test")},
            values={name: float(random.random()) for name in names},
            weights_digest=f"{number:064x}",
        )

    return Evidence(
        recipe=sample_recipe(seed),
        points=tuple(point(number) for number in range(1, points + 1)),
        cost={"seconds": 1.5, "tokens": 4096.0},
        environment={"torch": "2.6.0", "device": "cpu"},
        notes=("2 texts were cut",),
    )
