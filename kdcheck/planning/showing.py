"""A plan as a table for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kdcheck.planning.bought import SEEDS
from kdcheck.plural import plural

Rows = Sequence[Sequence[str]]
Layout = Callable[[Rows], list[str]]

NOTED_STRETCH = 1.05
ABOUT_HOURS = (
    "On one GPU, by a model and not by measurement (docs/guides/plan.md): with one worker, which waits for its "
    "host, and with so many that the GPU never waits."
)
ABOUT_CLAIMS = (
    "A claim's cost is that of its runs and of those that its premises need. Under each number of seeds stands "
    "how far beyond its margin an effect must lie to be SUPPORTED with power 80 %, at the spreads of {}, in the "
    "claim's own unit; in print: how far beyond it the paper's figures lie, on as many tasks as the claim needs."
)


def as_text(plan: Mapping[str, Any]) -> str:
    """Sections for a terminal."""
    return "\n".join(_page(plan, "", _aligned))


def as_markdown(plan: Mapping[str, Any]) -> str:
    """The same as a document."""
    return "\n".join(_page(plan, "## ", _piped))


def as_json(plan: Mapping[str, Any]) -> str:
    """Every figure, unrounded."""
    return json.dumps(plan, indent=1)


FORMATS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "table": as_text,
    "json": as_json,
    "markdown": as_markdown,
}


def _page(plan: Mapping[str, Any], mark: str, layout: Layout) -> list[str]:
    sections = (
        ("Work", [*layout(_work(plan)), "", *_sums(plan)]),
        ("Hours", [*layout(_hours(plan)), "", *_about_hours(plan)]),
        ("What seeds buy", layout(_seeds(plan))),
        ("Each claim", [*layout(_claims(plan)), "", *_about_claims(plan)]),
        ("Not at hand", plan["notes"]),
    )
    lines = [
        f"{plan['scale']} scale, {plural(plan['seeds'], 'seed')}, {plural(plan['claims'], 'claim')}"
    ]
    for title, body in sections:
        if body:
            lines += ["", f"{mark}{title}", "", *body]
    return lines


def _work(plan: Mapping[str, Any]) -> Rows:
    head = ("encoder", "task", "runs", "steps", "examples", "tokens", "FLOP")
    rows = [*plan["parts"], {"encoder": "all", "task": ""} | plan["total"]]
    return [
        head,
        *(
            (
                each["encoder"],
                each["task"],
                f"{each['recipes']:,}",
                f"{each['steps']:,}",
                _short(each["examples"]),
                _short(each["tokens"]),
                f"{each['flops']:.2g}",
            )
            for each in rows
        ),
    ]


def _sums(plan: Mapping[str, Any]) -> list[str]:
    whole = plan["total"]
    kept, going_on = (_bytes(whole[name]) for name in ("store_bytes", "checkpoint_bytes_a_worker"))
    return [
        f"Looks read {_short(whole['looked_tokens'])} tokens more.",
        f"On disk the store takes about {kept}, and checkpoints of runs going on at most {going_on} a worker.",
    ]


def _hours(plan: Mapping[str, Any]) -> Rows:
    head = ("where", "one worker", "many workers")
    rows = [
        (
            "".join([each["device"], *(f" in {p}" for p in each["counted_as"].values())]),
            _time(each["hours_one_worker"]),
            _time(each["hours_many_workers"]),
        )
        for each in plan["devices"]
    ]
    if here := plan["measured"]:
        where = f"here ({here['device']}), measured"
        rows.append((where, "", f"{_time(here['hours'])} ({here['workers']})"))
    return [head, *rows]


def _about_hours(plan: Mapping[str, Any]) -> list[str]:
    lines = [ABOUT_HOURS]
    if here := plan["measured"]:
        around = here["overhead"]
        lines.append(
            f"Measured, without what this machine waited for other work: {around['before']:.0f} s to start, "
            f"{around['put']:.2f} s to store a run, {around['judge_run']:.2f} s a run and "
            f"{around['judge_claim']:.2f} s a claim to judge, {around['after']:.1f} s for the page."
        )
        if here["stretch"] >= NOTED_STRETCH:
            lines.append(
                f"Other work had the cores: at that load it takes {here['stretch']:.1f} times as long, "
                f"{_time(here['hours_as_busy'])}."
            )
        lines += [
            f"  {each['encoder']} on {each['task']}, {each['precision']}, {each['batch']} rows: "
            f"{1000 * each['step']:.3g} ms a step, {1e6 * each['look_token']:.3g} us a token looked at, "
            f"{each['begin'] + each['digest']:.2g} s around a run"
            for each in here["kinds"]
        ]
    return lines


def _claims(plan: Mapping[str, Any]) -> Rows:
    where = "here" if plan["measured"] else plan["devices"][0]["device"]
    head = ("claim", "runs", "steps", "tokens", where, *(f"{n} seeds" for n in SEEDS), "in print")
    return [
        head,
        *(
            (
                each["claim"],
                f"{each['runs']:,}",
                _short(each["steps"]),
                _short(each["tokens"]),
                _time(each["hours"][where]),
                *(_distance(each["smallest"][n]) for n in SEEDS),
                _distance(each["printed_distance"]),
            )
            for each in plan["each_claim"]
        ),
    ]


def _seeds(plan: Mapping[str, Any]) -> Rows:
    rows = plan["by_seeds"]
    where, fewest, printed = rows[0]["device"], rows[0]["seeds"], plan["printed"]
    head = ("seeds", "runs", f"hours, {where}", f"effect shown, of {fewest} seeds'")
    return [
        (*head, *(["shown if as printed"] if printed else [])),
        *(
            (
                str(each["seeds"]),
                f"{each['runs']:,}",
                _time(each["hours"]),
                _distance(each["against_fewest"]),
                *([f"{each['shown_if_as_printed']} of {printed}"] if printed else []),
            )
            for each in rows
        ),
    ]


def _about_claims(plan: Mapping[str, Any]) -> list[str]:
    return [ABOUT_CLAIMS.format(plan["spreads_from"])]


def _aligned(rows: Rows) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _piped(rows: Rows) -> list[str]:
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def _short(count: float) -> str:
    for size, name in ((1e9, "G"), (1e6, "M")):
        if count >= size:
            return f"{count / size:.2f} {name}"
    return f"{count:,.0f}"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min"


def _distance(value: float | None) -> str:
    return "none" if value is None else f"{value:.2g}"
