"""The gradient of one step, in as many parts as memory asks for."""

# Shapes: N examples of the training split, B examples of one step, K classes.

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kdcheck.engine.inputs import Inputs
from kdcheck.engine.memory import free_cache, ran_out, too_little_memory
from kdcheck.engine.settings import autocast_of
from kdcheck.engine.state import State
from kdcheck.engine.streams import stream_seed
from kdcheck.errors import TrainingError
from kdcheck.recipe import Recipe


def accumulate(
    state: State,
    recipe: Recipe,
    inputs: Inputs,
    rows_B: npt.NDArray[np.int64],
    labels_N: Tensor,
    teacher_logits_NK: Tensor | None,
) -> Tensor:
    """Leave the gradient of the step's mean loss in the model; the loss of each example, (B,).

    Where memory runs out the micro-batch is halved, for good, and the step is tried again. Nothing
    waits for the device.
    """
    while True:
        try:
            loss_B = _micro_batches(state, recipe, inputs, rows_B, labels_N, teacher_logits_NK)
        except RuntimeError as error:
            if not ran_out(error):
                raise
            what = str(error)
        else:
            return loss_B
        # Only here, outside the handler, are the tensors of the failed try gone.
        _halve_micro_batch(state, recipe, what)


def _micro_batches(
    state: State,
    recipe: Recipe,
    inputs: Inputs,
    rows_B: npt.NDArray[np.int64],
    labels_N: Tensor,
    teacher_logits_NK: Tensor | None,
) -> Tensor:
    """One try at a step, in parts of at most ``state.micro_batch`` examples."""
    state.optimizer.zero_grad()
    # The dropout stream: what it gives depends on (seed, step) alone.
    _seed(state.device, stream_seed(recipe.seed, "dropout", state.step))
    losses: list[Tensor] = []
    tokens = 0
    for start in range(0, len(rows_B), state.micro_batch):
        micro_rows = rows_B[start : start + state.micro_batch]
        batch = inputs.batch("train", micro_rows).to(state.device)
        index = torch.from_numpy(micro_rows).to(state.device, non_blocking=True)
        taught = None if teacher_logits_NK is None else teacher_logits_NK[index]
        with autocast_of(recipe, state.device):
            logits_BK = inputs.logits(state.model, batch)
        loss_B = recipe.objective.per_example(logits_BK, labels_N[index], taught)
        _check_loss(loss_B, len(micro_rows), recipe)
        # One division by the examples of the whole step: accumulation changes nothing.
        state.scaler.scale(loss_B.sum() / len(rows_B)).backward()
        losses.append(loss_B.detach())
        tokens += batch.input_ids.numel()
    state.cost["train_rows"] += len(rows_B)
    state.cost["train_tokens"] += tokens
    return torch.cat(losses)


def _seed(device: torch.device, seed: int) -> None:
    """``torch.manual_seed`` for the device in use alone."""
    # The whole takes a stack trace for each kind of device that is not there: a tenth of a small step.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


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
    wanted = f"a tensor of shape ({rows},) with a gradient to the logits"
    next_step = "Return one value per example from per_example: no mean, no [:, None], no detach()."
    raise TrainingError(f"objective {recipe.objective.name!r}", got, wanted, next_step)


def _halve_micro_batch(state: State, recipe: Recipe, what: str) -> None:
    if state.micro_batch == 1:
        who = f"step {state.step}, seed {recipe.seed}"
        raise too_little_memory(who, state.device, "one example", what)
    state.micro_batch //= 2
    state.notes.append(
        f"memory ran out at step {state.step}: micro-batches of {state.micro_batch} from there on, "
        f"still {recipe.batch_size} examples a step"
    )
    free_cache(state.device)
