"""What a study costs besides training, measured: its start, its store, its verdicts and its page.

All of it is done once with two seeds, in a folder that is thrown away, on logits that are invented.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kdcheck.claims import Claim
from kdcheck.engine.predict import TEST_SAMPLE, TRAIN_SAMPLE
from kdcheck.engine.schedule import Schedule
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.evidence.store import Store
from kdcheck.places import Location, Places
from kdcheck.recipe import Recipe
from kdcheck.report import build, write
from kdcheck.study.resources import Resources
from kdcheck.study.scale import Scale
from kdcheck.study.session import Session
from kdcheck.study.work import Job
from kdcheck.tasks import Split, Task

SEEDS = 2
"""The fewest that can be judged."""


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Seconds."""

    start: float
    """Of planning, and of a store that is made."""
    put: float
    """Of a run: to store it."""
    get: float
    """Of a run: to read it back, as its students do."""
    judge_run: float
    """Of a run: to read it for verdicts and page."""
    judge_claim: float
    """Of a claim: to record its verdict."""


def overhead(claims: Sequence[Claim], scale: Scale, places: Places) -> Overhead:
    """Measure it on this machine; the claims' data must be at hand.

    Raises:
        KdcheckError: data or encoders are not at hand, or nothing can be written.
    """
    with tempfile.TemporaryDirectory(prefix="kdcheck-plan-") as folder:
        place = Location.parse(Path(folder) / "store")
        places = replace(places, store=place, work=Path(folder) / "work")
        began = time.perf_counter()
        session = Session(claims, scale, str(SEEDS), places)
        store = session.store
        start = time.perf_counter() - began
        job = session.job()
        put = _put(job, store, Resources(places))
        get = _get(store)
        began = time.perf_counter()
        assert session.verdicts
        judged = time.perf_counter()
        for claim in session.claims:
            session.record(session.judged(claim))
        recorded = time.perf_counter()
        write(build(store.claims(), store), Path(folder) / "page.html")
        shown = time.perf_counter() - recorded
        runs = len(job.orders)
    return Overhead(
        start=start,
        put=put / runs,
        get=get,
        judge_run=(judged - began + shown) / runs,
        judge_claim=(recorded - judged) / len(session.claims),
    )


def _put(job: Job, store: Store, resources: Resources) -> float:
    """Seconds of storing invented evidence of every order, its making left out."""
    spent = 0.0
    for order in job.orders:
        whole = order.teaches or order.recipe.teacher is None
        evidence = invented(order.recipe, resources.load_task(order.recipe.task), whole)
        began = time.perf_counter()
        begun = store.begin(order.recipe, role=order.role, claims=order.claims, worker="plan")
        assert begun is not None
        store.finish(begun, evidence)
        spent += time.perf_counter() - began
    return spent


def _get(store: Store) -> float:
    digests = sorted(store.digests())[:10]
    began = time.perf_counter()
    for digest in digests:
        store.get(digest)
    return (time.perf_counter() - began) / len(digests)


def invented(recipe: Recipe, task: Task, whole_train: bool) -> Evidence:
    """Evidence of the size that a run leaves, every logit of it drawn at random."""
    rng = np.random.default_rng(recipe.seed)
    sizes = {"train": recipe.train_rows, "validation": recipe.validation_rows}
    sizes |= {"test": recipe.test_rows}
    names = {TRAIN_SAMPLE: "train", TEST_SAMPLE: "test"}

    def seen(names: Mapping[str, str], most: int | None = None) -> dict[str, Predictions]:
        return {
            name: _predictions(task.split(split), task.num_classes, rng, most or sizes[split])
            for name, split in names.items()
        }

    schedule = Schedule(recipe, recipe.train_rows or len(task.train))
    points = []
    for step in sorted(schedule.evaluation_steps):
        predictions = seen(names, recipe.curve_rows)
        if step == schedule.total_steps:
            predictions |= seen(_same("validation", "test"))
            predictions |= seen(_same("train")) if whole_train else {}
        point = EvaluationPoint(
            step=step,
            epoch=step / schedule.steps_per_epoch,
            predictions=predictions,
            values={"train/loss_nats": 1.0},
            weights_digest="0" * 64,
        )
        points.append(point)
    cost = {"seconds": 1.0, "evaluation_seconds": 0.5, "steps": float(schedule.total_steps)}
    environment = {"device": "none", "torch": "none"}
    return Evidence(recipe=recipe, points=tuple(points), cost=cost, environment=environment)


def _same(*splits: str) -> dict[str, str]:
    return {split: split for split in splits}


def _predictions(
    split: Split, classes: int, rng: np.random.Generator, rows: int | None
) -> Predictions:
    ids, labels = split.ids[:rows], split.labels[:rows]
    labels_N = np.asarray(labels, dtype=np.int64)
    # Mostly right, as of a classifier: what is none is INVALID, and costs less to judge.
    logits_NK = rng.normal(size=(len(ids), classes)) + 3 * np.eye(classes)[labels_N]
    return Predictions(ids=ids, labels_N=labels_N, logits_NK=logits_NK.astype(np.float32))
