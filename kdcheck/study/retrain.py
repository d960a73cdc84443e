"""Training a random share of stored runs again, to see whether they give what is stored."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from kdcheck.errors import OptionError
from kdcheck.evidence.source import EvidenceSource
from kdcheck.recipe import Recipe
from kdcheck.study.resources import Resources

SAME_BITS = 1e-6
"""Largest difference of posteriors where the weights are the same to the last bit."""
TOLERANCE = 0.05
"""Largest mean difference of posteriors where they are not: decision 0114 has what was measured."""


@dataclass(frozen=True)
class Retrained:
    """A stored run beside the same trained again."""

    recipe: Recipe
    same_weights: bool
    """Whether the weights agree in every bit, as on one machine, build and thread count."""
    mean: float
    """Mean over examples of the largest absolute difference of a posterior, at the end of training."""
    largest: float
    """The largest of all."""
    differences: tuple[str, ...]
    """What does not agree, a sentence's part each."""


def drawn(digests: Iterator[str] | set[str], share: float, seed: int) -> list[str]:
    """The runs that a seed draws, at least one.

    Raises:
        OptionError: a share that is not above 0 and at most 1, or nothing to draw from.
    """
    known = sorted(digests)
    if not 0 < share <= 1 or not known:
        got = f"{share:g} of {len(known)} runs"
        wanted = "a share above 0 and at most 1 of at least one run"
        raise OptionError("--retrain", got, wanted, "Say 0.05 for one run in twenty.")
    return random.Random(seed).sample(known, math.ceil(share * len(known)))


def retrain(source: EvidenceSource, digests: list[str], resources: Resources) -> Iterator[Retrained]:
    """Train runs again, with their teachers, and hold each against what is stored.

    Raises:
        KdcheckError: data or encoders are not at hand, or are not those of the recipe.
    """
    again = lru_cache(maxsize=8)(lambda recipe: _train(recipe, resources, again))
    for digest in digests:
        stored = source.get(digest)
        yield _held_together(stored, again(stored.recipe))
