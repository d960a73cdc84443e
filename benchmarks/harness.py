"""What pytest, MLflow and verdicts add to training: a claims run beside bare training of the same.

    python benchmarks/harness.py [--seeds 5] [--rounds 1] [claims/test_smoothing.py ...]

Each round runs the claims of the embedded scale into a new store, and then trains the same recipes
by as many processes that call the engine and nothing else (baselines/bare_study.py). Both pay for
Python, torch, loading, tokenising and training; what the claims run takes longer is the harness.
With the scale's own seeds a round takes twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.runs import Runs
from kdcheck.evidence.store import Store

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass
class Round:
    """Seconds of one round."""

    runs: int
    claims: float
    bare: float
    before: float
    """From the start until the first run began."""
    after: float
    """From the end of the last run to the end."""
    recording: float
    """A process's time between its first run and its last, less the engine's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", default=["claims/"])
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="training processes (default 2)")
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="kdcheck-harness-") as temporary:
            rounds.append(one_round(Path(temporary), arguments))
    report(rounds)


def one_round(folder: Path, arguments: argparse.Namespace) -> Round:
    store = folder / "store"
    began = time.time()
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", *arguments.claims),
            *("--seeds", arguments.seeds, "--workers", str(arguments.workers)),
            *("--store", str(store), "--report", str(folder / "page.html")),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        check=False,  # a claim that is refuted is no failure of the run
    )
    ended = time.time()
    bare = train_bare(folder / "work" / "job.json", folder / "bare", arguments.workers)
    opened = Store.open(store)
    runs = Runs.open(opened.location).search(TRAININGS, "")
    times = [(run.info.start_time / 1e3, run.info.end_time / 1e3) for run in runs]
    first, last = min(start for start, _ in times), max(end for _, end in times)
    engine = sum(opened.get(digest).cost["seconds"] for digest in opened.digests())
    return Round(
        runs=len(runs),
        claims=ended - began,
        bare=bare,
        before=first - began,
        after=ended - last,
        recording=last - first - engine / arguments.workers,
    )


def train_bare(job: Path, folder: Path, workers: int) -> float:
    """Seconds for the recipes of a job, from the start of the first process to the end of the last."""
    folder.mkdir()
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    command = [sys.executable, "-m", "baselines.bare_study", str(job), str(folder)]
    began = time.perf_counter()
    processes = [subprocess.Popen(command, env=environment) for _ in range(workers)]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit("bare training failed")
    return time.perf_counter() - began


def report(rounds: list[Round]) -> None:
    """Print medians over rounds; the last line is the answer."""
    print(f"{rounds[0].runs} runs, medians of {len(rounds)} rounds")
    line("bare training", [each.bare for each in rounds])
    line("claims run", [each.claims for each in rounds])
    line("  before its first run", [each.before for each in rounds])
    line("  beside the engine", [each.recording for each in rounds])
    line("  after its last run", [each.after for each in rounds])
    added = statistics.median(each.claims / each.bare - 1 for each in rounds)
    print(f"the harness adds {added:.1%} to bare training")


def line(name: str, seconds: list[float]) -> None:
    print(f"{name:26s}{statistics.median(seconds):9.1f} s")


if __name__ == "__main__":
    main()
