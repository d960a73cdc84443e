"""Invented evidence that differs in everything, claims judged on it, and a store without MLflow.

Splits differ in size, tasks in classes, runs in every number: whatever is swapped, lost or taken from
another run is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kdcheck.claims import Arm, Claim, Contrast, Margin, Paper, reading
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.evidence.judged import Judged, RunTable, selected
from kdcheck.evidence.layout import CLAIMS, REASON, TRAININGS
from kdcheck.evidence.store import Store
from kdcheck.evidence.views import experiment_tags
from kdcheck.objectives import ERM, Distillation, LabelSmoothing
from kdcheck.places import Location
from kdcheck.recipe import Recipe
from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects, judge_family

CLASSES = {"letters": 3, "dozens": 12}
ROWS = {"validation": 5, "test": 7, "train_sample": 4, "test_sample": 3, "train": 9}
"""Rows of each split: samples at every look, splits at the end, ``train`` by teachers alone."""
STEPS = (10, 25, 45)
PLAIN, SMOOTHED = Arm("plain", "smaller"), Arm("smoothed", "smaller")
TEACHER = Arm("plain", "larger")
TAUGHT = Arm("taught", "smaller", teacher=TEACHER)
OBJECTIVES = {
    "plain": ERM(),
    "smoothed": LabelSmoothing(alpha=0.3),
    "taught": Distillation(alpha=0.5),
}
ONE, OTHER = Paper(name="one", title="One"), Paper(name="other", title="Another")


def sample_recipe(seed: int = 0, *, task: str = "letters", arm: Arm = SMOOTHED) -> Recipe:
    """The recipe of an arm on a task that does not exist, its teacher's inside."""
    return Recipe(
        task=task,
        task_digest=f"{len(task):064x}",
        encoder={"smaller": "tiny-2", "larger": "tiny-4"}[arm.size],
        encoder_digest=arm.size[0] * 64,
        objective=OBJECTIVES[arm.method],
        learning_rate=5e-5,
        epochs=4,
        seed=seed,
        teacher=sample_recipe(seed, task=task, arm=arm.teacher) if arm.teacher else None,
    )


def sample_evidence(
    recipe: Recipe | int = 0,
    *,
    steps: Sequence[int] = STEPS,
    rows: Mapping[str, int] = ROWS,
    classes: int | None = None,
) -> Evidence:
    """Evidence of a recipe, or of that of a seed, all numbers drawn by its digest."""
    recipe = sample_recipe(recipe) if isinstance(recipe, int) else recipe
    random = np.random.default_rng(int(recipe.digest[:8], 16))
    classes = classes or CLASSES[recipe.task]

    def predictions(split: str) -> Predictions:
        count = rows[split]
        return Predictions(
            # In an order that is not that of the alphabet.
            ids=tuple(f"{split}-{row}" for row in random.permutation(count)),
            labels_N=random.permutation(np.arange(count) % classes),
            logits_NK=random.normal(size=(count, classes)).astype(np.float32),
        )

    def point(number: int, step: int) -> EvaluationPoint:
        splits = ["train_sample", "test_sample"]
        names = ["test_sample/mean_entropy_nats", "test_sample/accuracy"]
        if step == steps[-1]:
            splits += ["test", "validation", *(["train"] * (recipe.encoder == "tiny-4"))]
            names += ["test/mean_entropy_nats", "test/accuracy", "validation/accuracy"]
        return EvaluationPoint(
            step=step,
            epoch=1.5 * number,
            predictions={split: predictions(split) for split in splits},
            values={name: float(random.random()) for name in names},
            weights_digest=f"{random.integers(2**60):064x}",
        )

    return Evidence(
        recipe=recipe,
        points=tuple(point(number, step) for number, step in enumerate(steps, 1)),
        cost={"seconds": float(random.random()), "tokens": float(random.integers(9999))},
        environment={"torch": "2.6.0", "device": f"cpu of {recipe.short}"},
        notes=(f"{random.integers(99)} texts were cut", "memory ran out once"),
    )


def sample_table(arms: Sequence[Arm], seeds: Sequence[int] = (0, 1, 2)) -> RunTable:
    """The runs of arms on both tasks."""
    return RunTable(
        tuple(CLASSES),
        tuple(seeds),
        {
            arm: {
                task: {seed: sample_recipe(seed, task=task, arm=arm).digest for seed in seeds}
                for task in CLASSES
            }
            for arm in arms
        },
    )


def sample_judged(
    claim_id: str = "smoothing_raises_entropy[smaller]",
    *,
    paper: Paper = ONE,
    scale: str = "small",
    contrast: Contrast | None = None,
    effect: float = 0.5,
    seeds: Sequence[int] = (0, 1, 2),
    **claim: Any,
) -> Judged:
    """A claim judged on invented effects around ``effect``, SUPPORTED or, below 0, REFUTED."""
    if contrast is None:
        contrast = reading("mean_entropy_nats", SMOOTHED) - reading("mean_entropy_nats", PLAIN)
    fields: dict[str, Any] = {
        "says": "Smoothing raises entropy.",
        "where": "its table 4",
        "holds": "every",
        "margin": Margin(0.05, "nats"),
        "because": "a third of the smallest gap",
    } | claim
    claimed = Claim(id=claim_id, paper=paper, contrast=contrast, **fields)
    criterion = Criterion(
        claim=claimed.id,
        tasks=tuple(CLASSES),
        margin=claimed.margin.size,
        because=claimed.because,
        unit=claimed.margin.unit,
        contrast=contrast.text,
        holds=claimed.holds,
        paper=paper.name,
        scale=scale,
        seeds=tuple(range(12)),
        plan=Plan.of(3),
    )
    spread = np.array([0.011, -0.007, 0.002, 0.005, -0.004, 0.009, -0.01, 0.001, -0.002, 0.003])
    effects = {
        task: TaskEffects(seeds=tuple(seeds), effects=tuple(effect + spread[list(seeds)] * scaled))
        for task, scaled in zip(CLASSES, (1.0, 1.3), strict=True)
    }
    verdict = judge_family([criterion], {claimed.id: Measured(tasks=effects)})[claimed.id]
    deviations = ("Tasks are cut to a few rows.", "There is no second task of that kind.")
    return Judged(claimed, verdict, sample_table(contrast.arms(), seeds), deviations)


def recipes_of(judged: Judged) -> dict[str, Recipe]:
    """By digest, the recipes of the runs that a claim rests on, and of their teachers."""
    table = judged.table
    found = [
        sample_recipe(seed, task=task, arm=arm)
        for arm in table.runs
        for task in table.tasks
        for seed in table.seeds
    ]
    found += [recipe.teacher for recipe in found if recipe.teacher]
    return {recipe.digest: recipe for recipe in found}


@dataclass
class MemorySource:
    """A source without MLflow and without files: claims, and the runs that they rest on."""

    judged: Sequence[Judged]
    broken: str = ""
    """Digest of a run that cannot be read."""
    locks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Sections by digest."""

    @property
    def recipes(self) -> dict[str, Recipe]:
        return {digest: r for each in self.judged for digest, r in recipes_of(each).items()}

    def digests(self) -> set[str]:
        return set(self.recipes)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        if digest == self.broken:
            raise OSError("a broken run")
        return sample_evidence(self.recipes[digest])

    def claims(self, *, paper: str | None = None, scale: str | None = None) -> tuple[Judged, ...]:
        return selected(self.judged, paper, scale)

    def lock(self, digest: str) -> Mapping[str, Any]:
        return self.locks[digest]


@dataclass
class MemoryTracking:
    """:class:`kdcheck.evidence.tracking.Tracking` without MLflow, for tests of the store's rules."""

    experiments: dict[str, str] = field(default_factory=lambda: {TRAININGS: "1", CLAIMS: "2"})
    runs: list[Any] = field(default_factory=list)

    def search(self, name: str, condition: str) -> list[Any]:
        wanted = re.findall(r"([\w.]+) (?:=|LIKE) '([^']*)'", condition.replace("`", ""))
        assert len(wanted) == len(condition.split(" AND ")) * bool(condition), condition

        def meets(run: Any, key: str, value: str) -> bool:
            kind, _, name = key.partition(".")
            found = run.info.status if kind == "attributes" else run.data.tags.get(name)
            return found is not None and value in ("%", found)

        mine = [run for run in self.runs if run.experiment == name]
        return [run for run in mine if all(meets(run, *each) for each in wanted)]

    def add(self, name: str, tags: Mapping[str, str]) -> Any:
        info = SimpleNamespace(run_id=f"{len(self.runs):032x}", status="RUNNING", reason=None)
        data = SimpleNamespace(tags=dict(tags), params={}, metrics=[])
        self.runs.append(SimpleNamespace(experiment=name, info=info, data=data, files={}))
        return self.runs[-1]

    def states(self, name: str, tag: str, value: str) -> list[str]:
        return [run.info.status for run in self.search(name, f"tags.{tag} = '{value}'")]

    def state(self, run_id: str, tag: str) -> tuple[str, str | None]:
        run = self.look(run_id)
        return run.info.status, run.data.tags.get(tag)

    def look(self, run_id: str) -> Any:
        return self.runs[int(run_id, 16)]

    def restart(self, run_id: str) -> None:
        self.look(run_id).info.status = "RUNNING"

    def log(self, run: Any, *, params: Any = (), tags: Any = (), metrics: Any = ()) -> None:
        run.data.params |= dict(params)
        run.data.tags |= dict(tags)
        run.data.metrics += metrics

    def finished(self, digest: str | None = None) -> list[Any]:
        of_digest = f" AND tags.digest = '{digest}'" if digest else ""
        return self.search(TRAININGS, f"attributes.status = 'FINISHED'{of_digest}")

    def finish(self, run: Any, **left: Any) -> None:
        self.log(run, **left)
        self.end(run.info.run_id, "FINISHED")

    def put(self, run: Any, folder: Path) -> None:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        run.files |= files

    def end(self, run_id: str, status: str, reason: str | None = None) -> None:
        self.look(run_id).info.status, self.look(run_id).info.reason = status, reason
        if reason is not None:
            self.tag(run_id, REASON, reason)

    def tag(self, run_id: str, name: str, value: str) -> None:
        self.look(run_id).data.tags[name] = value

    def describe(self, name: str, claims: Sequence[Judged]) -> None:
        self.tags |= experiment_tags(self.experiments, name, claims)

    def reader(self, run: Any) -> Callable[[str], bytes]:
        return run.files.__getitem__


def memory_store(folder: Path, tracking: MemoryTracking | None = None) -> Store:
    """A store whose rules are real and whose MLflow is not."""
    return Store(Location.parse(folder), tracking or MemoryTracking())  # type: ignore[arg-type]


def add(store: Store, recipe: Recipe | int = 0, **options: Any) -> str:
    """Begin and finish a training with its own evidence; its digest."""
    recipe = sample_recipe(recipe) if isinstance(recipe, int) else recipe
    values = {"role": "taught/smaller", "claims": ["c[a]"], "worker": "gw0"} | options
    begun = store.begin(recipe, **values)
    assert begun is not None
    store.finish(begun, sample_evidence(recipe))
    return recipe.digest


def record(store: Store, judged: Judged, lock: Mapping[str, Any] | None = None) -> str:
    """Store a claim, after the runs that it rests on, with its section of a lock."""
    roles = {
        digest: arm.key
        for arm, tasks in judged.table.runs.items()
        for seeds in tasks.values()
        for digest in seeds.values()
    }
    for digest, recipe in recipes_of(judged).items():
        if digest not in store.digests():
            add(store, recipe, role=roles.get(digest, "teacher"), claims=[])
    return store.record_claim(judged, lock)


def with_values(evidence: Evidence, **values: float) -> Evidence:
    """The same with other metrics at its last point, the only one left."""
    return replace(evidence, points=(replace(evidence.final, values=values),))
