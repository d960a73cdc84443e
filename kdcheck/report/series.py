"""Curves and final figures of each arm on each task: mean and spread over seeds."""

# Shapes: S seeds.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from kdcheck.errors import InputError
from kdcheck.report.arms import Reading, read
from kdcheck.report.runs import Run
from kdcheck.verdict import compare_with_published

Cells = Mapping[str, Mapping[str, Mapping[int, Run]]]
"""Arm key, task, seed: the run."""
CURVES = ("test/mean_entropy_nats", "train_sample/mean_entropy_nats")
FINALS = ("test/mean_entropy_nats", "test/accuracy")


def curves(cells: Cells) -> list[dict[str, Any]]:
    """Entropy at every evaluation point, on test text and on a sample of training text.

    Args:
        cells: the runs.

    Returns:
        One entry per arm, task and metric; ``points`` hold epoch, mean and sd over seeds.

    Source: Figures 1 to 4.

    >>> curves({})
    []
    """
    return [
        {"arm": arm, "task": task, "metric": metric, "points": _points(list(seeds.values()), metric)}
        for arm, task, seeds in _each(cells)
        for metric in CURVES
        if all(metric in run.final for run in seeds.values())
    ]  # fmt: skip


def finals(cells: Cells) -> list[dict[str, Any]]:
    """Entropy and accuracy of the finished models, beside the paper's where it has them.

    Args:
        cells: the runs.

    Returns:
        One entry per arm, task and metric.

    Source: Tables 2 to 5 and 8 to 11.

    >>> finals({})
    []
    """
    return [
        _final(read(arm), arm, task, metric, seeds)
        for arm, task, seeds in _each(cells)
        for metric in FINALS
    ]


def _each(cells: Cells) -> Iterator[tuple[str, str, Mapping[int, Run]]]:
    return ((arm, task, seeds) for arm, tasks in cells.items() for task, seeds in tasks.items())


def _points(runs: Sequence[Run], metric: str) -> list[dict[str, float | None]]:
    # Seeds share a recipe but for the seed, and so their evaluation points.
    by_point = zip(*(run.points for run in runs), strict=True)
    return [
        {"epoch": looks_S[0][0], **_summary([values[metric] for _, values in looks_S])}
        for looks_S in by_point
    ]


def _summary(values_S: Sequence[float]) -> dict[str, float | None]:
    return {"mean": fmean(values_S), "sd": stdev(values_S) if len(values_S) > 1 else None}


def _final(
    reading: Reading, arm: str, task: str, metric: str, seeds: Mapping[int, Run]
) -> dict[str, Any]:
    values_S = [run.final[metric] for run in seeds.values()]
    return {
        "arm": arm,
        "task": task,
        "metric": metric,
        "values": {str(seed): run.final[metric] for seed, run in seeds.items()},
        **_summary(values_S),
        "paper": _paper(reading, task, metric, values_S),
    }


def _paper(
    reading: Reading, task: str, metric: str, values_S: Sequence[float]
) -> dict[str, Any] | None:
    """The paper's cell for an arm of its own, and whether one more seed could have printed it."""
    from kdcheck.paper import load_tables

    tables = load_tables()
    look_up = tables.accuracy if metric == "test/accuracy" else tables.entropy
    method = reading.method.removeprefix("tuned_")
    try:
        cell = look_up(task, method, reading.size, tuned=method != reading.method)
    except InputError:
        return None
    if not reading.is_plain:
        return None
    share = 0.01 if cell.unit == "%" else 1.0
    found: dict[str, Any] = {
        "table": cell.table,
        "printed": cell.printed,
        "value": cell.value * share,
        "comparison": None,
    }
    if len(set(values_S)) > 1:
        ours = compare_with_published(
            cell.value * share, values_S, half_width=cell.half_width * share
        )
        found["comparison"] = {"word": ours.word, "prediction_interval": list(ours.interval)}
    return found
