"""Between a run and its checkpoints: what is written down, and how it is put back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kdcheck.engine import checkpoint
from kdcheck.errors import CheckpointError
from kdcheck.evidence.record import EvaluationPoint, Predictions
from kdcheck.recipe import Recipe

if TYPE_CHECKING:
    from kdcheck.engine.inputs import Inputs
    from kdcheck.engine.loop import Run

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save(run: Run, workdir: Path, recipe: Recipe) -> None:
    """Write weights, moments, scaler, counts and evaluation points.

    Raises:
        CheckpointError: see :func:`kdcheck.engine.checkpoint.save`.

    Source: none; random streams need no state, being functions of (seed, step).

    >>> save.__name__
    'save'
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in run.model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach().cpu().contiguous()
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = run.optimizer.state[parameter][moment].cpu().contiguous()
    for index, point in enumerate(run.points):
        for split, predictions in point.predictions.items():
            tensors[f"point/{index}/{split}"] = torch.from_numpy(predictions.logits_NK)
    tensors["guard/sum"] = run.guard.loss_sum.cpu()
    state = {
        "recipe": recipe.digest,
        "micro_batch": run.micro_batch,
        "guard_count": run.guard.loss_count,
        "scaler": run.scaler.state_dict(),
        "cost": dict(run.cost),
        "notes": run.notes,
        "points": [
            {"step": p.step, "epoch": p.epoch, "values": p.values, "digest": p.weights_digest}
            for p in run.points
        ],
    }
    checkpoint.save(workdir, step=run.step, tensors=tensors, state=state)


def restore(run: Run, workdir: Path | None, recipe: Recipe, inputs: Inputs) -> None:
    """Put the newest valid checkpoint of an earlier try back into a fresh run, if there is one.

    Raises:
        CheckpointError: the folder holds the checkpoints of another recipe.

    Source: none.

    >>> restore.__name__
    'restore'
    """
    found = checkpoint.load_latest(workdir) if workdir is not None else None
    if found is None:
        return
    if found.state["recipe"] != recipe.digest:
        raise CheckpointError(
            f"checkpoints in {workdir}",
            f"those of recipe {found.state['recipe'][:8]}",
            f"those of recipe {recipe.short}, or none",
            "Give each recipe a folder of its own.",
        )
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            parameter.copy_(found.tensors[f"model/{name}"])
            run.optimizer.state[parameter] = {
                moment: found.tensors[f"{moment}/{name}"].to(
                    # Fused AdamW keeps its step count beside the weights.
                    parameter.device
                )
                for moment in MOMENTS
            }
    run.step = found.step
    run.micro_batch = found.state["micro_batch"]
    if found.state["scaler"]:
        run.scaler.load_state_dict(found.state["scaler"])
    run.guard.loss_sum = found.tensors["guard/sum"].to(run.guard.loss_sum.device)
    run.guard.loss_count = found.state["guard_count"]
    run.cost.update(found.state["cost"])
    run.notes.extend([*found.state["notes"], f"resumed at step {found.step}", *found.ignored])
    run.points.extend(
        _point(index, values, found.tensors, inputs)
        for index, values in enumerate(found.state["points"])
    )


def _point(index: int, values: dict[str, Any], tensors: Any, inputs: Inputs) -> EvaluationPoint:
    predictions = {}
    for split in ("validation", "test"):
        part = inputs.task.split(split)
        predictions[split] = Predictions(
            ids=part.ids,
            labels_N=np.asarray(part.labels, dtype=np.int64),
            logits_NK=tensors[f"point/{index}/{split}"].numpy(),
        )
    return EvaluationPoint(
        step=values["step"],
        epoch=values["epoch"],
        predictions=predictions,
        values=values["values"],
        weights_digest=values["digest"],
    )
