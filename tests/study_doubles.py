"""Doubles for tests of the study: claims, a scale, evidence and a store in memory.

Splits, sizes, classes, tasks, seeds, rates, points and both encoders all differ, so that a mix-up of any
two of them changes a number.
"""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass, field

import numpy as np

from kdcheck.claims import Arm, Claim, nats
from kdcheck.errors import FailedBeforeError
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.recipe import Recipe
from kdcheck.study.scale import Scale
from kdcheck.study.study import Planned, Study
from kdcheck.tasks import Task
from kdcheck.testing import tiny_task

ERM_SMALL, ERM_LARGE = Arm("erm", "smaller"), Arm("erm", "larger")
LS_SMALL, LS_LARGE = Arm("ls", "smaller"), Arm("ls", "larger")
KD = Arm("kd", "smaller", teacher=ERM_LARGE)
SELF = Arm("own_kd", "smaller", teacher=ERM_SMALL)
BACK = Arm("back_kd", "larger", teacher=ERM_SMALL)

OBJECTIVES = {"erm": {"name": "erm"}, "ls": {"name": "ls", "alpha": 0.4}}
BUDGETS = {"erm": (1e-3, 3), "ls": (2e-3, 2), "kd": (3e-3, 4), "own_kd": (4e-3, 5), "back_kd": (5e-3, 6)}  # fmt: skip
"""Rate and epochs of each method."""
CLASSES = {"a": 3, "b": 2}
ROWS = {"test": 40, "validation": 26, "train_sample": 14, "test_sample": 18, "train": 60}


def scale(**changes) -> Scale:
    """A scale of two tasks and five methods, no two of them on one budget."""
    settings = {
        method: {
            size: {
                "objective": OBJECTIVES.get(method, {"name": "kd", "alpha": 0.5}),
                "learning_rate": rate * (2 if size == "larger" else 1),
                "epochs": epochs,
            }
            for size in ("smaller", "larger")
        }
        for method, (rate, epochs) in BUDGETS.items()
    }
    values = {
        "name": "made up", "pair": "tiny", "tasks": ("a", "b"), "seeds": 3,
        "training": {"batch_size": 8}, "methods": settings,
    }  # fmt: skip
    return Scale(**values | changes)


class NamedDigests:
    """Digests that are names, of data and weights that do not exist."""

    notes = ()

    def task(self, name: str) -> str:
        return f"content of {name}"

    def classes(self, name: str) -> int:
        return CLASSES[name]

    def whole(self, name: str) -> Task:
        return tiny_task(train=ROWS["train"], classes=CLASSES[name])

    def encoder(self, size: str) -> str:
        return f"weights of {size}"

    def encoder_name(self, size: str) -> str:
        return {"smaller": "tiny-1", "larger": "tiny-2"}[size]


def planned(make, claim_id: str = "c", **changes) -> Claim:
    """The claim that a test would plan: ``make`` takes the study and gives a contrast."""
    fields = {"says": "S.", "where": "s", "holds": "every", "margin": nats(0.0), "because": "b"}
    try:
        study = Study(Claim(id=claim_id, **fields | changes))
        study.judge(make(study))
    except Planned as caught:
        return caught.claim
    raise AssertionError("judge did not plan")


def entropy_gap(more: Arm, less: Arm, claim_id: str = "c", **changes) -> Claim:
    """A claim that one arm is less sure than another."""
    return planned(lambda study: study.entropy(more) - study.entropy(less), claim_id, **changes)


def predictions(recipe: Recipe, split: str, step: int) -> Predictions:
    """Logits that no other recipe, split or step has, surer as training goes on; some are wrong."""
    rows, classes = ROWS[split], CLASSES[recipe.task]
    chance = np.random.default_rng(zlib.crc32(f"{recipe.digest} {split} {step}".encode()))
    labels_N = np.arange(rows) % classes
    sure = {"erm": 2.0, "ls": 0.9}.get(recipe.objective.name, 2.6) + 0.25 * step
    sure += {"test": 0.0, "validation": 0.2}.get(split, 0.5) + (recipe.encoder == "tiny-2") * 0.4
    logits_NK = 0.3 * chance.normal(size=(rows, classes))
    logits_NK[np.arange(rows), labels_N] += sure
    wrong = 2 + 2 * (split == "test") + (recipe.objective.name == "ls") + recipe.seed % 3
    logits_NK[:wrong] = np.roll(logits_NK[:wrong], 1, axis=1)
    order = chance.permutation(rows)
    return Predictions(
        ids=tuple(f"{split}-{i}" for i in order),
        labels_N=labels_N[order],
        logits_NK=logits_NK[order].astype(np.float32),
    )


def evidence(recipe: Recipe) -> Evidence:
    """Evidence with two looks an epoch; its stored metrics are noise that no judge may use."""
    last = 2 * recipe.epochs
    points = tuple(
        EvaluationPoint(
            step=step,
            epoch=step / 2,
            predictions={
                split: predictions(recipe, split, step)
                for split in (ROWS if step == last else ("train_sample", "test_sample"))
            },
            values={"train/loss_nats": 1 / step},
            weights_digest=recipe.digest if step % 2 == 0 else "",
        )
        for step in range(1, last + 1)
    )
    cost = {"seconds": 1.0 + recipe.seed, "steps": float(len(points))}
    return Evidence(recipe=recipe, points=points, cost=cost, environment={"device": "cpu"})


def evidence_of(graph):
    """Where the made-up runs of a graph can be had by digest."""
    return lambda digest, trajectory=False: evidence(graph.recipes[digest])


@dataclass
class MemoryStore:
    """What :func:`kdcheck.study.work.work` needs of a store."""

    kept: dict[str, Evidence] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    left: bool = False

    def digests(self) -> set[str]:
        return set(self.kept)

    def failures(self) -> dict[str, str]:
        return dict(self.failed)

    def leave(self) -> None:
        self.left = True

    def get(self, digest: str) -> Evidence:
        return self.kept[digest]

    def begin(self, recipe: Recipe, *, role: str, claims, worker: str) -> Recipe | None:
        if recipe.digest in self.kept:
            return None
        if recipe.digest in self.failed:
            raise FailedBeforeError("store", "a recipe that failed", "one that did not", "Stop.")
        with self.lock:
            self.begun.append(recipe.digest)
        return recipe

    def finish(self, begun: Recipe, found: Evidence) -> None:
        self.kept[begun.digest] = found

    def fail(self, begun: Recipe, reason: str, status: str = "FAILED") -> None:
        if status == "FAILED":
            self.failed[begun.digest] = reason
