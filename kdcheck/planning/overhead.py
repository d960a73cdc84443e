"""What a study costs besides training, measured: its start, its store, its verdicts and its page.

A run of pytest over the claims with two seeds, into a store that is thrown away, in which evidence is
invented in place of training: whatever stands around training in a study stands around it there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdcheck.errors import TrainingError
from kdcheck.places import Places

SEEDS = 2
"""The fewest that can be judged."""


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Seconds."""

    before: float
    """Until workers train: imports, claims, planning, a store that is made, workers that are ready."""
    put: float
    """Of a run: to store it."""
    get: float
    """Of a run: to read it back, as its students do."""
    judge_run: float
    """Of a run: to read it for verdicts."""
    judge_claim: float
    """Of a claim: to record its verdict."""
    after: float
    """Of what comes after the last claim: board, page and tables."""


def overhead(asked: Sequence[str], places: Places, workers: int) -> Overhead:
    """Measure it on this machine; the claims' data must be at hand.

    Args:
        asked: what pytest is told: paths of claims, and options that choose among them and a scale.
        places: of data and encoders.
        workers: how many are started, and find nothing to train.

    Raises:
        TrainingError: pytest ends without having judged; the message has its last line.
    """
    with tempfile.TemporaryDirectory(prefix="kdcheck-plan-") as folder:
        told = Path(folder) / "seconds.json"
        command = [
            *(sys.executable, "-m", "kdcheck.plugin.probe", str(time.time()), str(told)),
            *("-p", "no:cacheprovider", *asked, "--seeds", str(SEEDS), "--workers", str(workers)),
            *("--store", f"{folder}/store", "--report", f"{folder}/page.html", *_folders(places)),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if told.exists():
            return Overhead(**json.loads(told.read_text(encoding="utf-8")))
    last = " ".join((result.stdout + result.stderr).strip().splitlines()[-1:]) or "no message"
    got = f"exit code {result.returncode}: {last}"
    step = "Run pytest on these claims to see the whole error, or plan without --measure."
    raise TrainingError("plan --measure", got, "claims that can be run here", step)


def _folders(places: Places) -> list[str]:
    """The folders of data and encoders as options of pytest."""
    named = {"--data-dir": places.data_dir, "--model-dir": places.model_dir}
    return [str(part) for pair in named.items() if pair[1] is not None for part in pair]
