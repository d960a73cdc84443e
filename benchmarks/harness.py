"""What pytest, MLflow and verdicts add to training: a claims run beside bare training of the same.

    python benchmarks/harness.py [--seeds 5] [--rounds 1] [claims/test_smoothing.py ...]

Each round runs the claims of the embedded scale into a new store, and then trains the same recipes
by as many processes that call the engine and nothing else (baselines/bare_study.py). Both pay for
Python, torch, loading, tokenising and training. With the scale's own seeds a round takes twenty
minutes on two cores, in which a machine may well change its speed by more than the harness costs.
So the engine's own seconds, which are the same work, are the clock of each half: bare training is
scaled to the speed that the claims run had, and what a claims run takes beyond that is the harness.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.store import Store
from kdcheck.evidence.tracking import Tracking

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass
class Round:
    """Seconds of one round."""

    runs: int
    claims: float
    claims_engine: float
    """Seconds of it in the engine, a process."""
    bare: float
    bare_engine: float
    before: float
    """From the start of the claims run until its first training began."""
    after: float
    """From the end of its last training to the end."""

    def bare_at_that_speed(self) -> float:
        """Seconds of bare training, had the machine been as fast as during the claims run."""
        return self.bare * self.claims_engine / self.bare_engine

    def harness(self) -> float:
        """Seconds that the claims run needs more than that."""
        return self.claims - self.bare_at_that_speed()


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
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", *arguments.claims),
            *("--seeds", arguments.seeds, "--workers", str(arguments.workers)),
            *("--store", str(store), "--report", str(folder / "page.html")),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    ended = time.time()
    if run.returncode not in {0, 1}:  # 1: a claim is refuted, which is no failure of the run
        sys.exit(f"pytest ended with {run.returncode}: {' '.join(run.args)}")
    bare, bare_engine = train_bare(folder, arguments.workers)
    opened = Store.open(store)
    runs = Tracking.open(opened.location).search(TRAININGS, "")
    times = [(run.info.start_time / 1e3, run.info.end_time / 1e3) for run in runs]
    first, last = min(start for start, _ in times), max(end for _, end in times)
    engine = sum(opened.get(digest).cost["seconds"] for digest in opened.digests())
    return Round(
        runs=len(runs),
        claims=ended - began,
        claims_engine=engine / arguments.workers,
        bare=bare,
        bare_engine=bare_engine,
        before=first - began,
        after=ended - last,
    )


def train_bare(folder: Path, workers: int) -> tuple[float, float]:
    """Seconds for the recipes of the study in a folder, whole and in the engine, a process."""
    (job,) = (folder / "work").glob("job-*.json")
    bare = folder / "bare"
    bare.mkdir()
    shutil.rmtree(folder / "work" / "tokens")  # of the claims run: these processes make their own
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    command = [sys.executable, "-m", "baselines.bare_study", str(job), str(bare)]
    began = time.perf_counter()
    processes = [subprocess.Popen(command, env=environment) for _ in range(workers)]
    codes = [process.wait() for process in processes]
    whole = time.perf_counter() - began
    if any(codes):
        sys.exit("bare training failed")
    engine = sum(float(file.read_text(encoding="utf-8")) for file in bare.glob("*.seconds"))
    return whole, engine / workers


def report(rounds: list[Round]) -> None:
    """Print medians over rounds; the last line is the answer."""
    print(f"{rounds[0].runs} runs, medians of {len(rounds)} rounds")
    line("bare training", [each.bare for each in rounds])
    line("  in the engine", [each.bare_engine for each in rounds])
    line("claims run", [each.claims for each in rounds])
    line("  in the engine", [each.claims_engine for each in rounds])
    line("  before its first training", [each.before for each in rounds])
    line("  after its last training", [each.after for each in rounds])
    line("harness", [each.harness() for each in rounds])
    added = statistics.median(each.harness() / each.bare_at_that_speed() for each in rounds)
    whole = statistics.median(each.claims / each.bare for each in rounds)
    print(f"the whole of one over the whole of the other: {whole:.3f}")
    print(f"the harness adds {added:.1%} to bare training")


def line(name: str, seconds: list[float]) -> None:
    print(f"{name:28s}{statistics.median(seconds):9.1f} s")


if __name__ == "__main__":
    main()
