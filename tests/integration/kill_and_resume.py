"""Kills a training run again and again, resumes it, and prints what came of it as JSON.

    python tests/integration/kill_and_resume.py KILLS SEED FOLDER

Each trial is a process of its own, forked from this one, so that torch is imported once. Every step
writes a checkpoint, so a good part of all moments lies inside a write.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.recipe import Recipe
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task


def main(kills: int, seed: int, folder: Path) -> None:
    task, encoder = tiny_task(train=40, validation=9, test=11), tiny_encoder()
    inputs = prepare(task, encoder, 32)
    recipe = tiny_recipe(task, encoder, max_length=32, evaluations_per_epoch=2)
    started = time.monotonic()
    os.waitpid(start(recipe, inputs, folder / "whole"), 0)
    length = time.monotonic() - started
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    trials = []
    for number in range(kills):
        workdir = folder / f"trial-{number}"
        moment = chance.uniform(0.05, 1.0) * length
        inside = kill_at(moment, recipe, inputs, workdir)
        os.waitpid(start(recipe, inputs, workdir), 0)
        trials.append({"moment": moment, "inside_a_write": inside, **told(workdir)})
    print(json.dumps({"seconds": length, "whole": told(folder / "whole"), "trials": trials}))


def start(recipe: Recipe, inputs: Inputs, workdir: Path) -> int:
    """Train in a process of its own; its outcome is written beside the checkpoints at the end."""
    child = os.fork()
    if child:
        return child
    try:
        evidence = train(recipe, inputs, workdir=workdir, checkpoint_seconds=0.0)
        digests = [point.weights_digest for point in evidence.points]
        logits = [
            {name: part.logits_NK.tolist() for name, part in sorted(point.predictions.items())}
            for point in evidence.points
        ]
        values = [dict(point.values) for point in evidence.points]
        outcome = {"digests": digests, "logits": logits, "values": values}
        body = {"outcome": outcome, "notes": evidence.notes}
        (workdir / "outcome.json").write_text(json.dumps(body), encoding="utf-8")
    finally:
        os._exit(0)


def kill_at(moment: float, recipe: Recipe, inputs: Inputs, workdir: Path) -> bool:
    """Kill a run so many seconds after its start; whether a checkpoint was being written."""
    child = start(recipe, inputs, workdir)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return any(workdir.glob(".writing-*"))


def told(workdir: Path) -> dict[str, object]:
    outcome: dict[str, object] = json.loads((workdir / "outcome.json").read_text(encoding="utf-8"))
    return outcome


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
