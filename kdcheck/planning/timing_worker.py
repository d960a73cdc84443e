"""One process that times a few steps of each kind of run; its job comes on standard input, as JSON.

As many of them run side by side as will train, so that they get in each other's way as workers do.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from kdcheck import metrics, objectives
from kdcheck.engine.inputs import Inputs
from kdcheck.engine.loop import train
from kdcheck.engine.predict import TOKENS_PER_BATCH, examples_of, predict
from kdcheck.engine.settings import autocast_of, pick_device, settings_of
from kdcheck.engine.weights import weights_digest
from kdcheck.evidence.database import import_mlflow
from kdcheck.objectives import ERM
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.garbage import collect_rarely
from kdcheck.study.resources import Resources

WARM, FEWEST = 3, 5
"""Steps that are not timed, and the fewest that are."""
SECONDS = 2.0
"""Of timed steps, and of a timed look, where so much is to be had."""
FIRST_ROWS = 32
"""Of a look that tells how large the timed one may be."""
BATCHES = 4
"""Of a timed look at most."""


class _TimedError(Exception):
    """Ends a training that has been timed."""


def main() -> int:
    """Time every recipe of the job and print seconds as JSON, a line each."""
    _say("ready")
    job = json.loads(sys.stdin.readline() or "null")
    if job is None:  # whoever started this process has ended
        return 0
    objectives.load_modules(job["modules"])
    resources, device = Resources(Places.from_dict(job["places"])), pick_device(job["device"])
    for values in job["recipes"]:
        _say(timed(Recipe.from_dict(values), resources, device))
    return 0


def timed(recipe: Recipe, resources: Resources, device: torch.device) -> dict[str, float]:
    """Seconds of the parts of a run; ``kdcheck.planning.timing.Seconds`` has their names."""
    began = time.perf_counter()
    inputs = resources.inputs_of(recipe)
    _steps(recipe, inputs, device, most=1)  # the first model of a process takes seconds of its own
    prepared = time.perf_counter()
    resources.inputs_of(replace(recipe, seed=recipe.seed + 1))
    cut = time.perf_counter() - prepared
    begin, step = _steps(recipe, inputs, device)
    model = inputs.build(recipe).to(device)
    with settings_of(recipe, device):
        look = _look(recipe, inputs, model, device)
        looked = time.perf_counter()
        weights_digest(model)
    return {
        "prepare": prepared - began,
        "cut": cut,
        "begin": begin,
        "step": step,
        "look_token": look,
        "digest": time.perf_counter() - looked,
        "look_row": _summary(inputs),
    }


def plain(recipe: Recipe) -> Recipe:
    """A recipe of the same kind that needs no teacher, trains long enough and looks at nothing."""
    return replace(
        recipe,
        objective=ERM(),
        teacher=None,
        teacher_temperature=1.0,
        teacher_shuffled=False,
        schedule="constant",
        schedule_epochs=None,
        epochs=max(recipe.epochs, WARM + FEWEST + 1),
        evaluations_per_epoch=0,
    )


def _steps(
    recipe: Recipe, inputs: Inputs, device: torch.device, most: int | None = None
) -> tuple[float, float]:
    """Seconds until the first step, and of a step once it is warm."""
    marks = [time.perf_counter()]

    def progress(step: int, total: int) -> None:
        if step == WARM:
            _wait(device)
        marks.append(time.perf_counter())
        enough = step >= WARM + FEWEST and marks[-1] - marks[WARM] > SECONDS
        if enough or step == (most or total - 1):
            raise _TimedError

    with suppress(_TimedError):
        train(plain(recipe), inputs, device=device, progress=progress)
    _wait(device)
    warm = min(WARM, len(marks) - 2)
    step = (time.perf_counter() - marks[warm]) / (len(marks) - 1 - warm)
    return max(0.0, marks[1] - marks[0] - step), step


def _look(recipe: Recipe, inputs: Inputs, model: torch.nn.Module, device: torch.device) -> float:
    """Seconds a token, of logits on test text."""

    def look(rows: int) -> tuple[float, float]:
        tokens = float(inputs.tokenized["test"].lengths[examples_of(inputs, "test", rows)[1]].sum())
        began = time.perf_counter()
        autocast = partial(autocast_of, recipe, device)
        predict(model, inputs, "test", device=device, sample=rows, autocast=autocast)
        return time.perf_counter() - began, tokens

    whole = len(inputs.task.test)
    first = min(FIRST_ROWS, whole)
    look(first)
    taken, tokens = look(first)
    affordable = first * SECONDS / taken
    full = BATCHES * TOKENS_PER_BATCH * first / tokens
    taken, tokens = look(max(first, min(whole, int(min(affordable, full)))))
    return taken / tokens


def _summary(inputs: Inputs) -> float:
    """Seconds a row, of the metrics that are stored of it."""
    labels_N = np.asarray(inputs.task.test.labels, dtype=np.int64)
    logits_NK = np.eye(inputs.task.num_classes, dtype=np.float32)[labels_N]
    began = time.perf_counter()
    metrics.summary(logits_NK, labels_N)
    return (time.perf_counter() - began) / len(labels_N)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    collect_rarely()
    import_mlflow()
    sys.exit(main())
