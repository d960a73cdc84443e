"""The training loop: one recipe in, one record of evidence out.

Read :func:`train` from top to bottom. Of what it calls, four decide something themselves: ``restore``
may put the run at a later step, ``accumulate`` halves the micro-batch and tries again where memory
runs out, the guard stops the run, and guard and loss scaler make the optimiser leave a step out.
"""

# Shapes: B examples of one step.

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcheck import metrics
from kdcheck.engine import resume
from kdcheck.engine.adamw import AdamW
from kdcheck.engine.finite import FiniteGuard
from kdcheck.engine.gradients import accumulate
from kdcheck.engine.hugging_face import check_is_new, export
from kdcheck.engine.inputs import Inputs
from kdcheck.engine.memory import memory_for
from kdcheck.engine.predict import SAMPLES, TEST_SAMPLE, TRAIN_SAMPLE, examples_of, predict
from kdcheck.engine.schedule import Schedule
from kdcheck.engine.settings import (
    DTYPES,
    autocast_of,
    environment,
    is_emulated,
    peak_memory_bytes,
    pick_device,
    settings_of,
)
from kdcheck.engine.state import State
from kdcheck.engine.stopped import Stopped
from kdcheck.engine.teaching import Targets, targets_of
from kdcheck.engine.weights import weights_digest
from kdcheck.errors import RecipeError, TrainingError
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.recipe import ENGINE_VERSION, Recipe

Progress = Callable[[int, int], None]
"""Called after each step with steps taken and steps in all."""
Stop = Callable[[], bool]
"""Asked after each step: whether to end here, with a checkpoint."""
WAIT_OVER_SAVE = 50
"""Time until the next checkpoint over the time that the last one took: at most 2 % goes there."""
CLEARLY = 0.99
"""Share of the norm that gradients are clipped to, below which rounding cannot matter."""


def train(
    recipe: Recipe,
    inputs: Inputs,
    *,
    teacher: Predictions | None = None,
    device: torch.device | None = None,
    workdir: Path | None = None,
    checkpoint_seconds: float = 30.0,
    predict_train: bool = False,
    model_folder: Path | None = None,
    progress: Progress | None = None,
    stop: Stop = lambda: False,
) -> Evidence:
    """Train one recipe and return what it leaves behind; docs/engine.md has an example.

    Args:
        recipe: decides the outcome.
        inputs: the task, tokenised for the recipe's encoder and cut to its rows.
        teacher: logits of the recipe's teacher on the training split; joined by example id.
        device: CUDA where there is one, by default.
        workdir: where checkpoints go and an earlier try is resumed from; none for neither.
        checkpoint_seconds: least time between checkpoints, 0 for one a step; changes no result.
        predict_train: whether to leave logits on the training split too, as a teacher must.
        model_folder: where to leave the trained classifier, if anywhere; a new folder.
        progress: called after each step.
        stop: asked after each step; once it is true a checkpoint is written and Stopped raised.

    Returns:
        Evidence with one point per evaluation of the recipe.

    Raises:
        RecipeError: inputs or teacher are not those of the recipe.
        TrainingError: a loss that is not finite, or too little memory for one example.
        CheckpointError: a checkpoint cannot be written, or is another recipe's.
        EvidenceError: the teacher lacks an example, or the model folder cannot be written.
    """
    device = device or pick_device()
    _check_inputs(recipe, inputs, teacher)
    if model_folder is not None:
        check_is_new(model_folder)
    schedule = Schedule(recipe, len(inputs.task.train))
    targets = targets_of(recipe, inputs, teacher, device)
    with settings_of(recipe, device):
        state = _start(recipe, inputs, schedule, device)
        resume.restore(state, workdir, recipe, inputs)
        clock = Clock(checkpoint_seconds, state.cost["seconds"])
        while state.step < schedule.total_steps:
            _take_step(state, schedule, inputs, targets)
            if state.step in schedule.evaluation_steps:
                state.points.append(_evaluate(state, inputs, schedule))
            _keep(state, clock, workdir, recipe, stop)
            if progress is not None:
                progress(state.step, schedule.total_steps)
        state.guard.look()
        if predict_train:
            state.points[-1] = _with_train_logits(state, recipe, inputs)
        if model_folder is not None:
            export(state.model, inputs, model_folder)
        state.cost["seconds"] = clock.seconds()
    return _evidence(state, recipe, inputs, schedule)


class Clock:
    """Wall time of the run, earlier tries included, and when the next checkpoint is due."""

    def __init__(self, checkpoint_seconds: float, seconds_before: float = 0.0) -> None:
        self._every, self._before = checkpoint_seconds, seconds_before
        self._start = time.monotonic()
        self._due = self._start + self._every

    def seconds(self) -> float:
        """Seconds that the run took so far."""
        return self._before + time.monotonic() - self._start

    def checkpoint_is_due(self) -> bool:
        """Whether the time until the next checkpoint has gone by."""
        return time.monotonic() >= self._due

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around the writing of a checkpoint: the next is due later the longer it takes."""
        begun = time.monotonic()
        yield
        ended = time.monotonic()
        self._due = ended + (self._every and max(self._every, WAIT_OVER_SAVE * (ended - begun)))


def _start(recipe: Recipe, inputs: Inputs, schedule: Schedule, device: torch.device) -> State:
    with memory_for("the model", f"step 0, seed {recipe.seed}", device):
        model = inputs.build(recipe).to(device)
    if recipe.precision == "float64":
        model = model.to(DTYPES["float64"])
    model.train()
    optimizer = AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(recipe.beta_1, recipe.beta_2),
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ids = inputs.task.train.ids
    guard = FiniteGuard(
        device, seed=recipe.seed, ids_of=lambda step: [ids[row] for row in schedule.rows(step)]
    )
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    return State(device, model, optimizer, scaler, guard, micro_batch=recipe.batch_size)


def _take_step(state: State, schedule: Schedule, inputs: Inputs, targets: Targets) -> None:
    """One step of the optimiser from its rows and its rate; a bad one is left out, then raised."""
    recipe = schedule.recipe
    rows_B = schedule.rows(state.step)
    (group,) = state.optimizer.param_groups
    group["lr"] = schedule.rate(state.step)
    loss_B = accumulate(state, recipe, inputs, rows_B, *targets)
    with memory_for("the optimiser", f"step {state.step}, seed {recipe.seed}", state.device):
        state.scaler.unscale_(state.optimizer)
        norm = _clip(group["params"], recipe.clip_norm)
        # A loss scaler backs off as gradients overflow: their norm is its own affair.
        state.guard.watch(state.step, loss_B, norm.new_zeros(()) if _scales(state) else norm)
        if state.guard.look_is_due():
            state.guard.look()
        _step(state)
    state.step += 1


def _keep(state: State, clock: Clock, workdir: Path | None, recipe: Recipe, stop: Stop) -> None:
    """Write a checkpoint where one is due or the run is asked to end, which it then does."""
    stopping = stop()
    if workdir is not None and (stopping or clock.checkpoint_is_due()):
        _save(state, clock, workdir, recipe)
    if stopping:
        raise Stopped("SIGTERM")


def _save(state: State, clock: Clock, workdir: Path, recipe: Recipe) -> None:
    state.guard.look()
    state.cost["seconds"] = clock.seconds()
    with clock.saving():
        resume.save(state, workdir, recipe)


def _scales(state: State) -> bool:
    return bool(state.scaler.is_enabled())


def _clip(weights: list[nn.Parameter], most: float) -> Tensor:
    """Scale the gradients down to a norm of at most so much; what the norm was."""
    # As torch's clip_grad_norm_, which first sorts gradients by device and type.
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norms = torch._foreach_norm(gradients)  # noqa: SLF001
    norm = torch.linalg.vector_norm(torch.stack(norms))
    # Well below it the factor is 1, and on the CPU that can be read.
    if norm.device.type != "cpu" or not norm < CLEARLY * most:
        torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
    return norm


def _step(state: State) -> None:
    """One optimiser step, unless the guard (or the loss scaler) blocks it on the device."""
    if _scales(state):
        # A loss that is not finite makes gradients that are not, which the scaler skips by itself.
        state.scaler.step(state.optimizer)
        state.scaler.update()
        return
    state.optimizer.grad_scale, state.optimizer.found_inf = None, state.guard.brake()
    state.optimizer.step()


def _check_scale(state: State, recipe: Recipe) -> None:
    """A loss scaler that has backed off below 1 has skipped step after step in silence."""
    if _scales(state) and state.scaler.get_scale() < 1.0:
        who = f"step {state.step}, seed {recipe.seed}"
        got = "gradients that overflow float16 even without a loss scale"
        next_step = "Lower the learning rate, or use bfloat16 or float32 in place of float16."
        raise TrainingError(who, got, "gradients within its range", next_step)


def _evaluate(state: State, inputs: Inputs, schedule: Schedule) -> EvaluationPoint:
    recipe = schedule.recipe
    state.guard.look()
    _check_scale(state, recipe)
    started = time.monotonic()
    predictions = _seen(state, inputs, schedule)
    values = {"train/loss_nats": state.guard.mean_loss()}
    for name, part in predictions.items():
        summary = metrics.summary(part.logits_NK, part.labels_N)
        values |= {f"{name}/{metric}": value for metric, value in summary.items()}
    # A digest reads every weight, so only ends of epochs have one: there runs are compared.
    at_epoch_end = state.step % schedule.steps_per_epoch == 0
    digest = weights_digest(state.model) if at_epoch_end else ""
    state.cost["evaluation_seconds"] += time.monotonic() - started
    return EvaluationPoint(
        step=state.step,
        epoch=state.step / schedule.steps_per_epoch,
        predictions=predictions,
        values=values,
        weights_digest=digest,
    )


def _seen(state: State, inputs: Inputs, schedule: Schedule) -> dict[str, Predictions]:
    """Logits on samples, since most looks only draw a curve; at the end on whole splits too."""
    size = schedule.recipe.curve_rows
    look = _looker(state, schedule.recipe, inputs)
    if state.step < schedule.total_steps:
        return {name: look(split, sample=size) for name, split in SAMPLES.items()}
    found = {"validation": look("validation"), "test": look("test")}
    found[TRAIN_SAMPLE] = look("train", sample=size)
    sample, _ = examples_of(inputs, "test", size)
    found[TEST_SAMPLE] = found["test"].aligned(sample.ids)
    return found


def _looker(state: State, recipe: Recipe, inputs: Inputs) -> Callable[..., Predictions]:
    """``predict`` for this run: its model, in the number format that it trains in, counted."""
    return partial(
        predict,
        state.model,
        inputs,
        device=state.device,
        autocast=partial(autocast_of, recipe, state.device),
        tally=state.cost,
    )


def _with_train_logits(state: State, recipe: Recipe, inputs: Inputs) -> EvaluationPoint:
    """The last point with logits on the whole training split, for students."""
    train_logits = _looker(state, recipe, inputs)("train")
    last = state.points[-1]
    return replace(last, predictions={**last.predictions, "train": train_logits})


def _evidence(state: State, recipe: Recipe, inputs: Inputs, schedule: Schedule) -> Evidence:
    state.cost["peak_memory_bytes"] = peak_memory_bytes(state.device)
    state.cost["steps"] = float(schedule.total_steps)
    state.cost["micro_batch"] = float(state.micro_batch)
    cut = sum(int(part.truncated.sum()) for part in inputs.tokenized.values())
    if is_emulated(recipe, state.device):
        state.notes.append(
            f"this device has no {recipe.precision} of its own: float32 is faster here"
        )
    state.cost["truncated_texts"] = float(cut)
    if cut:
        state.notes.append(f"{cut} texts were longer than {recipe.max_length} tokens and were cut")
    return Evidence(
        recipe=recipe,
        points=tuple(state.points),
        cost=dict(state.cost),
        environment=environment(recipe, state.device),
        notes=tuple(state.notes),
    )


def _check_inputs(recipe: Recipe, inputs: Inputs, teacher: Predictions | None) -> None:
    for what, got, wanted in (
        ("task", inputs.task_digest, recipe.task_digest),
        ("encoder", inputs.encoder.digest, recipe.encoder_digest),
        ("max_length", str(inputs.max_length), str(recipe.max_length)),
        ("engine_version", ENGINE_VERSION, recipe.engine_version),
    ):
        if got != wanted:
            who = f"recipe {recipe.short}, {what}"
            next_step = "Files or kdcheck have changed since the recipe was made; make it anew."
            raise RecipeError(who, got[:12], f"{wanted[:12]}, which the recipe names", next_step)
    if inputs.rows != recipe.rows:
        who, wanted = f"recipe {recipe.short}, rows", f"{recipe.rows.text}, which the recipe names"
        raise RecipeError(who, inputs.rows.text, wanted, "Pass prepare(...).cut(recipe.rows).")
    if (teacher is None) != (recipe.teacher is None):
        raise RecipeError(
            f"recipe {recipe.short}, teacher",
            "no teacher logits" if teacher is None else "teacher logits",
            "none" if teacher is not None else "logits on the training split",
            "Train the teacher first, with predict_train=True.",
        )
