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
from kdcheck.planning import clock
from kdcheck.recipe import Recipe
from kdcheck.study.garbage import collect_rarely
from kdcheck.study.resources import Resources

WARM, FEWEST = 3, 5
"""Steps that are not timed, and the fewest that are."""
SECONDS = 2.0
"""Of timed steps, and of a timed look, where so much is to be had."""
FEW_ROWS, TIMES = 32, 5
"""Of a short look, and how often it is timed; it tells how large the long one may be."""
BATCHES = 4
"""Of a long look at most."""


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
    """Seconds of the parts of a run; ``kdcheck.planning.timing.Seconds`` has their names.

    And how long it all took on the wall, and how much of that this process waited for a core.
    """
    wall, waited = time.perf_counter(), clock.waited()
    began = clock.seconds()
    inputs = resources.inputs_of(recipe)
    _steps(recipe, inputs, device, most=1)  # the first model of a process takes seconds of its own
    prepared = clock.seconds()
    resources.inputs_of(replace(recipe, seed=recipe.seed + 1))
    cut = clock.seconds() - prepared
    begin, step = _steps(recipe, inputs, device)
    model = inputs.build(recipe).to(device)
    with settings_of(recipe, device):
        look, look_token = _look(recipe, inputs, model, device)
        looked = clock.seconds()
        weights_digest(model)
        digest = clock.seconds() - looked
    return {
        "prepare": prepared - began,
        "cut": cut,
        "begin": begin,
        "step": step,
        "look": look,
        "look_token": look_token,
        "digest": digest,
        "wall": time.perf_counter() - wall,
        "waited": clock.waited() - waited,
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
    marks = [clock.seconds()]

    def progress(step: int, total: int) -> None:
        if step == WARM:
            _wait(device)
        marks.append(clock.seconds())
        enough = step >= WARM + FEWEST and marks[-1] - marks[WARM] > SECONDS
        if enough or step == (most or total - 1):
            raise _TimedError

    with suppress(_TimedError):
        train(plain(recipe), inputs, device=device, progress=progress)
    _wait(device)
    warm = min(WARM, len(marks) - 2)
    step = (clock.seconds() - marks[warm]) / (len(marks) - 1 - warm)
    return max(0.0, marks[1] - marks[0] - step), step


def _look(
    recipe: Recipe, inputs: Inputs, model: torch.nn.Module, device: torch.device
) -> tuple[float, float]:
    """Seconds of a look at test text and of its metrics, however few rows; and a token more."""
    autocast = partial(autocast_of, recipe, device)

    def look(rows: int, times: int = 1) -> tuple[float, float]:
        tokens = float(inputs.tokenized["test"].lengths[examples_of(inputs, "test", rows)[1]].sum())
        began = clock.seconds()
        for _ in range(times):
            seen = predict(model, inputs, "test", device=device, sample=rows, autocast=autocast)
            metrics.summary(seen.logits_NK, seen.labels_N)
        return (clock.seconds() - began) / times, tokens

    whole = len(inputs.task.test)
    few = min(FEW_ROWS, whole)
    look(few)
    short, few_tokens = look(few, TIMES)
    affordable = few * SECONDS / short
    full = BATCHES * TOKENS_PER_BATCH * few / few_tokens
    long, tokens = look(max(few, min(whole, int(min(affordable, full)))))
    if tokens <= few_tokens:  # of so few rows nothing is known but what they take together
        return 0.0, short / few_tokens
    slope = max(0.0, long - short) / (tokens - few_tokens)
    return max(0.0, short - slope * few_tokens), slope


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    collect_rarely()
    import_mlflow()
    sys.exit(main())
