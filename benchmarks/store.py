"""What evidence costs: making a store, recording a run, reading it back, four processes at once.

Run with ``python -m benchmarks.store [RUNS]``; it works in a temporary folder. The runs are of the
embedded scale's size: 400 examples per split, 3 classes, 10 evaluation points.
"""

from __future__ import annotations

import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kdcheck.evidence.bundle import Bundle, export_bundle
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.judged import Judged, RunTable
from kdcheck.evidence.store import Store
from tests.evidence_doubles import (
    PLAIN,
    ROWS,
    SMOOTHED,
    sample_evidence,
    sample_judged,
    sample_recipe,
)

EXAMPLES, POINTS, PROCESSES = 400, 10, 4


def evidence(seed: int) -> Evidence:
    rows = dict.fromkeys(ROWS, EXAMPLES)
    return sample_evidence(seed, rows=rows, steps=range(10, 10 * POINTS + 1, 10))


def timed(label: str, action: Callable[[], object], *, per: int = 1) -> None:
    start = time.perf_counter()
    action()
    milliseconds = 1000 * (time.perf_counter() - start) / per
    print(f"{label:<46} {milliseconds:9.1f} ms", flush=True)


def record(store: Store, seeds: range) -> None:
    begins, finishes = [], []
    for seed in seeds:
        result = evidence(seed)
        start = time.perf_counter()
        begun = store.begin(result.recipe, role="student", claims=["c"], worker="main")
        middle = time.perf_counter()
        store.finish(begun, result)
        begins.append(middle - start)
        finishes.append(time.perf_counter() - middle)
    for name, seconds in (("begin", begins), ("finish", finishes)):
        print(f"{name + ', median':<46} {1000 * statistics.median(seconds):9.1f} ms", flush=True)


def record_quietly(folder: Path, seeds: range) -> None:
    store = Store.open(folder)
    for seed in seeds:
        begun = store.begin(evidence(seed).recipe, role="student", claims=["c"], worker="w")
        store.finish(begun, evidence(seed))


def record_at_once(folder: Path, runs: int) -> None:
    context = multiprocessing.get_context("spawn")
    shares = [range(1000 + n * runs, 1000 + (n + 1) * runs) for n in range(PROCESSES)]
    workers = [context.Process(target=record_quietly, args=(folder, share)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"  exit codes {[worker.exitcode for worker in workers]}")


def open_in_a_new_process(folder: Path) -> None:
    code = f"from kdcheck.evidence.store import Store; Store.open({str(folder)!r}).digests()"
    subprocess.run([sys.executable, "-c", code], check=True)


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "store"
        timed("create a store, MLflow's import included", lambda: Store.create(folder))
        store = Store.create(folder)
        record(store, range(runs))
        digests = store.digests()
        timed(f"list {runs} digests", Store.open(folder).digests)
        reader = Store.open(folder)
        reader.digests()
        timed("get, per run", lambda: [reader.get(d) for d in digests], per=runs)
        whole = lambda: [reader.get(d, trajectory=True) for d in digests]  # noqa: E731
        timed("get with the trajectory, per run", whole, per=runs)
        timed("tag all trainings with 3 claims, per run", lambda: tag(store, digests), per=runs)
        claim = judged(range(runs))
        timed("record a claim", lambda: store.record_claim(claim))
        timed("record it again", lambda: store.record_claim(claim))
        timed("export, per run", lambda: export_bundle(store, folder / "bundle"), per=runs)
        bundle = Bundle(folder / "bundle")
        timed("get from the bundle, per run", lambda: [bundle.get(d) for d in digests], per=runs)
        size = sum(p.stat().st_size for p in (folder / "bundle").rglob("*") if p.is_file())
        print(f"{'size of the bundle, per run':<46} {size / runs / 1024:9.1f} KiB")
        timed("open and list in a new process", lambda: open_in_a_new_process(folder))
        timed(f"{PROCESSES} processes x {runs} runs", lambda: record_at_once(folder, runs))
        print(f"  finished {len(store.digests()) - runs} of {PROCESSES * runs}")


def judged(seeds: range) -> Judged:
    """A claim that rests on all the runs."""
    runs = {"letters": {seed: sample_recipe(seed).digest for seed in seeds}}
    return replace(
        sample_judged(), table=RunTable(("letters",), tuple(seeds), {SMOOTHED: runs, PLAIN: runs})
    )


def tag(store: Store, digests: set[str]) -> None:
    store.tag_claims({digest: ["c", "d", "e[x]"] for digest in digests})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
