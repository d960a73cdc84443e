"""Doubles for tests of the study: questions, a scale, evidence and a store in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from kdcheck.claims import Claim, nats
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.recipe import Recipe
from kdcheck.study.graph import Question
from kdcheck.study.scale import Scale
from kdcheck.study.study import Planned, Study

METHODS = ("erm", "ls", "standard_kd", "self_kd", "reverse_kd")
OBJECTIVES = {"erm": {"name": "erm"}, "ls": {"name": "ls", "alpha": 0.4}}


def scale(**changes) -> Scale:
    """A scale of two tasks and every basic method."""
    settings = {
        method: {
            size: {
                "objective": OBJECTIVES.get(method, {"name": "kd", "alpha": 0.5}),
                "learning_rate": 1e-3,
                "epochs": 3 if method in OBJECTIVES else 4,
            }
            for size in ("smaller", "larger")
        }
        for method in METHODS
    }
    values = {
        "name": "made up", "pair": "tiny", "tasks": ("a", "b"), "seeds": 3,
        "training": {"batch_size": 8}, "methods": settings,
    }  # fmt: skip
    return Scale(**values | changes)


def question(make, claim_id: str = "c", **claim) -> Question:
    """The question that a claim test would ask: ``make`` takes the study and gives a contrast."""
    declared = Claim(
        id=claim_id, says="S.", where="s", holds="every", margin=nats(0.0), because="b", **claim
    )
    study = Study(declared)
    try:
        study.judge(make(study))
    except Planned as planned:
        return planned.question
    raise AssertionError("judge did not plan")


def evidence(recipe: Recipe, *, entropy: float = 0.5, rows: int = 20) -> Evidence:
    """Evidence whose curve falls to the given entropy."""
    rng = np.random.default_rng(int(recipe.digest[:8], 16))
    part = Predictions(
        ids=tuple(f"{i}" for i in range(rows)),
        labels_N=np.arange(rows) % 2,
        logits_NK=rng.normal(size=(rows, 2)).astype(np.float32),
    )
    points = tuple(
        EvaluationPoint(
            step=step,
            epoch=step / 2,
            predictions={"test": part, "validation": part, "train": part},
            values={"test/mean_entropy_nats": entropy + 0.1 * (2 - step), "test/accuracy": 0.75},
            weights_digest=recipe.digest if step == 2 else "",
        )
        for step in (1, 2)
    )
    return Evidence(recipe=recipe, points=points, cost={"seconds": 1.0}, environment={})


@dataclass
class MemoryStore:
    """What :func:`kdcheck.study.work.work` needs of a store."""

    kept: dict[str, Evidence] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def digests(self) -> set[str]:
        return set(self.kept)

    def get(self, digest: str) -> Evidence:
        return self.kept[digest]

    def begin(self, recipe: Recipe, *, role: str, claims, worker: str) -> Recipe | None:
        if recipe.digest in self.kept:
            return None
        with self.lock:
            self.begun.append(recipe.digest)
        return recipe

    def finish(self, begun: Recipe, found: Evidence) -> None:
        self.kept[begun.digest] = found

    def fail(self, begun: Recipe, reason: str) -> None:
        self.failed[begun.digest] = reason
