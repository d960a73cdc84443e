"""Which rows each step sees, at which rate, and where the run is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from kdcheck.engine.streams import epoch_order
from kdcheck.recipe import Recipe

_order = lru_cache(maxsize=4)(epoch_order)


@dataclass(frozen=True)
class Schedule:
    """The steps of one recipe on a training split of N examples."""

    recipe: Recipe
    examples: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch; the last batch of an epoch may be short."""
        return math.ceil(self.examples / self.recipe.batch_size)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.steps_per_epoch * self.recipe.epochs

    def rows(self, step: int) -> npt.NDArray[np.int64]:
        """Rows of the training split that a step sees; a pure function of (seed, step)."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        start = batch * self.recipe.batch_size
        order = _order(self.recipe.seed, epoch, self.examples)
        return order[start : start + self.recipe.batch_size]

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0: no warm-up, linear to zero or constant."""
        if self.recipe.schedule == "constant":
            return self.recipe.learning_rate
        epochs = self.recipe.schedule_epochs or self.recipe.epochs
        return self.recipe.learning_rate * (1.0 - step / (self.steps_per_epoch * epochs))

    @cached_property
    def evaluation_steps(self) -> frozenset[int]:
        """Numbers of steps taken at which the run is evaluated: evenly spaced in each epoch, or the end."""
        per_epoch = min(self.recipe.evaluations_per_epoch, self.steps_per_epoch)
        if per_epoch == 0:
            return frozenset({self.total_steps})
        within = [round(self.steps_per_epoch * (i + 1) / per_epoch) for i in range(per_epoch)]
        return frozenset(
            epoch * self.steps_per_epoch + step
            for epoch in range(self.recipe.epochs)
            for step in within
        )
