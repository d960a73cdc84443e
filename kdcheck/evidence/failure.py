"""A training that was recorded as failed: which one it was, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdcheck.recipe import Recipe


@dataclass(frozen=True)
class Failure:
    """Arm, task and seed of a training that failed, and the reason."""

    arm: str
    task: str
    seed: int
    reason: str

    def __str__(self) -> str:
        return f"{self.arm} on {self.task} with seed {self.seed} failed: {self.reason}"


def why_lost(recipe: Recipe, failures: Mapping[str, Failure]) -> str | None:
    """Why a recipe cannot be had, if so: it failed, or a teacher that it needs did.

    Args:
        recipe: what is wanted.
        failures: by digest.
    """
    failed = next((each for each in recipe.lineage() if each.digest in failures), None)
    if failed is None:
        return None
    failure = failures[failed.digest]
    return failure.reason if failed is recipe else f"its teacher {failure}"
