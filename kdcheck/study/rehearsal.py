"""A rehearsal: every run of a scale, each so short that all of them together take minutes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from kdcheck.claims import Arm
from kdcheck.study.scale import Scale
from kdcheck.tasks import SPLITS, Task
from kdcheck.verdict.words import REHEARSED

NAME = "rehearsal of"
"""Begins the name of its scale, in every place that shows one."""
SEEDS, FIRST_SEED = 3, 1000
"""Three, since two often count the same right answers on few rows, which no judge takes for a spread;
among the seeds for tuning, which no verdict comes from."""
LEARNED_WORDS, TRIED_WORDS = 4000, 1600
"""Training text of about so many words: enough for a pre-trained encoder to learn from where texts are
shortest, and less on other tasks, which as many words would not teach it either (decision 0133)."""
SHARES = {"train": 1.0, "validation": 0.125, "test": 0.5}
"""Rows of a split, as a share of the training rows."""
LEAST_ROWS = 16
RATE, RATE_OF_EPOCH = 3e-4, 1e-6
"""A few steps must do what thousands do, so the rate is raised. Each run has one epoch; those of the
scale go into the rate, so that runs that differ in them alone do not become one."""
AT_MOST = {"max_length": 24, "batch_size": 16, "curve_rows": 32}
LOOKS = 2
"""Per epoch, where there is any: a curve has two points at least."""
SHORTENED = (
    f"Each run has one epoch on few rows, at a rate of {RATE:g} and more, with texts of at most "
    f"{AT_MOST['max_length']} tokens."
)
ALL_MAY_COLLAPSE = "A run that names one class is no fault: few rows teach some tasks nothing."


def rehearsal_of(
    scale: Scale,
    pair: str | tuple[str, str],
    load_task: Callable[[str], Task],
    emulated: Collection[str] = (),
) -> Scale:
    """The scale with all its arms and tasks, on few rows, few steps, and any pair of encoders.

    It is another scale by name and by content, and every verdict at it is a REHEARSAL.

    Args:
        scale: the one to rehearse.
        pair: name of the encoder pair at hand, or its two encoders.
        load_task: a task of the scale by name.
        emulated: precisions that this machine is slow in; runs are in float32 instead.
    """
    short = partial(_short, emulated=emulated)
    named = pair if isinstance(pair, str) else " and ".join(pair)
    return replace(
        scale,
        name=f"{NAME} {scale.name}",
        pair=pair,
        seeds=SEEDS,
        first_seed=FIRST_SEED,
        training=short({**AT_MOST, **scale.training}),
        methods={
            method: {
                size: short(own) | {"tasks": _tasks(scale, Arm(method, size), short)}
                for size, own in sizes.items()
            }
            for method, sizes in scale.methods.items()
        },
        rows=_rows_of_tasks(scale, load_task),
        deviations=(
            *(REHEARSED, SHORTENED, ALL_MAY_COLLAPSE),
            *(() if pair == scale.pair else (f"The encoders are the pair {named}.",)),
            *(f"Of the scale that is rehearsed: {each}" for each in scale.deviations),
        ),
        needs_cuda=False,
        may_collapse=tuple(scale.methods),
        rehearsal=True,
    )


def _tasks(
    scale: Scale, arm: Arm, short: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """A method's own table of each task, with rate and epochs of a rehearsal."""
    tasks = {}
    for task in scale.tasks:
        settings = scale.settings(arm, task)
        rate = RATE + settings["learning_rate"] + RATE_OF_EPOCH * settings["epochs"]
        own = scale.methods[arm.method][arm.size].get("tasks", {}).get(task, {})
        tasks[task] = short(own) | {"learning_rate": rate, "epochs": 1}
    return tasks


def _short(table: Mapping[str, Any], emulated: Collection[str]) -> dict[str, Any]:
    """A table of recipe fields with the sizes of a rehearsal; tables of tasks in it alike."""
    short = {k: min(v, AT_MOST[k]) if k in AT_MOST else v for k, v in table.items()}
    if table.get("evaluations_per_epoch"):
        short["evaluations_per_epoch"] = LOOKS
    if table.get("precision") in emulated:
        short["precision"] = "float32"
    if "tasks" in table:
        short["tasks"] = {task: _short(own, emulated) for task, own in table["tasks"].items()}
    return short


def _rows_of_tasks(scale: Scale, load_task: Callable[[str], Task]) -> dict[str, Mapping[str, int]]:
    """How many rows of each split; never more than there are, or than the scale itself uses."""
    tasks = {name: load_task(name) for name in scale.tasks}
    words = {name: _words_of_a_row(task) for name, task in tasks.items()}
    shortest = min(words.values())
    rows: dict[str, Mapping[str, int]] = {}
    for name, task in tasks.items():
        train = (LEARNED_WORDS if words[name] == shortest else TRIED_WORDS) / words[name]
        most = {split: len(task.split(split)) for split in SPLITS} | dict(scale.rows.get(name, {}))
        rows[name] = {
            split: min(max(LEAST_ROWS, round(train * SHARES[split])), most[split])
            for split in SPLITS
        }
    return rows


def _words_of_a_row(task: Task) -> float:
    return sum(len(text.split()) for texts in task.train.texts for text in texts) / len(task.train)
