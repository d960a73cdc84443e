"""One process of a bare study: ``python -m baselines.bare_study JOB.json FOLDER``.

It trains the recipes of a job by bare calls of the engine, in the job's order, beside other such
processes. Nothing is recorded but the logits that students learn from; whatever is trained leaves
what the engine leaves, so the work is the same as in a claims run.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path

from kdcheck.engine.loop import train
from kdcheck.evidence.evidence import Predictions
from kdcheck.recipe import Recipe
from kdcheck.study.resources import Resources
from kdcheck.study.work import Job, Order


def main(job_file: str, folder: str) -> None:
    job = Job.from_dict(json.loads(Path(job_file).read_text(encoding="utf-8")))
    resources, left = Resources(job.places), list(job.orders)
    while left:
        order = next((each for each in left if is_ready(each, folder)), None)
        if order is None:
            time.sleep(0.1)
            continue
        left.remove(order)
        recipe = order.recipe
        try:
            claimed(recipe, folder).touch(exist_ok=False)
        except FileExistsError:  # the other process has it
            continue
        teacher = recipe.teacher and read(logits_of(recipe.teacher, folder))
        leaves = order.teaches or recipe.teacher is None
        inputs = resources.inputs_of(recipe)
        evidence = train(recipe, inputs, teacher=teacher, predict_train=leaves)
        claimed(recipe, folder).write_text(str(evidence.cost["seconds"]), encoding="utf-8")
        if order.teaches:
            unfinished = logits_of(recipe, folder).with_suffix(".part")
            unfinished.write_bytes(pickle.dumps(evidence.final.predictions["train"]))
            unfinished.replace(logits_of(recipe, folder))


def is_ready(order: Order, folder: str) -> bool:
    teacher = order.recipe.teacher
    return teacher is None or logits_of(teacher, folder).exists()


def claimed(recipe: Recipe, folder: str) -> Path:
    """Made by the process that trains the recipe; it leaves the engine's seconds in it."""
    return Path(folder) / f"{recipe.digest}.seconds"


def read(path: Path) -> Predictions:
    return pickle.loads(path.read_bytes())  # noqa: S301 - these processes wrote it


def logits_of(recipe: Recipe, folder: str) -> Path:
    return Path(folder) / f"{recipe.digest}.logits"


if __name__ == "__main__":
    main(*sys.argv[1:])
