"""The entropy curves of the paper's Figures 1 to 4, drawn from our seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcheck.report import lines, wording
from kdcheck.report.markup import Markup, tag

Record = Mapping[str, Any]
SPLITS = {
    "test/mean_entropy_nats": "test text",
    "train_sample/mean_entropy_nats": "training text",
}
COLOURS = {
    "erm": "erm",
    "ls": "ls",
    "standard_kd": "standard",
    "self_kd": "self",
    "reverse_kd": "reverse",
}
"""CSS class of each method; tuned ones take that of the method they tune."""


@dataclass(frozen=True)
class Figure:
    """Which arms a figure of the paper compares.

    Source: Figures 1 to 4.

    >>> [figure.number for figure in FIGURES if figure.size == "larger"]
    [2, 4]
    """

    number: int
    title: str
    size: str
    methods: tuple[str, ...]
    needs: frozenset[str]
    """At least one of these must have been run; ERM and LS alone make no figure of their own."""


FIGURES = (
    Figure(1, "The smaller model", "smaller", ("erm", "ls", "standard_kd", "self_kd"),
           frozenset({"erm", "ls", "standard_kd", "self_kd"})),
    Figure(2, "The larger model", "larger", ("erm", "ls", "reverse_kd"),
           frozenset({"erm", "ls", "reverse_kd"})),
    Figure(3, "The smaller model, temperature tuned", "smaller",
           ("erm", "ls", "tuned_standard_kd", "tuned_self_kd"),
           frozenset({"tuned_standard_kd", "tuned_self_kd"})),
    Figure(4, "The larger model, temperature tuned", "larger",
           ("erm", "tuned_ls", "tuned_reverse_kd"),
           frozenset({"tuned_reverse_kd"})),
)  # fmt: skip


def figures(record: Record) -> list[Markup]:
    """The figures for which there are runs.

    Args:
        record: of the report.

    Returns:
        One figure each: two panels per task, on test and on training text, with equal axes.

    Source: Figures 1 to 4.

    >>> figures({"tasks": [], "arms": [], "curves": []})
    []
    """
    return [shown for figure in FIGURES if (shown := _figure(figure, record)) is not None]


def _figure(figure: Figure, record: Record) -> Markup | None:
    arms = {
        arm["key"]: arm
        for arm in record["arms"]
        if arm["plain"] and arm["size"] == figure.size and arm["method"] in figure.methods
    }
    curves = [c | {"label": arms[c["arm"]]["label"]} for c in record["curves"] if c["arm"] in arms]
    if not curves or not any(arm["method"] in figure.needs for arm in arms.values()):
        return None
    classes = {key: f"method {_colour(arm['method'])}" for key, arm in arms.items()}
    ordered = sorted(arms.values(), key=lambda arm: figure.methods.index(arm["method"]))
    heading = f"{figure.title}: entropy while training"
    return tag(
        "figure",
        tag("figcaption", tag("h3", heading), tag("p", _caption(figure), class_="quiet")),
        tag("ul", [_key(arm) for arm in ordered], class_="legend"),
        tag("div", list(_panels(record, curves, classes)), class_="panels"),
        class_="curves",
    )


def _caption(figure: Figure) -> str:
    return (
        f"After Figure {figure.number} of the paper. Lines are means over seeds, bands one "
        "standard deviation; each method trains for its own number of epochs."
    )


def _colour(method: str) -> str:
    return COLOURS.get(method.removeprefix("tuned_"), "other")


def _key(arm: Record) -> Markup:
    sample = tag("svg", tag("path", d="M0 6H28", class_="line"), viewBox="0 0 28 12",
                 class_=f"method {_colour(arm['method'])}", aria_hidden="true")  # fmt: skip
    return tag("li", sample, arm["label"])


def _panels(
    record: Record, curves: Sequence[Record], classes: Mapping[str, str]
) -> Iterator[Markup]:
    for task in record["tasks"]:
        of_task = [curve for curve in curves if curve["task"] == task["name"]]
        for metric, split in SPLITS.items():
            chosen = [curve for curve in of_task if curve["metric"] == metric]
            if not chosen:
                continue
            title = f"{task['name']}, {split}"
            said = f"Entropy on {title}: {wording.listed([_end(curve) for curve in chosen])}"
            drawing = lines.panel(chosen, classes, 1.05 * lines.highest(of_task), said)
            yield tag("div", tag("h4", title), drawing, class_="panel")


def _end(curve: Record) -> str:
    return f"{curve['label']} ends at {curve['points'][-1]['mean']:.3f}"
