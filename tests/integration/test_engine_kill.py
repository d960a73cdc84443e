"""SIGKILL at random moments: after a resume the outcome is the same to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "kill_and_resume.py"
KILLS = int(os.environ.get("KDCHECK_KILLS", "3"))


def test_after_a_kill_at_any_moment_a_resumed_run_ends_with_the_same_weights(tmp_path):
    arguments = [sys.executable, str(SCRIPT), str(KILLS), "0", str(tmp_path)]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    trials, want = report["trials"], report["whole"]["outcome"]
    same = [trial["outcome"] == want for trial in trials]
    resumed = sum(any("resumed" in note for note in trial["notes"]) for trial in trials)
    inside = sum(trial["inside_a_write"] for trial in trials)
    print(f"{sum(same)} of {len(same)} the same, {resumed} resumed, {inside} killed inside a write")
    assert len(same) == KILLS
    assert all(same)
    assert resumed >= KILLS // 2  # a kill before the first checkpoint leaves nothing to resume
    if KILLS >= 25:
        assert inside > 0
