"""What a claims run adds to bare training, part by part, and what that makes of a whole study.

    python benchmarks/harness_parts.py [claims/test_smoothing.py ...] [--seeds 2] [--rounds 3]

Each round runs the claims of the embedded scale into a new store, in one process, and then trains
the same recipes by bare calls of ``kdcheck.engine.loop.train``. A stopwatch within the first
(baselines/stopwatch.py) tells its parts apart: what each run costs, what each claim costs, and what
is paid once. Printed are medians over rounds; the last lines put the parts together for a study of
``--study-runs`` and ``--study-claims`` on ``--workers`` processes, each of which starts anew. For
the time of such a study itself, without parts, see ``harness.py``.
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
from dataclasses import dataclass
from pathlib import Path

import torch

from kdcheck.engine.loop import train
from kdcheck.evidence.store import Store
from kdcheck.study.resources import Resources

HERE = Path(__file__).parent
CPU = torch.device("cpu")
WORKER = (
    "import sys; from kdcheck.study import work; from kdcheck.engine import loop;"
    " from kdcheck.evidence.store import Store; Store.open(sys.argv[1]).digests()"
)
"""What a worker process does before its first run, but for loading and tokenising."""


@dataclass
class Round:
    """Seconds of one round."""

    runs: int
    claims: int
    whole: float
    """The claims run, from the start of its process to the end."""
    parts: dict[str, float]
    bare: float
    worker_start: float

    def training(self) -> float:
        """The same training as ``bare``, within the claims run."""
        return self.parts["train"]

    def each_run(self) -> dict[str, float]:
        """Costs that grow with the runs."""
        inner = self.parts["train"] + self.parts["inputs"]
        return {
            "begin, log and finish": (self.parts["work"] - inner) / self.runs,
            "read and measure, to judge": self.parts["judge_all"] / self.runs,
            "read and draw, for the page": self.parts["page"] / self.runs,
        }

    def each_claim(self) -> float:
        """Recording a verdict."""
        return (self.parts["judge_item"] - self.parts["judge_all"]) / self.claims

    def once(self) -> dict[str, float]:
        """Costs of each claims run, however large."""
        known = sum(self.parts[part] for part in ("work", "judge_item", "page", "create"))
        return {
            "making a store": self.parts["create"],
            "loading and tokenising": self.parts["inputs"],
            "start, imports, planning": self.whole - known,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", default=["claims/test_smoothing.py"])
    parser.add_argument("--seeds", default="2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="of the study (default 2)")
    parser.add_argument("--study-runs", type=int, default=220)
    parser.add_argument("--study-claims", type=int, default=36)
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="kdcheck-harness-") as temporary:
            rounds.append(one_round(Path(temporary), arguments.claims, arguments.seeds))
    report(rounds)
    study(rounds, arguments.study_runs, arguments.study_claims, arguments.workers)


def one_round(folder: Path, claims: list[str], seeds: str) -> Round:
    store = folder / "store"
    whole, parts = run_claims(folder, [*claims, "--seeds", seeds])
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", WORKER, str(store)], check=True)
    worker_start = time.perf_counter() - began
    opened = Store.open(store)
    return Round(
        runs=len(opened.digests()),
        claims=len(opened.claims()),
        whole=whole,
        parts=parts,
        bare=train_bare(opened),
        worker_start=worker_start,
    )


def run_claims(folder: Path, arguments: list[str]) -> tuple[float, dict[str, float]]:
    """Seconds of a claims run in one process, as a whole and by part."""
    found = folder / "seconds.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "baselines.stopwatch", *arguments]
    command += ["--workers", "0", "--store", str(folder / "store")]
    command += ["--report", str(folder / "page.html")]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "KDCHECK_STOPWATCH": str(found)}
    environment |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    began = time.perf_counter()
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - began
    if ended.returncode not in {0, 1}:  # a claim that is refuted is no failure of the run
        sys.exit(f"pytest ended with {ended.returncode}: {' '.join(command)}")
    return seconds, json.loads(found.read_text(encoding="utf-8"))


def train_bare(store: Store) -> float:
    """Seconds of training what is in the store once more, and of nothing else."""
    resources = Resources()
    taken = 0.0
    for digest in store.digests():
        recipe = store.get(digest).recipe
        inputs = resources.inputs_of(recipe)
        teacher = None
        if recipe.teacher is not None:
            teacher = store.get(recipe.teacher.digest).final.predictions["train"]
        began = time.perf_counter()
        train(recipe, inputs, teacher=teacher, device=CPU, predict_train=teacher is None)
        taken += time.perf_counter() - began
    return taken


def report(rounds: list[Round]) -> None:
    first = rounds[0]
    print(f"{first.runs} runs, {first.claims} claims, medians of {len(rounds)} rounds")
    line("bare training", [each.bare for each in rounds])
    line("the same within a claims run", [each.training() for each in rounds])
    ratio = statistics.median(each.training() / each.bare for each in rounds)
    print(f"{'  its ratio to bare':34s}{ratio:9.3f}")
    line("a claims run, whole", [each.whole for each in rounds])
    for name in first.once():
        line(f"  once: {name}", [each.once()[name] for each in rounds])
    line("  once a worker: its start", [each.worker_start for each in rounds])
    for name in first.each_run():
        line(f"  a run: {name}", [each.each_run()[name] for each in rounds])
    line("  a claim: record its verdict", [each.each_claim() for each in rounds])


def line(name: str, seconds: list[float]) -> None:
    print(f"{name:34s}{statistics.median(seconds):9.3f} s", flush=True)


def study(rounds: list[Round], runs: int, claims: int, workers: int) -> None:
    """Print what the parts make of a study; workers share runs, one process does all else."""
    training = statistics.median(each.bare / each.runs for each in rounds) * runs / workers
    once = statistics.median(sum(each.once().values()) + each.worker_start for each in rounds)
    logged, judged, drawn = (
        statistics.median(each.each_run()[name] for each in rounds) for name in rounds[0].each_run()
    )
    grows = {
        "logging, beside training": logged * runs / workers,
        "judging and the page": (judged + drawn) * runs,
        "recording verdicts": statistics.median(each.each_claim() for each in rounds) * claims,
    }
    print(f"a study of {runs} runs and {claims} claims on {workers} processes, put together")
    print(f"{'  training':34s}{training:9.1f} s")
    for name, seconds in {"once": once, **grows}.items():
        print(f"{'  ' + name:34s}{seconds:9.1f} s{seconds / training:8.1%} of training")
    total = once + sum(grows.values())
    print(f"{'  harness':34s}{total:9.1f} s{total / training:8.1%} of training")


if __name__ == "__main__":
    main()
