"""Faulty studies: what was measured, with one thing gone wrong, as the guards of a verdict see it."""

# T tasks, S seeds

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck.claims.arm import Arm
from kdcheck.claims.contrast import reading
from kdcheck.verdict import Criterion, Measured, TaskEffects, judge
from kdcheck.zoo.entry import Control, Fault

SEEDS = (0, 1, 2, 3, 4)
SMOOTHED, PLAIN = (reading("mean_entropy_nats", Arm(method, "smaller")) for method in ("ls", "erm"))
CONTRAST = SMOOTHED - PLAIN
CRITERION = Criterion(
    claim="smoothing_raises_entropy",
    contrast=CONTRAST.text,
    tasks=("tweets", "snippets", "reviews"),
    margin=0.05,
    because="simulated",
    unit="nats",
)
Wrong = Callable[[Measured], Measured]
"""What was measured, with something gone wrong."""


def sound_study(seed: int) -> Measured:
    """Two arms on three tasks with five seeds, and all that the guards look at."""
    rng = np.random.default_rng(seed)
    tasks = {name: _task(rng, name) for name in CRITERION.tasks}
    return Measured(tasks=tasks, seeds_expected=len(SEEDS), contrast=CONTRAST)


def _task(rng: np.random.Generator, name: str) -> TaskEffects:
    values = {
        SMOOTHED.text: rng.normal(0.6, 0.05, len(SEEDS)),
        PLAIN.text: rng.normal(0.3, 0.05, len(SEEDS)),
    }
    return TaskEffects(
        seeds=SEEDS,
        effects=_floats(values[SMOOTHED.text] - values[PLAIN.text]),
        arms={arm: _floats(of_arm) for arm, of_arm in values.items()},
        limits=dict.fromkeys(values, (0.0, float(np.log(3)))),
        runs={arm: tuple(f"{arm} {name} {seed}" for seed in SEEDS) for arm in values},
        data=f"examples of {name}",
    )


def _floats(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values))


def _on_reviews(measured: Measured, change: Callable[[TaskEffects], dict[str, Any]]) -> Measured:
    """The last task changed."""
    task = measured.tasks["reviews"]
    return replace(measured, tasks={**measured.tasks, "reviews": replace(task, **change(task))})


def _with_arms(
    task: TaskEffects, **of_arm: Callable[[tuple[float, ...]], npt.ArrayLike]
) -> dict[str, Any]:
    """Other values of an arm, ``ls`` or ``erm``, and the effects that follow."""
    names = {"ls": SMOOTHED.text, "erm": PLAIN.text}
    arms = {**task.arms} | {
        names[a]: _floats(new(task.arms[names[a]])) for a, new in of_arm.items()
    }
    effects = np.subtract(arms[SMOOTHED.text], arms[PLAIN.text])
    return {"arms": arms, "effects": _floats(effects)}


def _kept(task: TaskEffects, places: list[int]) -> TaskEffects:
    """The task with these of its seeds."""

    def part(values: Any) -> Any:
        return tuple(values[at] for at in places)

    return replace(
        task,
        seeds=part(task.seeds),
        effects=part(task.effects),
        arms={name: part(values) for name, values in task.arms.items()},
        runs={name: part(digests) for name, digests in task.runs.items()},
    )


def seed_ignored(measured: Measured) -> Measured:
    """All seeds of an arm gave one run."""
    return _on_reviews(measured, lambda task: _with_arms(task, erm=lambda v: v[:1] * len(SEEDS)))


def seeds_duplicated(measured: Measured) -> Measured:
    """A seed was exported twice, on every task."""
    tasks = {name: _kept(task, [0, 1, 2, 3, 4, 4]) for name, task in measured.tasks.items()}
    return replace(measured, tasks=tasks)


def run_copied_under_another_seed(measured: Measured) -> Measured:
    """The runs of one seed stand in for those of another."""
    return _on_reviews(
        measured, lambda task: {"runs": {arm: (of[0], *of[:-1]) for arm, of in task.runs.items()}}
    )


def best_seeds_alone(measured: Measured) -> Measured:
    """Reports the three seeds with the largest effects."""
    total = np.sum([task.effects for task in measured.tasks.values()], axis=0)
    best = sorted(np.argsort(-total)[:3].tolist())
    return replace(measured, tasks={name: _kept(t, best) for name, t in measured.tasks.items()})


def extra_seed(measured: Measured) -> Measured:
    """The least welcome seed was drawn again, under a number that nobody registered."""
    tasks = {name: replace(t, seeds=(*t.seeds[:-1], 77)) for name, t in measured.tasks.items()}
    return replace(measured, tasks=tasks)


def task_left_out(measured: Measured) -> Measured:
    """Of three registered tasks two are reported."""
    kept = {name: task for name, task in measured.tasks.items() if name != "snippets"}
    return replace(measured, tasks=kept)


def one_task_under_two_names(measured: Measured) -> Measured:
    """The same test examples count as two tasks."""
    return _on_reviews(measured, lambda _: {"data": measured.tasks["tweets"].data})


def other_seeds_on_one_task(measured: Measured) -> Measured:
    """One task lacks a seed that the others have."""
    tasks = {**measured.tasks, "reviews": _kept(measured.tasks["reviews"], [0, 1, 2, 3])}
    return replace(measured, tasks=tasks)


def entropy_beyond_log_k(measured: Measured) -> Measured:
    """Entropies in bits, where those of three classes end at 1.0986 nats."""
    return _on_reviews(
        measured, lambda task: _with_arms(task, ls=lambda v: np.multiply(v, 2 / np.log(2)))
    )


def sign_turned(measured: Measured) -> Measured:
    """The difference was taken the other way round, after it was seen."""
    return _on_reviews(measured, lambda task: {"effects": _floats(np.negative(task.effects))})


def contrast_exchanged(measured: Measured) -> Measured:
    """Another contrast was measured than was registered."""
    return replace(measured, contrast=PLAIN - SMOOTHED)


def arm_against_itself(measured: Measured) -> Measured:
    """Both arms are one recipe, so that all differences are equal."""
    return _on_reviews(
        measured, lambda task: _with_arms(task, ls=lambda _: np.add(task.arms[PLAIN.text], 0.3))
    )


def diverged_run(measured: Measured) -> Measured:
    """One run ended in NaN."""
    return _on_reviews(measured, lambda task: _with_arms(task, ls=lambda v: (*v[:-1], np.nan)))


def collapsed_run(measured: Measured) -> Measured:
    """One run says one class of everything, and its entropy is counted."""
    return _on_reviews(measured, lambda _: {"degenerate_runs": ("ls with seed 3",)})


def _alarms(measured: Measured) -> tuple[str, ...]:
    fault = judge(CRITERION, measured).fault
    return () if fault is None else (fault.kind,)


def _fault(wrong: Wrong, name: str, defect: str, killed_by: str) -> Fault:
    return Fault(name, "study", defect, killed_by, lambda seed: _alarms(wrong(sound_study(seed))))


FAULTS: tuple[Fault, ...] = tuple(
    _fault(*row)
    for row in (
        (seed_ignored, "seed ignored in an arm", "one run read for all seeds", "SeedIgnored"),
        (seeds_duplicated, "seeds duplicated", "evidence that counts twice", "DuplicateSeeds"),
        (
            run_copied_under_another_seed,
            "one run under two seeds",
            "evidence that counts twice",
            "RunTwice",
        ),
        (best_seeds_alone, "best seeds reported", "runs that were thrown away", "FewerRuns"),
        (extra_seed, "a seed drawn again", "runs that nobody registered", "UnregisteredRuns"),
        (task_left_out, "a task left out", "runs that were thrown away", "FewerRuns"),
        (one_task_under_two_names, "one task under two names", "tasks that are one", "SameData"),
        (
            other_seeds_on_one_task,
            "other seeds on one task",
            "stores merged by hand",
            "UnequalSeeds",
        ),
        (entropy_beyond_log_k, "entropy beyond log K", "bits taken for nats", "OutOfRange"),
        (sign_turned, "difference turned round", "effect of other arms", "NotTheDifference"),
        (
            contrast_exchanged,
            "contrast exchanged",
            "claim changed after the run",
            "NotTheDifference",
        ),
        (
            arm_against_itself,
            "an arm against itself",
            "certainty without spread",
            "IdenticalDifferences",
        ),
        (diverged_run, "a run that diverged", "NaN averaged away", "NotFinite"),
        (collapsed_run, "a run that collapsed", "one class for everything", "DegenerateRun"),
    )
)
CONTROLS = (Control("a study of three tasks", "study", lambda seed: _alarms(sound_study(seed))),)
