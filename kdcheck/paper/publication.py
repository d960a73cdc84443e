"""The paper as the machinery is told of it: printed figures, layout of its figures, and names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from kdcheck import theory
from kdcheck.claims.arm import Arm
from kdcheck.claims.paper import Figure, Paper, Printed
from kdcheck.paper import arms
from kdcheck.paper.arms import ERM, LS, TUNED, TUNED_LS
from kdcheck.paper.layouts import layouts
from kdcheck.paper.tables import CLASSES, SIZES, TASKS, Cell, Tables, load_tables

EXPERIMENTS = {False: "section 4", True: "appendix A.3"}
SMALLER = (ERM("smaller"), LS("smaller"), arms.STANDARD_KD, arms.SELF_KD)
LARGER = (ERM("larger"), LS("larger"), arms.REVERSE_KD)


def printed(tables: Tables) -> dict[Printed, Cell]:
    """Every figure that contrasts read, with the cell that it is taken from."""
    return {_printed(*figure): figure[-1] for figure in _figures(tables)}


def _figures(tables: Tables) -> Iterator[tuple[bool, str, str, Arm, Cell]]:
    """Experiment, task, metric, arm and cell."""
    for tuned, plain, task in product(EXPERIMENTS, (*SMALLER, *LARGER), TASKS):
        arm = TUNED.get(plain, plain) if tuned else plain
        of = (task, plain.method, plain.size)
        yield tuned, task, "mean_entropy_nats", arm, tables.entropy(*of, tuned=tuned)
        yield tuned, task, "accuracy", arm, tables.accuracy(*of, tuned=tuned)
        if plain == LS(plain.size):
            alpha = tables.setting(*of, "alpha", tuned=tuned)
            assert alpha is not None, "our copy has all rows of label smoothing"
            yield tuned, task, "smoothing_floor_nats", arm, alpha


def _printed(tuned: bool, task: str, metric: str, arm: Arm, cell: Cell) -> Printed:
    value, half_width, text = cell.value, cell.half_width, cell.printed
    if metric == "accuracy":
        value, half_width = value / 100, half_width / 100
    elif metric == "smoothing_floor_nats":
        # The paper prints the alpha; the floor follows from it, and its rounding from alpha's.
        value, least = (
            theory.smoothing_entropy_floor(alpha, CLASSES[task]) for alpha in (cell.value, cell.low)
        )
        half_width, text = value - least, f"alpha {text}"
    return Printed(
        table=cell.table,
        task=task,
        metric=metric,
        arm=arm,
        value=value,
        half_width=half_width,
        text=text,
        experiment=EXPERIMENTS[tuned],
    )


LABELS = {
    "erm": "ERM",
    "ls": "LS",
    "standard_kd": "Standard KD",
    "self_kd": "Self-KD",
    "reverse_kd": "Reverse KD",
    "tuned_ls": "LS, tuned α",
    "tuned_standard_kd": "Standard KD, tuned τ",
    "tuned_self_kd": "Self-KD, tuned τ",
    "tuned_reverse_kd": "Reverse KD, tuned τ",
    "virtual_teacher": "Virtual teacher",
    "erm_longer": "ERM, longer",
    "erm_poorly_trained": "ERM, poorly trained",
}
COLOURS = {
    "erm": "grey",
    "ls": "orange",
    "standard_kd": "blue",
    "self_kd": "green",
    "reverse_kd": "purple",
}
TUNED_STUDENTS = (arms.TUNED_STANDARD_KD, arms.TUNED_SELF_KD)
FIGURES = (
    Figure(name="Figure 1", title="The smaller model", arms=SMALLER),
    Figure(name="Figure 2", title="The larger model", arms=LARGER),
    Figure(
        name="Figure 3",
        title="The smaller model, temperature tuned",
        arms=(ERM("smaller"), TUNED_LS("smaller"), *TUNED_STUDENTS),
        needs=TUNED_STUDENTS,
    ),
    Figure(
        name="Figure 4",
        title="The larger model, temperature tuned",
        arms=(ERM("larger"), TUNED_LS("larger"), arms.TUNED_REVERSE_KD),
        needs=(arms.TUNED_REVERSE_KD,),
    ),
)
PAPER = Paper(
    name="kd-ls",
    title="Knowledge Distillation ≈ Label Smoothing: Fact or Fallacy?",
    printed=tuple(printed(load_tables())),
    figures=FIGURES,
    tables=layouts(load_tables()),
    labels=LABELS,
    colours=COLOURS
    | {f"tuned_{method}": hue for method, hue in COLOURS.items() if method != "erm"},
    arms=(
        *SMALLER,
        *LARGER,
        *TUNED.values(),
        *map(arms.VIRTUAL_TEACHER, SIZES),
        arms.LONGER,
        arms.POORLY_TRAINED,
    ),
    scales=str(Path(__file__).with_name("scales")),
    default_scale="embedded",
    gpu_scale="paper",
)
"""Everything in it is data: the machinery that trains, judges and reports names none of it."""
