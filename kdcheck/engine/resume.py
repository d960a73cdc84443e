"""Between a run and its checkpoints: what is written down, and how it is put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcheck.engine import checkpoint
from kdcheck.engine.inputs import Inputs
from kdcheck.engine.predict import SAMPLES, examples_of
from kdcheck.engine.state import State
from kdcheck.errors import CheckpointError
from kdcheck.evidence.evidence import EvaluationPoint, Predictions
from kdcheck.recipe import Recipe

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save(state: State, workdir: Path, recipe: Recipe) -> None:
    """Write weights, moments, scaler, counts and points; streams have no state to be saved."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in state.model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach().cpu().contiguous()
        for moment in MOMENTS:
            # Copied, since all weights share one count and the format has one for each.
            tensors[f"{moment}/{name}"] = state.optimizer.state[parameter][moment].cpu().clone()
    for index, point in enumerate(state.points):
        for split, predictions in point.predictions.items():
            tensors[f"point/{index}/{split}"] = torch.from_numpy(predictions.logits_NK)
    tensors["guard/sum"] = state.guard.loss_sum.cpu()
    values = {
        "recipe": recipe.digest,
        "micro_batch": state.micro_batch,
        "guard_count": state.guard.loss_count,
        "scaler": state.scaler.state_dict(),
        "cost": dict(state.cost),
        "notes": state.notes,
        "points": [
            {"step": p.step, "epoch": p.epoch, "values": p.values, "digest": p.weights_digest}
            for p in state.points
        ],
    }
    checkpoint.save(workdir, step=state.step, tensors=tensors, state=values)


def restore(state: State, workdir: Path | None, recipe: Recipe, inputs: Inputs) -> None:
    """Put the newest valid checkpoint of an earlier try back into a fresh run, if there is one."""
    found = checkpoint.load_latest(workdir) if workdir is not None else None
    if found is None:
        return
    if found.state["recipe"] != recipe.digest:
        who = f"checkpoints in {workdir}"
        got = f"those of recipe {found.state['recipe'][:8]}"
        wanted = f"those of recipe {recipe.short}, or none"
        raise CheckpointError(who, got, wanted, "Give each recipe a folder of its own.")
    with torch.no_grad():
        for name, parameter in state.model.named_parameters():
            parameter.copy_(found.tensors[f"model/{name}"])
            for moment in MOMENTS:
                state.optimizer.state[parameter][moment].copy_(found.tensors[f"{moment}/{name}"])
    state.step = found.step
    state.micro_batch = found.state["micro_batch"]
    if found.state["scaler"]:
        state.scaler.load_state_dict(found.state["scaler"])
    state.guard.loss_sum = found.tensors["guard/sum"].to(state.guard.loss_sum.device)
    state.guard.loss_count = found.state["guard_count"]
    state.cost.update(found.state["cost"])
    state.notes.extend([*found.state["notes"], f"resumed at step {found.step}", *found.ignored])
    state.points.extend(
        _point(index, values, found.tensors, recipe, inputs)
        for index, values in enumerate(found.state["points"])
    )


def _point(
    index: int, values: dict[str, Any], tensors: Any, recipe: Recipe, inputs: Inputs
) -> EvaluationPoint:
    predictions = {}
    start = f"point/{index}/"
    for name in sorted(key.removeprefix(start) for key in tensors if key.startswith(start)):
        sample = recipe.curve_rows if name in SAMPLES else None
        part, _ = examples_of(inputs, SAMPLES.get(name, name), sample)
        predictions[name] = Predictions(
            ids=part.ids,
            labels_N=np.asarray(part.labels, dtype=np.int64),
            logits_NK=tensors[start + name].numpy(),
        )
    return EvaluationPoint(
        step=values["step"],
        epoch=values["epoch"],
        predictions=predictions,
        values=values["values"],
        weights_digest=values["digest"],
    )
