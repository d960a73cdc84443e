"""An invented paper and a small study of it: runs and effects are made up, the judging is real.

What a lock and a failed premise would say of a verdict is made up too. Whatever could be mixed up differs: splits, sizes, tasks and their K, seeds, rates, arms that differ in
teacher, temperature or budget alone, and every printed figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from kdcheck.claims import (
    Arm,
    Claim,
    Contrast,
    Figure,
    Line,
    Margin,
    Paper,
    Printed,
    PrintedTable,
    nats,
    plain,
    points,
    reading,
)
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.evidence.judged import Judged, RunTable
from kdcheck.objectives import ERM, Distillation, LabelSmoothing, Objective
from kdcheck.recipe import Recipe
from kdcheck.report import build
from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects, Verdict, Word, judge_family

CLASSES = {"fish": 2, "trees": 5, "birds": 3}
TASKS = tuple(CLASSES)
ROWS = {"fish": 1200, "trees": None, "birds": 345}
"""Training rows that a seed draws; of one task it takes all."""
DATA: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "fish": {
        "rows": {"train": 2400, "validation": 31, "test": 70},
        "marks": {"subset": "A subset was read, 7 of 9.", "cut": "Each run trains on 1,200."},
    },
    "trees": {"rows": {"train": 5000, "validation": 60, "test": 43}, "marks": {}},
    "birds": {
        "rows": {"train": 800, "validation": 30, "test": 46},
        "marks": {"cut": "Each run trains on 345."},
    },
}
"""Of each task the size of its splits, and what a figure on it must not be read without."""
LOCK = "5eed" * 16
PLAN = Plan(looks=(3, 5), supported=0.04, refuted=0.03, equivalent=0.02)
SEEDS = (11, 3, 12)
REGISTERED = (*SEEDS, 40, 41)
ENTROPY, ACCURACY, ECE = "mean_entropy_nats", "accuracy", "ece"

PLAIN, BIG = Arm("plainly", "smaller"), Arm("plainly", "larger")
SMOOTH = Arm("smooth", "smaller")
TAUGHT = Arm("taught", "smaller", teacher=BIG)
BY_SMOOTH = TAUGHT.taught_by(Arm("smooth", "larger"))
WARM = TAUGHT.taught_by(BIG, temperature=2)
LENT = TAUGHT.on_budget_of(SMOOTH)
ARMS = (PLAIN, BIG, SMOOTH, TAUGHT, BY_SMOOTH, WARM, LENT, Arm("smooth", "larger"))


def _printed(table: str, metric: str, arm: Arm, **tasks: str) -> list[Printed]:
    share = 0.01 if metric == ACCURACY else 1.0
    half = 0.05 if metric == ACCURACY else 0.0005
    return [
        Printed(table=table, task=task, metric=metric, arm=arm, value=round(float(text) * share, 6),
                half_width=half * share, text=text)
        for task, text in tasks.items()
    ]  # fmt: skip


PAPER = Paper(
    name="tulip",
    title="Do Tulips < Teach?",
    printed=(
        *_printed("21", ENTROPY, PLAIN, fish=".311", birds=".522"),
        *_printed("21", ENTROPY, SMOOTH, fish=".613", birds=".884"),
        *_printed("21", ENTROPY, TAUGHT, fish=".241", birds=".402"),
        *_printed("24", ENTROPY, BIG, fish=".207", birds=".459"),
        *_printed("22", ACCURACY, PLAIN, fish="81.7", birds="63.6"),
        *_printed("22", ACCURACY, TAUGHT, fish="82.9", birds="65.5"),
        *_printed("25", ACCURACY, BIG, fish="87.3", birds="74.1"),
        *_printed("26", ECE, PLAIN, fish=".083"),
    ),
    figures=(
        Figure(name="Figure 7", title="The small one", arms=(TAUGHT, PLAIN, SMOOTH)),
        Figure(name="Figure 9", title="The big one", arms=(BIG,), needs=(ARMS[-1],)),
    ),
    tables=(
        PrintedTable(
            number="21",
            title="entropy",
            holds="metric",
            metric=ENTROPY,
            columns=("fish", "birds"),
            lines=(
                Line(label="Plain one", texts=(".311", ".522"), arm=PLAIN),
                Line(label="Nobody's", texts=(".1", None), arm=Arm("unheard", "larger")),
            ),
        ),
        PrintedTable(
            number="27",
            title="chosen",
            holds="settings",
            columns=("alpha", "learning_rate"),
            lines=(
                Line(label="Smoothed, birds", texts=(".4", "2e-4"), arm=SMOOTH, task="birds"),
                Line(label="Smoothed, deer", texts=("", "2e-4"), arm=SMOOTH, task="deer"),
                Line(label="Plain, fish", texts=(None, "7e-4"), arm=PLAIN, task="fish"),
            ),
        ),
        PrintedTable(
            number="28",
            title="sizes",
            holds="rows",
            columns=("train", "test"),
            lines=(
                Line(label="Fish", texts=("2,500", "70"), task="fish"),
                Line(label="Deer", texts=("9", "8"), task="deer"),
            ),
        ),
        PrintedTable(
            number="20",
            title="grid",
            holds="grid",
            columns=("1", "2", "3"),
            arms=(PLAIN, SMOOTH),
            lines=(Line(label="epochs", texts=("2", "3", None)),),
        ),
    ),
    labels={"smooth": "Smoothed", "plainly": "Plain", "taught": "Taught"},
    colours={"plainly": "grey", "smooth": "orange"},
    arms=(PLAIN, BIG, SMOOTH, TAUGHT),
)


@cache
def recipe(arm: Arm, task: str, seed: int) -> Recipe:
    """Rates and epochs differ by method; a lender's are the borrower's."""
    number = ["plainly", "smooth", "taught"].index((arm.budget or arm).method)
    objectives: dict[str, Objective] = {
        "plainly": ERM(), "smooth": LabelSmoothing(alpha=0.3), "taught": Distillation(alpha=0.7),
    }  # fmt: skip
    return Recipe(
        task=task,
        task_digest=f"text of {task}",
        encoder={"smaller": "tiny-2", "larger": "tiny-4"}[arm.size],
        encoder_digest=arm.size,
        objective=objectives[arm.method],
        teacher=recipe(arm.teacher, task, seed) if arm.teacher else None,
        teacher_temperature=arm.teacher_temperature,
        learning_rate=(number + 1) * 1e-4,
        epochs=number + 2,
        train_rows=ROWS[task],
        seed=seed,
    )


def level(split: str, arm: Arm, task: str, seed: int, look: int) -> float:
    """Entropy at a look, as the engine is made to have seen it: no two are alike."""
    base, by_seed, fall = {
        "test": (0.50, 0.003, 0.031),
        "test_sample": (0.30, 0.001, 0.021),
        "train_sample": (0.10, 0.002, 0.011),
    }[split]
    where = 0.05 * ARMS.index(arm) + 0.013 * TASKS.index(task)
    return base + where + by_seed * seed - fall * look


@cache
def evidence(arm: Arm, task: str, seed: int) -> Evidence:
    """Random logits, surer for the larger model; every split has rows of its own."""
    place = (ARMS.index(arm), TASKS.index(task), seed)
    chance, classes = np.random.default_rng(place), CLASSES[task]
    made = recipe(arm, task, seed)
    predictions = {}
    for split, rows in (
        *(("test", 40 + 3 * place[1]), ("validation", 30)),
        *(("train_sample", 20), ("test_sample", 20)),
    ):
        labels_N = chance.integers(classes, size=rows)
        logits_NK = chance.normal(size=(rows, classes)) + 1.4 * np.eye(classes)[labels_N]
        predictions[split] = Predictions(
            ids=tuple(f"{split}-{row}" for row in range(rows)),
            labels_N=labels_N,
            logits_NK=((2 if arm.size == "larger" else 1) * logits_NK).astype(np.float32),
        )
    looks = [
        EvaluationPoint(
            step=10 * look,
            epoch=float(look),
            predictions={},
            values={
                f"{split}/{ENTROPY}": level(split, arm, task, seed, look)
                for split in ("test_sample", "train_sample")
            } | {f"test_sample/{ACCURACY}": 0.123},
            weights_digest="",
        )
        for look in range(1, made.epochs + 1)
    ]  # fmt: skip
    seen = {f"test/{ENTROPY}": level("test", arm, task, seed, made.epochs)}
    looks[-1] = replace(looks[-1], predictions=predictions, values={**looks[-1].values, **seen})
    number = 100 * place[0] + 10 * place[1] + SEEDS.index(seed)
    return Evidence(
        recipe=made,
        points=tuple(looks),
        cost={"seconds": 1.5 * number, "steps": 10.0 + number, "train_tokens": 5000.0 - number},
        environment={"torch": "2.13.0", "device": "cuda" if arm is BIG else "cpu"},
        notes=(f"3 texts of {task} were cut",),
    )


class MadeUp:
    """An evidence source in memory."""

    def __init__(self, runs: Mapping[str, Evidence]) -> None:
        self.runs = dict(runs)
        self.read: list[str] = []

    def digests(self) -> set[str]:
        return set(self.runs)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        self.read.append(digest)
        return self.runs[digest]


def source(seeds: Sequence[int] = SEEDS) -> MadeUp:
    runs = [evidence(arm, task, seed) for arm in ARMS for task in TASKS for seed in seeds]
    return MadeUp({run.recipe.digest: run for run in runs})


def entropy(arm: Arm) -> Contrast:
    return reading(ENTROPY, arm)


def accuracy(arm: Arm) -> Contrast:
    return reading(ACCURACY, arm)


def a_claim(claim_id: str, contrast: Contrast, margin: Margin, **changes: object) -> Claim:
    fields = {
        "says": f"What {claim_id} says.",
        "where": f"Part of {claim_id}",
        "holds": "every",
        "because": "less would not matter",
        "paper": PAPER,
    }
    return Claim(id=claim_id, contrast=contrast, margin=margin, **(fields | changes))  # type: ignore[arg-type]


SMOOTHING, TEACHERS, BUDGETS = "Smoothing & sureness", "What teachers do", "Budgets < sizes"
SURER = a_claim(
    "smooth_is_less_sure[smaller]", entropy(SMOOTH) - entropy(PLAIN), nats(0.05), theme=SMOOTHING
)
TEACHING = a_claim(
    "teaching_makes_less_sure", entropy(TAUGHT) - entropy(PLAIN), nats(0.04), theme=TEACHERS
)
SIZE = a_claim("size_is_one_thing", entropy(PLAIN) - entropy(BIG), nats(0.03), theme=BUDGETS)
AS_GOOD = a_claim(
    "as_good_as_plain", (accuracy(TAUGHT) - accuracy(PLAIN)) * 100, points(0.5),
    holds="most", direction="not_below", theme=SMOOTHING, rests_on=(SURER.id,),
)  # fmt: skip
WARMTH = a_claim(
    "warmth_hardly_matters", entropy(WARM) - entropy(BY_SMOOTH), nats(0.2),
    holds="some", direction="within", theme=TEACHERS, rests_on=(SURER.id,),
)  # fmt: skip
BUDGET = a_claim(
    "budget_matters", entropy(LENT) / entropy(SMOOTH) - 1.0, plain(0.2),
    holds="most", theme=BUDGETS,
)  # fmt: skip
HANDED = a_claim(
    "sureness_is_handed_on", entropy(BY_SMOOTH) - entropy(TAUGHT), nats(0.06),
    theme=TEACHERS, rests_on=(TEACHING.id, SURER.id),
)  # fmt: skip
UNRUN = a_claim("nobody_ran_this", entropy(ARMS[-1]) - entropy(BIG), nats(0.01), theme=BUDGETS)
UNTESTABLE = {HANDED.id: f"It rests on {TEACHING.id}, which is REFUTED."}
OTHER_SEEDS = "The seeds are 3, 11 and 12, not the registered ones."
EXPLORATORY = {
    WARMTH.id: (OTHER_SEEDS, "The margin is 0.2 nats, not 0.1 nats."),
    BUDGET.id: (OTHER_SEEDS,),
}
# By task, then by seed in the order 11, 3, 12.
EFFECTS: Mapping[str, tuple[tuple[float, ...], ...]] = {
    SURER.id: ((0.412, 0.405, 0.409), (0.731, 0.722, 0.735), (0.316, 0.311, 0.322)),
    TEACHING.id: ((-0.172, -0.175, -0.178), (-0.251, -0.259, -0.256), (-0.332, -0.337, -0.341)),
    SIZE.id: ((0.11, float("nan"), 0.13), (0.21, 0.22, 0.24), (0.31, 0.33, 0.36)),
    AS_GOOD.id: ((1.4, -0.9, 0.2), (2.1, -1.7, 0.6), (0.3, -0.4, 1.2)),
    WARMTH.id: ((0.014, 0.011, 0.017), (-0.021, -0.023, -0.026), (0.033, 0.037, 0.038)),
    HANDED.id: ((0.021, 0.034, 0.027), (0.051, 0.062, 0.048), (0.043, 0.031, 0.036)),
    BUDGET.id: ((0.0041, 0.0052, 0.0067), (0.0071, 0.0083, 0.0086), (-0.0031, -0.0046, -0.0049)),
}
CLAIMS = (SURER, TEACHING, SIZE, AS_GOOD, WARMTH, BUDGET, UNRUN, HANDED)
WORDS = {
    SURER.id: "SUPPORTED",
    TEACHING.id: "REFUTED",
    SIZE.id: "INVALID",
    AS_GOOD.id: "UNDECIDED",
    WARMTH.id: "SUPPORTED",
    BUDGET.id: "EQUIVALENT",
    UNRUN.id: "NOT_RUN",
    HANDED.id: "NOT_TESTABLE",
}


def study(
    claims: Sequence[Claim] = CLAIMS,
    *,
    tasks: Sequence[str] = TASKS,
    seeds: Sequence[int] = SEEDS,
    scale: str = "pocket",
) -> list[Judged]:
    """The claims, judged as one family on their made-up effects."""
    criteria = [
        Criterion(
            claim=claim.id, tasks=tuple(tasks), margin=claim.margin.size, because=claim.because,
            unit=claim.margin.unit, holds=claim.holds, scale=scale, seeds=REGISTERED,
            plan=PLAN,
            **_direction(claim),
        )
        for claim in claims
    ]  # fmt: skip
    measured = {each.id: measured_of(each, tasks, seeds) for each in claims if each.id in EFFECTS}
    verdicts = judge_family(criteria, measured)
    return [
        Judged(
            claim=claim,
            verdict=_as_registered(verdicts[claim.id]),
            table=table(claim if claim.id in measured else None, tasks, seeds),
            deviations=("Text is invented.", f"{claim.id} departs alone."),
            lock=LOCK,
            data={task: DATA[task] for task in tasks} if claim.id in measured else {},
        )
        for claim in claims
    ]


def _as_registered(verdict: Verdict) -> Verdict:
    claim = verdict.criterion.claim
    verdict = replace(verdict, exploratory=EXPLORATORY.get(claim, ()))
    if claim not in UNTESTABLE:
        return verdict
    return replace(verdict, word=Word.NOT_TESTABLE, untestable=UNTESTABLE[claim])


def _direction(claim: Claim) -> dict[str, str]:
    name = "direction" if "direction" in Criterion.__dataclass_fields__ else "says"
    return {name: claim.direction}


def measured_of(claim: Claim, tasks: Sequence[str], seeds: Sequence[int]) -> Measured:
    rows = {name: dict(zip(SEEDS, EFFECTS[claim.id][row], strict=True))
            for row, name in enumerate(TASKS)}  # fmt: skip
    return Measured(
        tasks={
            name: TaskEffects(seeds=tuple(seeds), effects=tuple(rows[name][s] for s in seeds))
            # Another order than the criterion's, which is the one to show.
            for name in sorted(tasks)
        }
    )


def table(claim: Claim | None, tasks: Sequence[str], seeds: Sequence[int]) -> RunTable:
    arms = claim.measures.arms() if claim else ()
    runs = {
        arm: {task: {seed: recipe(arm, task, seed).digest for seed in seeds} for task in tasks}
        for arm in arms
    }
    return RunTable(tuple(tasks), tuple(seeds), runs)


def record(**arguments: object) -> dict[str, object]:
    """The record of such a study."""
    return build(study(**arguments), source())  # type: ignore[arg-type]
