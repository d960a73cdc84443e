"""The gradient of one step, in as many parts as memory asks for."""

# Shapes: N examples of the training split, B examples of one step, K classes.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kdcheck.engine.inputs import Inputs
from kdcheck.engine.memory import free_cache, too_little_memory
from kdcheck.engine.settings import autocast_of
from kdcheck.engine.streams import stream_seed
from kdcheck.errors import TrainingError
from kdcheck.recipe import Recipe

if TYPE_CHECKING:
    from kdcheck.engine.loop import Run


def accumulate(
    run: Run,
    recipe: Recipe,
    inputs: Inputs,
    rows_B: np.ndarray,
    labels_N: Tensor,
    teacher_logits_NK: Tensor | None,
) -> Tensor:
    """Forward, objective and backward of one step; smaller micro-batches where memory runs out.

    Args:
        run: its model takes the gradient of the mean loss; its micro-batch may shrink.
        recipe: says objective, precision and seed.
        inputs: the tokenised task.
        rows_B: rows of the training split, shape (B,).
        labels_N: labels of the whole split, on the device.
        teacher_logits_NK: the teacher's on the whole split, on the device, or none.

    Returns:
        The loss of each example in nats, shape (B,), on the device; nothing has waited for it.

    Raises:
        TrainingError: memory does not suffice for one example, or the objective gives something else
            than one value per example with a gradient.

    Source: Eqs. 1 and 2 by way of the recipe's objective, averaged over the step's examples.

    >>> accumulate.__name__
    'accumulate'
    """
    while True:
        try:
            loss_B = _micro_batches(run, recipe, inputs, rows_B, labels_N, teacher_logits_NK)
        except torch.OutOfMemoryError as error:
            what = str(error)
        else:
            run.cost["train_rows"] += len(rows_B)
            run.cost["train_tokens"] += float(inputs.tokenized["train"].lengths[rows_B].sum())
            return loss_B
        # Only here, outside the handler, are the tensors of the failed try gone.
        _halve_micro_batch(run, recipe, what)


def _micro_batches(
    run: Run,
    recipe: Recipe,
    inputs: Inputs,
    rows_B: np.ndarray,
    labels_N: Tensor,
    teacher_logits_NK: Tensor | None,
) -> Tensor:
    """One try at a step, in parts of at most ``run.micro_batch`` examples."""
    run.optimizer.zero_grad(set_to_none=True)
    # The dropout stream: what it gives depends on (seed, step) alone.
    torch.manual_seed(stream_seed(recipe.seed, "dropout", run.step))
    losses: list[Tensor] = []
    for start in range(0, len(rows_B), run.micro_batch):
        micro_rows = rows_B[start : start + run.micro_batch]
        batch = inputs.batch("train", micro_rows).to(run.device)
        index = torch.from_numpy(micro_rows).to(run.device, non_blocking=True)
        taught = None if teacher_logits_NK is None else teacher_logits_NK[index]
        with autocast_of(recipe, run.device):
            logits_BK = inputs.logits(run.model, batch)
        loss_B = recipe.objective.per_example(logits_BK, labels_N[index], taught)
        _check_loss(loss_B, len(micro_rows), recipe)
        # One division by the examples of the whole step: accumulation changes nothing.
        run.scaler.scale(loss_B.sum() / len(rows_B)).backward()
        losses.append(loss_B.detach())
    return torch.cat(losses)


def _check_loss(loss_B: object, rows: int, recipe: Recipe) -> None:
    """What can be seen without waiting; a sum over the wrong shape would train in silence."""
    if not isinstance(loss_B, Tensor):
        got = type(loss_B).__name__
    elif loss_B.shape != (rows,):
        got = f"a loss of shape {tuple(loss_B.shape)}"
    elif not loss_B.requires_grad:
        got = "a loss without a gradient"
    else:
        return
    raise TrainingError(
        f"objective {recipe.objective.name!r}",
        got,
        f"a tensor of shape ({rows},) with a gradient to the logits",
        "Return one value per example from per_example: no mean, no [:, None], no detach().",
    )


def _halve_micro_batch(run: Run, recipe: Recipe, what: str) -> None:
    if run.micro_batch == 1:
        who = f"step {run.step}, seed {recipe.seed}"
        raise too_little_memory(who, run.device, "one example", what)
    run.micro_batch //= 2
    run.notes.append(
        f"memory ran out at step {run.step}: micro-batches of {run.micro_batch} from there on, "
        f"still {recipe.batch_size} examples a step"
    )
    free_cache(run.device)
