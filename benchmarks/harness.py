"""What pytest, MLflow and verdicts add to training: a whole claims run beside its own training time.

    python benchmarks/harness.py [--seeds 5] [claims/test_smoothing.py ...]

It runs the claims of the embedded scale into a new store, and once more with nothing left to train.
The engine's own seconds, summed over all runs, are what bare training of the same recipes takes;
all other time of the same cores is the harness: imports, planning, tokenising, MLflow, waiting for
the last run, verdicts, the page. The second run shows what of it does not grow with training.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kdcheck.evidence.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", default=["claims/"])
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--workers", type=int, default=2, help="training processes (default 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdcheck-harness-") as temporary:
        store = Path(temporary) / "store"
        command = [
            *(sys.executable, "-m", "pytest", "-q", *arguments.claims),
            *("--seeds", arguments.seeds, "--workers", str(arguments.workers)),
            *("--store", str(store), "--report", str(Path(temporary) / "page.html")),
        ]
        first, second = (seconds_of(command) for _ in range(2))
        engine = engine_seconds(store)
    report(engine, first, second, arguments.workers)


def seconds_of(command: list[str]) -> float:
    """Wall time; claims that fail, being refuted, are no failure of the run."""
    began = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if ended.returncode not in {0, 1}:
        sys.exit(f"pytest ended with {ended.returncode}: {' '.join(command)}")
    return time.perf_counter() - began


def engine_seconds(folder: Path) -> list[float]:
    """Seconds in the engine of each run, evaluation included."""
    store = Store.open(folder)
    return [store.get(digest).cost["seconds"] for digest in store.digests()]


def report(engine: list[float], first: float, second: float, workers: int) -> None:
    """Print the parts in seconds and as shares of training."""
    training = sum(engine) / workers
    print(f"{len(engine)} runs on {workers} processes")
    for name, seconds in (
        ("training, a core", training),
        ("claims run, whole", first),
        ("harness", first - training),
        ("of it without any training", second),
    ):
        print(f"{name:28s}{seconds:9.1f} s{seconds / training:8.1%} of training")


if __name__ == "__main__":
    main()
