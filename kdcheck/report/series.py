"""Curves and final figures of each arm on each task: mean and spread over seeds."""

# Shapes: S seeds.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from kdcheck.claims import Arm, Paper, Reading
from kdcheck.errors import EvidenceError
from kdcheck.metrics import METRICS
from kdcheck.report.run_summary import RunSummary
from kdcheck.verdict import compare_with_published

Cells = Mapping[Arm, Mapping[str, Mapping[int, RunSummary]]]
"""Arm, task, seed: the run."""
DRAWN = (("test_sample", "mean_entropy_nats"), ("train_sample", "mean_entropy_nats"))
"""Split and metric of each curve."""
ALWAYS = ("mean_entropy_nats", "accuracy")


def metrics_shown(paper: Paper) -> list[str]:
    """Metrics of the finished models: these two, and whatever else the paper prints."""
    printed = {each.metric for each in paper.printed}
    others = (name for name, row in METRICS.items() if name in printed and row.at_each_look)
    return list(dict.fromkeys([*ALWAYS, *others]))


def curves(cells: Cells) -> list[dict[str, Any]]:
    """Entropy at every evaluation point, on samples of test and training text.

    An arm whose runs were looked at in the end alone has no curve.
    """
    return [
        {
            "arm": arm.key,
            "task": task,
            "split": split,
            "metric": metric,
            "points": _points(arm, list(seeds.values()), f"{split}/{metric}"),
        }
        for arm, task, seeds in _each(cells)
        for split, metric in DRAWN
        if all(_is_followed(run, f"{split}/{metric}") for run in seeds.values())
    ]


def finals(cells: Cells, paper: Paper, *, compared: bool = True) -> list[dict[str, Any]]:
    """Figures of the finished models on test text, beside the paper's where it has them.

    ``compared`` says whether ours could have been the paper's; a rehearsal's could not.
    """
    return [
        _final(Reading(metric, arm), task, seeds, paper, compared=compared)
        for arm, task, seeds in _each(cells)
        for metric in metrics_shown(paper)
    ]


def _each(cells: Cells) -> Iterator[tuple[Arm, str, Mapping[int, RunSummary]]]:
    return ((arm, task, seeds) for arm, tasks in cells.items() for task, seeds in tasks.items())


def _is_followed(run: RunSummary, name: str) -> bool:
    return len(run.points) > 1 and all(name in values for _, values in run.points)


def _points(arm: Arm, runs: Sequence[RunSummary], name: str) -> list[dict[str, float | None]]:
    # Seeds share a recipe but for the seed, and so their evaluation points.
    looks = {tuple(epoch for epoch, _ in run.points) for run in runs}
    if len(looks) > 1:
        got = " and ".join(f"looks at the epochs {_few(each)}" for each in sorted(looks)[:2])
        step = "One of them was altered, or is of another recipe; train them again."
        raise EvidenceError(f"curve of {arm.key}", got, "those of one recipe", step)
    by_point = zip(*(run.points for run in runs), strict=True)
    return [
        {"epoch": looks_S[0][0], **_spread([values[name] for _, values in looks_S])}
        for looks_S in by_point
    ]


def _few(epochs: Sequence[float]) -> str:
    shown = ", ".join(f"{epoch:g}" for epoch in epochs[:5])
    return f"{shown} and {len(epochs) - 5} more" if len(epochs) > 5 else shown


def _spread(values_S: Sequence[float]) -> dict[str, float | None]:
    return {"mean": fmean(values_S), "sd": stdev(values_S) if len(values_S) > 1 else None}


def _final(
    reading: Reading, task: str, seeds: Mapping[int, RunSummary], paper: Paper, *, compared: bool
) -> dict[str, Any]:
    values = {str(seed): run.final[reading.metric] for seed, run in seeds.items()}
    return {
        "arm": reading.arm.key,
        "task": task,
        "metric": reading.metric,
        "values": values,
        **_spread(list(values.values())),
        "paper": _printed(reading, task, list(values.values()) if compared else (), paper),
    }


def _printed(
    reading: Reading, task: str, values_S: Sequence[float], paper: Paper
) -> dict[str, Any] | None:
    """The paper's figure, and whether one more seed of ours could have printed it."""
    cell = paper.find(reading, task)
    if cell is None:
        return None
    comparison = None
    if len(set(values_S)) > 1:
        ours = compare_with_published(cell.value, values_S, half_width=cell.half_width)
        comparison = {"word": ours.word, "prediction_interval": list(ours.interval)}
    found = {"table": cell.table, "printed": cell.text, "value": cell.value}
    return found | {"comparison": comparison}
