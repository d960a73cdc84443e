"""The training loop: one recipe in, one record of evidence out.

Read :func:`train` from top to bottom; everything it calls computes and nothing else steers.
"""

# Shapes: N examples of a split, B examples of one step, K classes.

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcheck import metrics
from kdcheck.engine import resume
from kdcheck.engine.export import check_is_new, export
from kdcheck.engine.finite import FiniteGuard
from kdcheck.engine.gradients import accumulate
from kdcheck.engine.inputs import Inputs
from kdcheck.engine.memory import memory_for
from kdcheck.engine.predict import predict
from kdcheck.engine.schedule import Schedule
from kdcheck.engine.settings import (
    DTYPES,
    autocast_of,
    environment,
    peak_memory_bytes,
    pick_device,
    settings_of,
)
from kdcheck.engine.weights import weights_digest
from kdcheck.errors import RecipeError, TrainingError
from kdcheck.evidence.record import EvaluationPoint, Evidence, Predictions
from kdcheck.recipe import ENGINE_VERSION, Recipe

Progress = Callable[[int, int], None]
"""Called after each step with steps taken and steps in all."""
WAIT_OVER_SAVE = 50
"""Time until the next checkpoint over the time that the last one took: at most 2 % goes there."""


@dataclass
class Run:
    """What changes while a recipe is trained; a checkpoint holds all of it.

    Source: none.

    >>> sorted(Run.__dataclass_fields__)[:3]
    ['cost', 'device', 'guard']
    """

    device: torch.device
    model: nn.Module
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    guard: FiniteGuard
    micro_batch: int
    step: int = 0
    points: list[EvaluationPoint] = field(default_factory=list)
    cost: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)


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
) -> Evidence:
    """Train one recipe and return what it leaves behind.

    Args:
        recipe: decides the outcome.
        inputs: the task, tokenised for the recipe's encoder.
        teacher: logits of the recipe's teacher on the training split; joined by example id.
        device: CUDA where there is one, by default.
        workdir: where checkpoints go and where an earlier try is resumed from; none for neither.
        checkpoint_seconds: least time between checkpoints, 0 for one after each step; it changes
            no result.
        predict_train: whether to leave logits on the training split too, as a teacher must.
        model_folder: where to leave the trained classifier, if anywhere; a new folder.
        progress: called after each step.

    Returns:
        Evidence with one point per evaluation of the recipe.

    Raises:
        RecipeError: inputs or teacher are not those of the recipe.
        TrainingError: a loss that is not finite, or memory that does not suffice for one example or
            for the optimiser.
        CheckpointError: a checkpoint cannot be written, or is another recipe's.
        EvidenceError: the teacher lacks an example, or the model folder cannot be written.

    Source: section 4 and Table 1; Eqs. 1 and 2 by way of the recipe's objective.

    >>> train.__name__
    'train'
    """
    device = device or pick_device()
    _check_inputs(recipe, inputs, teacher)
    if model_folder is not None:
        check_is_new(model_folder)
    schedule = Schedule(recipe, len(inputs.task.train))
    labels_N = torch.tensor(inputs.task.train.labels, device=device)
    teacher_logits_NK = _teacher_logits(recipe, inputs, teacher, device)
    with settings_of(recipe, device):
        run = _start(recipe, inputs, schedule, device)
        resume.restore(run, workdir, recipe, inputs)
        clock = Clock(checkpoint_seconds, run.cost["seconds"])
        while run.step < schedule.total_steps:
            rows_B = schedule.rows(run.step)
            _set_rate(run.optimizer, schedule.rate(run.step))
            loss_B = accumulate(run, recipe, inputs, rows_B, labels_N, teacher_logits_NK)
            with memory_for("the optimiser", f"step {run.step}, seed {recipe.seed}", device):
                run.scaler.unscale_(run.optimizer)
                norm = nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip_norm)
                # A loss scaler backs off as gradients overflow: their norm is its own affair.
                run.guard.watch(run.step, loss_B, norm.new_zeros(()) if _scales(run) else norm)
                if run.guard.look_is_due():
                    run.guard.look()
                _step(run)
            run.step += 1
            if run.step in schedule.evaluation_steps:
                run.guard.look()
                _check_scale(run, recipe)
                run.points.append(_evaluate(run, recipe, inputs, schedule))
            if workdir is not None and clock.checkpoint_is_due():
                run.guard.look()
                run.cost["seconds"] = clock.seconds()
                with clock.saving():
                    resume.save(run, workdir, recipe)
            if progress is not None:
                progress(run.step, schedule.total_steps)
        run.guard.look()
        if predict_train:
            run.points[-1] = _with_train_logits(run, recipe, inputs)
        if model_folder is not None:
            export(run.model, inputs, model_folder)
        run.cost["seconds"] = clock.seconds()
    return _evidence(run, recipe, inputs, schedule)


class Clock:
    """Wall time of the run, and when the next checkpoint is due.

    Args:
        checkpoint_seconds: least time between checkpoints; 0 for one after each step.
        seconds_before: what earlier tries took up to the checkpoint that was resumed from.

    Source: none.

    >>> Clock(0.0).checkpoint_is_due()
    True
    """

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


def _start(recipe: Recipe, inputs: Inputs, schedule: Schedule, device: torch.device) -> Run:
    model = inputs.build(recipe).to(device)
    if recipe.precision == "float64":
        model = model.to(DTYPES["float64"])
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(recipe.beta_1, recipe.beta_2),
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ids = inputs.task.train.ids
    guard = FiniteGuard(
        device, seed=recipe.seed, ids_of=lambda step: [ids[row] for row in schedule.rows(step)]
    )
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    return Run(device, model, optimizer, scaler, guard, micro_batch=recipe.batch_size)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _scales(run: Run) -> bool:
    return bool(run.scaler.is_enabled())


def _step(run: Run) -> None:
    """One optimiser step, unless the guard (or the loss scaler) blocks it on the device."""
    if _scales(run):
        # A loss that is not finite makes gradients that are not, which the scaler skips by itself.
        run.scaler.step(run.optimizer)
        run.scaler.update()
        return
    run.optimizer.grad_scale, run.optimizer.found_inf = None, run.guard.blocked
    run.optimizer.step()


def _check_scale(run: Run, recipe: Recipe) -> None:
    """A loss scaler that has backed off below 1 has skipped step after step in silence."""
    if _scales(run) and run.scaler.get_scale() < 1.0:
        raise TrainingError(
            f"step {run.step}, seed {recipe.seed}",
            "gradients that overflow float16 even without a loss scale",
            "gradients within its range",
            "Lower the learning rate, or use bfloat16 or float32 in place of float16.",
        )


def _evaluate(run: Run, recipe: Recipe, inputs: Inputs, schedule: Schedule) -> EvaluationPoint:
    started = time.monotonic()
    look = partial(
        predict,
        run.model,
        inputs,
        device=run.device,
        autocast=partial(autocast_of, recipe, run.device),
        tally=run.cost,
    )
    predictions = {split: look(split) for split in ("validation", "test")}
    looked_at = predictions | {"train_sample": look("train", sample=recipe.curve_rows)}
    values = {"train/loss_nats": run.guard.mean_loss()}
    for name, part in looked_at.items():
        summary = metrics.summary(part.logits_NK, part.labels_N)
        values |= {f"{name}/{metric}": value for metric, value in summary.items()}
    # A digest reads every weight, so only ends of epochs have one: there runs are compared.
    at_epoch_end = run.step % schedule.steps_per_epoch == 0
    digest = weights_digest(run.model) if at_epoch_end else ""
    run.cost["evaluation_seconds"] += time.monotonic() - started
    return EvaluationPoint(
        step=run.step,
        epoch=run.step / schedule.steps_per_epoch,
        predictions=predictions,
        values=values,
        weights_digest=digest,
    )


def _with_train_logits(run: Run, recipe: Recipe, inputs: Inputs) -> EvaluationPoint:
    """The last point with logits on the whole training split, for students."""
    autocast = partial(autocast_of, recipe, run.device)
    train_logits = predict(
        run.model, inputs, "train", device=run.device, autocast=autocast, tally=run.cost
    )
    last = run.points[-1]
    return replace(last, predictions={**last.predictions, "train": train_logits})


def _evidence(run: Run, recipe: Recipe, inputs: Inputs, schedule: Schedule) -> Evidence:
    run.cost["peak_memory_bytes"] = peak_memory_bytes(run.device)
    run.cost["steps"] = float(schedule.total_steps)
    run.cost["micro_batch"] = float(run.micro_batch)
    cut = sum(part.truncated for part in inputs.tokenized.values())
    if cut:
        run.notes.append(f"{cut} texts were longer than {recipe.max_length} tokens and were cut")
    return Evidence(
        recipe=recipe,
        points=tuple(run.points),
        cost=dict(run.cost),
        environment=environment(recipe, run.device),
        notes=tuple(run.notes),
    )


def _check_inputs(recipe: Recipe, inputs: Inputs, teacher: Predictions | None) -> None:
    for what, got, wanted in (
        ("task", inputs.task.digest, recipe.task_digest),
        ("encoder", inputs.encoder.digest, recipe.encoder_digest),
        ("max_length", str(inputs.max_length), str(recipe.max_length)),
        ("engine_version", ENGINE_VERSION, recipe.engine_version),
    ):
        if got != wanted:
            raise RecipeError(
                f"recipe {recipe.short}, {what}",
                got[:12],
                f"{wanted[:12]}, which the recipe names",
                "Files or kdcheck have changed since the recipe was made; make it anew.",
            )
    if (teacher is None) != (recipe.teacher is None):
        raise RecipeError(
            f"recipe {recipe.short}, teacher",
            "no teacher logits" if teacher is None else "teacher logits",
            "none" if teacher is not None else "logits on the training split",
            "Train the teacher first, with predict_train=True.",
        )


def _teacher_logits(
    recipe: Recipe, inputs: Inputs, teacher: Predictions | None, device: torch.device
) -> Tensor | None:
    if teacher is None:
        return None
    ids: Sequence[str] = inputs.task.train.ids
    logits_NK = torch.from_numpy(teacher.aligned(ids).logits_NK).to(device)
    if recipe.precision == "float64":
        logits_NK = logits_NK.double()
    return logits_NK / recipe.teacher_temperature
