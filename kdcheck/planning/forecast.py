"""The plan of a study as one record: what it comes to, how long it takes where, and what it buys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from kdcheck.claims import Claim
from kdcheck.errors import InputError
from kdcheck.places import Places
from kdcheck.planning.bought import SEEDS, Spread, of_claim, printed_distance, shown
from kdcheck.planning.counts import Amount, amounts, checkpoint_bytes, store_bytes, total
from kdcheck.planning.devices import GPUS, Device, seconds
from kdcheck.planning.overhead import overhead
from kdcheck.planning.sizes import Sizes
from kdcheck.planning.timing import Timing, measure
from kdcheck.study.graph import Digests, Graph, build
from kdcheck.study.local import LocalExecutor, cuda_devices
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import Scale

HOUR = 3600.0


class _Names:
    """Names in the place of digests: a graph has as many runs with them, and needs no file."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def task(self, name: str) -> str:
        return name

    def encoder(self, size: str) -> str:
        return self._names[size]

    encoder_name = encoder


def graph_of(claims: Sequence[Claim], scale: Scale, seeds: int, digests: Digests) -> Graph:
    """The graph of so many seeds of a scale.

    Raises:
        InputError: no seed.
    """
    if seeds < 1:
        step = "Leave --seeds out for the scale's own number."
        raise InputError("plan", f"{seeds} seeds", "at least 1", step)
    first = scale.first_seed
    return build(claims, scale, tuple(range(first, first + seeds)), digests)


def forecast(
    claims: Sequence[Claim],
    scale: Scale,
    seeds: int,
    places: Places,
    spreads: Sequence[Spread],
    timing: Timing | None = None,
) -> dict[str, Any]:
    """What a study comes to; JSON values.

    Args:
        claims: planned, of one paper.
        scale: tasks, encoders and hyper-parameters.
        seeds: how many.
        places: of data and encoders, as far as they are at hand.
        spreads: of claims, as they were seen somewhere.
        timing: what was measured on this machine, if anything.

    Raises:
        KdcheckError: the graph cannot be built.
    """
    sizes = Sizes(scale, places)
    graph = graph_of(claims, scale, seeds, _Names(sizes.names))
    parts = amounts(graph, sizes)
    buys = {
        claim.id: (of_claim(claim, spreads), printed_distance(claim, scale)) for claim in claims
    }
    return {
        "scale": scale.name,
        "seeds": seeds,
        "claims": len(claims),
        "notes": list(sizes.notes),
        "total": asdict(total(parts.values()))
        | {
            "store_bytes": store_bytes(parts.values(), len(claims)),
            "checkpoint_bytes_a_worker": checkpoint_bytes(parts.values()),
        },
        "parts": _parts(parts),
        "devices": [_hours(gpu, parts) for gpu in GPUS],
        "measured": timing and _measured(timing, parts, len(claims)),
        "each_claim": [
            _alone(claim, claims, graph, parts, timing) | _bought(*buys[claim.id])
            for claim in claims
        ],
        "printed": sum(far is not None and near is not None for near, far in buys.values()),
        "by_seeds": _by_seeds(seeds, parts, buys, timing),
    }


def about(
    claims: Sequence[Claim], scale: Scale, places: Places, device: Device, workers: int
) -> tuple[float, float]:
    """Bytes that a scale leaves in the store, and about how many hours of so many workers it takes."""
    sizes = Sizes(scale, places)
    graph = graph_of(claims, scale, scale.seeds, _Names(sizes.names))
    parts = list(amounts(graph, sizes).values())
    alone, _ = seconds(parts, device)
    return store_bytes(parts, len(claims)), alone / workers / HOUR


def _parts(parts: Mapping[str, Amount]) -> list[dict[str, Any]]:
    """Sums for each encoder on each task."""
    found: dict[tuple[str, str], list[Amount]] = {}
    for each in parts.values():
        found.setdefault((each.recipe.encoder, each.recipe.task), []).append(each)
    return [
        {"encoder": encoder, "task": task} | asdict(total(own))
        for (encoder, task), own in found.items()
    ]


def _by_seeds(
    seeds: int,
    parts: Mapping[str, Amount],
    buys: Mapping[str, tuple[Spread | None, float | None]],
    timing: Timing | None,
) -> list[dict[str, Any]]:
    """Per number of seeds: its price, and what it shows. Each seed has as many runs as any other."""
    device = GPUS[0].name if timing is None else "here"
    whole = seconds(parts.values(), GPUS[0])[0]
    if timing is not None:
        whole = timing.seconds(parts.values(), len(buys))
    shows = shown(buys)
    return [
        {
            "seeds": n,
            "runs": len(parts) * n // seeds,
            "hours": whole * n / seeds / HOUR,
            "device": device,
            "shown_if_as_printed": shows[n],
            "against_fewest": _against_fewest([near for near, _ in buys.values()], n),
        }
        for n in SEEDS
    ]


def _against_fewest(spreads: Iterable[Spread | None], seeds: int) -> float | None:
    """The median over claims of what so many seeds can show over what the fewest can."""
    pairs = [(s.smallest[seeds], s.smallest[SEEDS[0]]) for s in spreads if s is not None]
    ratios = [far / fewest for far, fewest in pairs if far is not None and fewest]
    return median(ratios) if ratios else None


def _hours(device: Device, parts: Mapping[str, Amount]) -> dict[str, Any]:
    alone, busy = seconds(parts.values(), device)
    precisions = dict.fromkeys(each.recipe.precision for each in parts.values())
    other = {p: device.counted_as(p) for p in precisions if p not in device.peak}
    return {
        "device": device.name,
        "hours_one_worker": alone / HOUR,
        "hours_many_workers": busy / HOUR,
        "counted_as": other,
    }


def time_here(
    claims: Sequence[Claim],
    asked: Sequence[str],
    scale: Scale,
    places: Places,
    workers: int | None = None,
) -> Timing:
    """Time one recipe of each kind, of the content that is at hand, and all that is around training.

    Args:
        claims: planned, of one paper.
        asked: what pytest is told to find just these claims at this scale.
        scale: tasks, encoders and hyper-parameters.
        places: of data and encoders.
        workers: processes to time at once, and to plan with; by default as many as would train.

    Raises:
        KdcheckError: data, encoders or a device that the scale needs are not at hand.
    """
    if scale.needs_cuda and not cuda_devices():
        got, step = "no CUDA device", "Leave --measure out, or use a machine that has one."
        raise InputError("plan --measure", got, f"one, as the scale {scale.name!r} needs", step)
    digests = ScaleDigests(scale, Resources(places))
    graph = graph_of(claims, scale, 1, digests)
    parts = list(amounts(graph, Sizes(scale, places)).values())
    threads = max(each.recipe.threads for each in parts)
    count = LocalExecutor(places.work, workers).count(threads)
    around = overhead(asked, places, count)
    return measure(parts, places, around, cuda_devices(), count)


def _measured(timing: Timing, parts: Mapping[str, Amount], claims: int) -> dict[str, Any]:
    idle = timing.seconds(parts.values(), claims) / HOUR
    return timing.to_dict() | {"hours": idle, "hours_as_busy": idle * timing.stretch}


def _alone(
    claim: Claim,
    claims: Sequence[Claim],
    graph: Graph,
    parts: Mapping[str, Amount],
    timing: Timing | None,
) -> dict[str, Any]:
    """What a claim would cost by itself, with the claims that it rests on."""
    ids = _with_premises(claim, {each.id: each for each in claims})
    own = [parts[digest] for digest, served in graph.claims.items() if served & ids]
    hours = {gpu.name: seconds(own, gpu)[0] / HOUR for gpu in GPUS}
    if timing is not None:
        hours["here"] = timing.seconds(own, len(ids)) / HOUR
    found = total(own)
    sums = {"runs": found.recipes, "steps": found.steps, "tokens": found.tokens}
    return {"claim": claim.id, "unit": claim.margin.unit, **sums, "hours": hours}


def _with_premises(claim: Claim, claims: Mapping[str, Claim]) -> set[str]:
    found: set[str] = set()
    left = [claim.id]
    while left:
        each = left.pop()
        if each in claims and each not in found:
            found.add(each)
            left += claims[each].rests_on
    return found


def _bought(spread: Spread | None, distance: float | None) -> dict[str, Any]:
    smallest = dict(spread.smallest) if spread else dict.fromkeys(SEEDS)
    return {"smallest": smallest, "printed_distance": distance}
