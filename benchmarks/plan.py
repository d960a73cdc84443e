"""What ``kdcheck plan --measure`` predicts of a claims run, beside the run, in turns.

    python benchmarks/plan.py [--seeds 1] [--workers 2] [--rounds 1] [claims/test_smoothing.py ...]

Both are counted in seconds of an idle machine: whatever a process waits for a core that other work has
is left out, as Linux tells it. So the two halves of a round need not meet the same load. Beside them
stand the seconds on the wall, which agree only where the load stayed what it was.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.tracking import Tracking
from kdcheck.places import Location
from kdcheck.planning.clock import seconds, waited

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
LOOK_SECONDS = 0.1
STOPPED_SECONDS = 2.0
"""That this process neither ran nor waited for a core: it was stopped, as were those it watches. Of a
run such times are left out; what was measured meanwhile is measured again."""
PARTS = ("before", "training", "after")


@dataclass
class Watched:
    """One command, watched from its start to its end."""

    code: int
    output: str
    head: int
    looks: list[tuple[float, dict[int, float]]]
    """Seconds since 1970, and by process how long its first thread has waited for a core by then."""
    stops: list[tuple[float, float]]
    """When it was stopped, and for how long."""

    @property
    def wall(self) -> float:
        """Seconds on the wall, without those in which it was stopped."""
        return self.passed(self.looks[0][0], self.looks[-1][0])

    def passed(self, since: float, until: float) -> float:
        """Seconds between two times, without those in which it was stopped."""
        return until - since - sum(lost for when, lost in self.stops if since < when <= until)

    def idle(self, since: float, until: float, *, workers: bool = False) -> float:
        """Seconds of an idle machine between two times, as its head meets them, or its workers on average."""
        before, after = self._waited(since), self._waited(until)
        who = [pid for pid in after if (pid != self.head) == workers]
        waits = statistics.fmean(after[pid] - before.get(pid, 0.0) for pid in who)
        return self.passed(since, until) - waits

    def _waited(self, by: float) -> dict[int, float]:
        """What each process had waited, that of those that have ended included."""
        return dict(pair for now, waits in self.looks if now <= by for pair in waits.items())


@dataclass
class Round:
    """Seconds of one round: of each part on an idle machine, and of the whole on the wall."""

    predicted: dict[str, float]
    seen: dict[str, float]
    predicted_wall: float
    seen_wall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", default=["claims/"])
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    asked = [*arguments.claims, "--seeds", arguments.seeds, "--workers", arguments.workers]
    rounds: list[Round] = []
    for number in range(1, arguments.rounds + 1):
        rounds.append(one_round(asked))
        line(f"round {number}", rounds[-1])
    told("predicted / seen", [sum(r.predicted.values()) / sum(r.seen.values()) for r in rounds])
    told("on the wall", [each.predicted_wall / each.seen_wall for each in rounds])


def one_round(asked: Sequence[str]) -> Round:
    """Plan, then run."""
    plan = watch(["-m", "kdcheck", "plan", "--measure", "--format", "json", *asked])
    while plan.stops:
        print("  stopped while it measured: once more", flush=True)
        plan = watch(["-m", "kdcheck", "plan", "--measure", "--format", "json", *asked])
    check(plan, {0})
    with tempfile.TemporaryDirectory(prefix="kdcheck-plan-") as folder:
        places = ["--store", f"{folder}/store", "--report", f"{folder}/page.html"]
        run = watch(["-m", "pytest", "-q", "-p", "no:cacheprovider", *asked, *places])
        check(run, {0, 1})  # 1: a claim is refuted
        seen = parts_seen(run, Path(folder) / "store")
    told = json.loads(plan.output)
    print(f"  measured in {plan.wall:.0f} s", flush=True)
    wall = told["measured"]["hours_as_busy"] * 3600
    return Round(parts_predicted(told), seen, predicted_wall=wall, seen_wall=run.wall)


def check(command: Watched, fine: Container[int]) -> None:
    if command.code not in fine:
        sys.exit(f"ended with {command.code}:\n{command.output}")


def parts_predicted(plan: Mapping[str, Any]) -> dict[str, float]:
    around, whole = plan["measured"]["overhead"], plan["measured"]["hours"] * 3600
    judging = (
        around["judge_run"] * plan["total"]["recipes"] + around["judge_claim"] * plan["claims"]
    )
    after = judging + around["after"]
    parts = (around["before"], whole - around["before"] - after, after)
    return dict(zip(PARTS, parts, strict=True))


def parts_seen(run: Watched, store: Path) -> dict[str, float]:
    """By the times of the first training and of the last one in the store."""
    times = [each.info for each in Tracking.open(Location.parse(store)).search(TRAININGS, "")]
    first, last = min(i.start_time for i in times) / 1e3, max(i.end_time for i in times) / 1e3
    began, ended = run.looks[0][0], run.looks[-1][0]
    return {
        "before": run.idle(began, first),
        "training": run.idle(first, last, workers=True),
        "after": run.idle(last, ended),
    }


def watch(command: Sequence[str]) -> Watched:
    """Run a command, and look again and again how long it and what it started wait for a core."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT
        )
        looks: list[tuple[float, dict[int, float]]] = []
        stops, before = [], seconds()
        while process.poll() is None:
            looks.append((time.time(), {pid: waited_by(pid) for pid in family(process.pid)}))
            time.sleep(LOOK_SECONDS)
            after = seconds()
            if (lost := after - before - LOOK_SECONDS) > STOPPED_SECONDS:
                stops.append((time.time(), lost))
            before = after
        looks.append((time.time(), {}))
        output.seek(0)
        return Watched(process.returncode, output.read(), process.pid, looks, stops)


def waited_by(pid: int) -> float:
    """Seconds that the first thread of a process has waited for a core."""
    return waited(Path(f"/proc/{pid}/schedstat"))


def family(pid: int) -> list[int]:
    """A process and those that it started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [pid, *map(int, text.split())]


def line(name: str, found: Round) -> None:
    parts = [f"{part} {found.predicted[part]:.1f} / {found.seen[part]:.1f} s" for part in PARTS]
    predicted, seen = sum(found.predicted.values()), sum(found.seen.values())
    print(f"{name}, predicted / seen: {', '.join(parts)}")
    print(f"  in all {predicted:.1f} / {seen:.1f} s = {predicted / seen:.2f}")
    wall = found.predicted_wall / found.seen_wall
    print(
        f"  on the wall {found.predicted_wall:.0f} / {found.seen_wall:.0f} s = {wall:.2f}",
        flush=True,
    )


def told(name: str, ratios: Sequence[float]) -> None:
    middle = statistics.median(ratios)
    print(f"{name}: median {middle:.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
