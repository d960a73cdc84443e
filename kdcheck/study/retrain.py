"""Training a random share of stored runs again, to see whether they leave what is stored."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from kdcheck import metrics
from kdcheck.engine.loop import train
from kdcheck.errors import OptionError
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.evidence.source import EvidenceSource
from kdcheck.recipe import Recipe
from kdcheck.study.examine import close
from kdcheck.study.resources import Resources

SAME_MODEL = 1e-4
"""Between posteriors, and between metrics, of one and the same weights."""
TOLERANCE = 0.005
"""Mean over examples of the largest difference of a posterior, where the weights are not the same: another
machine adds in another order, and training lets that grow. Decision 0114 has what was measured."""
ROUNDING = 1e-12


@dataclass(frozen=True)
class Retrained:
    """A stored run beside the same trained again."""

    stored: Evidence
    again: Evidence

    @property
    def same_weights(self) -> bool:
        """Whether the weights agree in every bit, as they must on one machine, build and device."""
        return self.stored.weights_digest == self.again.weights_digest

    @cached_property
    def distances(self) -> dict[str, tuple[float, float]]:
        """By split: the largest difference of a posterior, mean over examples and largest of all."""
        found = {}
        for split, part in self.stored.final.predictions.items():
            if split in self.again.final.predictions:
                other = self.again.final.predictions[split].aligned(part.ids)
                apart_N = np.abs(_posteriors(part) - _posteriors(other)).max(axis=1)
                found[split] = float(apart_N.mean()), float(apart_N.max())
        return found

    @property
    def distance(self) -> str:
        """How far the posteriors on test text are from the stored ones, in words."""
        mean, largest = self.distances.get("test", (math.nan, math.nan))
        return f"posteriors on test are {mean:.2g} apart in the mean, {largest:.2g} at most"

    @property
    def differences(self) -> tuple[str, ...]:
        """What does not agree, a sentence's part each."""
        found = self._of_same_weights() if self.same_weights else self._of_other_weights()
        return (*self._unlike(), *found)

    def _unlike(self) -> Iterator[str]:
        """What no machine may change: looks, splits and labels."""
        now, then = ([point.step for point in each.points] for each in (self.again, self.stored))
        if now != then:
            yield f"looks at steps {now}, stored are {then}"
        for split, part in self.stored.final.predictions.items():
            if split not in self.distances:
                yield f"it leaves no logits on {split}"
                continue
            other = self.again.final.predictions[split].aligned(part.ids)
            if (wrong := int((part.labels_N != other.labels_N).sum())) > 0:
                yield f"{wrong} labels on {split} are not those of the task"

    def _of_same_weights(self) -> Iterator[str]:
        for split, (_, largest) in self.distances.items():
            if largest > SAME_MODEL:
                yield f"posteriors on {split} are up to {largest:.2g} from those of these weights"
        for now, then in zip(self.again.points, self.stored.points, strict=False):
            for name, value in now.values.items():
                kept = then.values.get(name, value)
                if not close(kept, value, SAME_MODEL):
                    yield f"{name} at step {now.step} is {value:.6g}, stored is {kept:.6g}"

    def _of_other_weights(self) -> Iterator[str]:
        for split, (mean, _) in self.distances.items():
            if mean > TOLERANCE:
                yield (
                    f"posteriors on {split} are {mean:.2g} from those stored in the mean over examples, "
                    f"more than {TOLERANCE:g}"
                )


def check_share(share: float) -> None:
    """Refuse a share that draws nothing, or more than there is.

    Raises:
        OptionError: a share that is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        wanted = "a share above 0 and at most 1"
        raise OptionError("--retrain", f"{share:g}", wanted, "Say 0.05 for one run in twenty.")


def draw(digests: Collection[str], share: float, seed: int) -> list[str]:
    """The runs that a seed draws: that share of them, at least one; as :func:`check_share` says."""
    check_share(share)
    count = max(1, math.ceil(share * len(digests) - ROUNDING))
    return random.Random(seed).sample(sorted(digests), count)  # noqa: S311 - to be repeated


def retrain(
    source: EvidenceSource, digests: Collection[str], resources: Resources
) -> Iterator[Retrained]:
    """Train runs again, each after its teacher, and hold them against what is stored.

    Raises:
        KdcheckError: data or encoders are not at hand, or not those that the recipe names.
    """

    @lru_cache(maxsize=16)
    def trained(recipe: Recipe) -> Evidence:
        before = trained(recipe.teacher) if recipe.teacher else None
        teacher = before.final.predictions["train"] if before else None
        return train(recipe, resources.inputs_of(recipe), teacher=teacher, predict_train=True)

    for digest in digests:
        stored = source.get(digest)
        yield Retrained(stored, trained(stored.recipe))


def _posteriors(part: Predictions) -> npt.NDArray[np.float64]:
    return np.exp(metrics.Seen(logits_NK=part.logits_NK, labels_N=part.labels_N).log_p_NK)
