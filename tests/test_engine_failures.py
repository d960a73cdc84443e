"""A bad step stops before it is taken; memory that runs out costs time and nothing else."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from kdcheck.engine import gradients, loop
from kdcheck.engine.adamw import AdamW
from kdcheck.engine.finite import FiniteGuard
from kdcheck.engine.inputs import Inputs
from kdcheck.engine.schedule import Schedule
from kdcheck.engine.weights import weights_digest
from kdcheck.errors import TrainingError
from tests.engine_doubles import inputs_of, recipe_of
from tests.refusal import refused

CPU = torch.device("cpu")
# Also where there is a GPU: there the host looks rarely, and errors name another device.
train = partial(loop.train, device=CPU)


class Observed:
    """A run whose inside can be looked at: its weights before each step, its state at the end."""

    def __init__(self, monkeypatch) -> None:
        self.digests: list[str] = []
        self.run = None
        start, step = loop._start, loop._step

        def keep(*args):
            self.run = start(*args)
            return self.run

        def look(run):
            self.digests.append(weights_digest(run.model))
            step(run)

        monkeypatch.setattr(loop, "_start", keep)
        monkeypatch.setattr(loop, "_step", look)

    @property
    def weights(self) -> str:
        return weights_digest(self.run.model)


def spoil_logits(monkeypatch, observed: Observed, step: int, row: int) -> str:
    """Make one logit of one example NaN at one step; the id of that example."""
    real = Inputs.logits

    def spoilt(self, model, batch):
        logits = real(self, model, batch)
        if model.training and observed.run.step == step:
            factor = torch.ones_like(logits)
            factor[row, 0] = float("nan")
            logits = logits * factor
        return logits

    monkeypatch.setattr(Inputs, "logits", spoilt)
    rows = Schedule(recipe_of(), 24).rows(step)
    return inputs_of().task.train.ids[rows[row]]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_loss_that_is_not_finite_stops_before_the_step_with_step_seed_and_id(
    precision, monkeypatch
):
    observed = Observed(monkeypatch)
    example = spoil_logits(monkeypatch, observed, step=4, row=3)
    with refused(
        TrainingError, "step 4, seed 0", f"not finite on {example};", "Lower the learning rate"
    ):
        train(recipe_of(precision=precision), inputs_of())
    assert observed.run.step == 4
    assert len(observed.digests) == 4
    assert observed.weights != observed.digests[-1]  # step 3 was taken, step 4 was not


def test_where_the_host_looks_rarely_the_bad_step_and_those_after_it_are_not_taken(monkeypatch):
    monkeypatch.setattr(FiniteGuard, "look_is_due", lambda _: False)  # as on a GPU
    observed = Observed(monkeypatch)
    example = spoil_logits(monkeypatch, observed, step=3, row=0)
    with pytest.raises(TrainingError, match=f"step 3, seed 0.*{example};"):
        train(recipe_of(), inputs_of())
    assert observed.run.step == 6  # found by the look at the end of the second epoch
    assert observed.weights == observed.digests[3] == observed.digests[5] != observed.digests[2]


HUGE, NAN, INF = 2e38, float("nan"), float("inf")


@pytest.mark.parametrize(
    ("losses", "norm", "bad"),
    [
        ([HUGE, HUGE], 1.0, None),  # their sum is not finite, and that is no fault of any of them
        ([1.0, NAN], 1.0, "a loss that is not finite on b"),
        ([INF, 1.0], 1.0, "a loss that is not finite on a"),
        ([INF, -INF], 1.0, "a loss that is not finite on a, b"),
        ([1.0, 1.0], INF, "a gradient that is not finite on a batch starting with a, b"),
    ],
)
def test_the_optimiser_is_blocked_exactly_where_the_next_look_raises(losses, norm, bad):
    guard = FiniteGuard(CPU, seed=0, ids_of=lambda _step: ["a", "b"])
    guard.watch(0, torch.tensor(losses), torch.tensor(norm))
    guard.watch(1, torch.ones(2), torch.tensor(1.0))
    assert bool(guard.blocked) == (bad is not None)
    if bad is None:
        guard.look()
        return
    for _ in range(2):  # what is blocked stays so, and each look says so
        with pytest.raises(TrainingError, match=f"step 0, seed 0: got {bad};"):
            guard.look()


def test_a_step_that_is_taken_in_spite_of_the_guard_would_be_seen(monkeypatch):
    monkeypatch.setattr(FiniteGuard, "look_is_due", lambda _: False)
    observed = Observed(monkeypatch)
    spoil_logits(monkeypatch, observed, step=3, row=0)

    def unguarded(run):
        observed.digests.append(weights_digest(run.model))
        run.optimizer.step()

    monkeypatch.setattr(loop, "_step", unguarded)
    with pytest.raises(TrainingError):
        train(recipe_of(), inputs_of())
    assert observed.weights != observed.digests[3]


def spoil_gradient(monkeypatch, steps: range, value: float) -> None:
    """Replace one parameter's gradient in some steps."""
    real = gradients._micro_batches

    def spoilt(run, *args):
        losses = real(run, *args)
        if run.step in steps:
            next(run.model.parameters()).grad.fill_(value)
        return losses

    monkeypatch.setattr(gradients, "_micro_batches", spoilt)


def test_a_gradient_that_is_not_finite_stops_the_run_and_names_the_batch(monkeypatch):
    observed = Observed(monkeypatch)
    spoil_gradient(monkeypatch, range(2, 3), float("inf"))
    with pytest.raises(TrainingError) as caught:
        train(recipe_of(), inputs_of())
    first = inputs_of().task.train.ids[Schedule(recipe_of(), 24).rows(2)[0]]
    assert "step 2, seed 0" in str(caught.value)
    assert f"a gradient that is not finite on a batch starting with {first}" in caught.value.got
    assert len(observed.digests) == 2


def test_a_loss_scaler_skips_a_step_that_overflows_and_halves_its_scale(monkeypatch):
    observed = Observed(monkeypatch)
    spoil_gradient(monkeypatch, range(1, 2), float("inf"))
    evidence = train(recipe_of(precision="float16"), inputs_of())
    assert observed.digests[1] == observed.digests[2]  # nothing moved in step 1
    assert observed.digests[0] != observed.digests[1]
    assert observed.digests[2] != observed.digests[3]
    assert observed.run.scaler.get_scale() == 2.0**15
    assert len(evidence.points) == 2


def test_a_loss_scaler_that_never_stops_backing_off_ends_the_run(monkeypatch):
    spoil_gradient(monkeypatch, range(100), float("inf"))
    with refused(TrainingError, "step 18, seed 0", "overflow float16", "use bfloat16"):
        train(recipe_of(precision="float16", epochs=8), inputs_of())


def limit_memory(monkeypatch, examples: int) -> None:
    """A device that holds so many examples in training, and fails midway in what is too much."""
    real = Inputs.logits

    def limited(self, model, batch):
        if model.training and len(batch.lengths_B) > examples:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, model, batch)

    monkeypatch.setattr(Inputs, "logits", limited)


def test_with_less_memory_the_same_step_is_taken_in_smaller_parts_and_said_so(monkeypatch):
    recipe = recipe_of(dropout=0.0, precision="float64", batch_size=9)
    whole = train(recipe, inputs_of())
    limit_memory(monkeypatch, 2)
    parts = train(recipe, inputs_of())
    got, want = (e.final.predictions["test"].logits_NK for e in (parts, whole))
    assert np.abs(got - want).max() < 1e-6  # stored in float32
    assert parts.cost["micro_batch"] == 2
    assert parts.cost["train_rows"] == whole.cost["train_rows"] == 48
    assert parts.notes == (
        "memory ran out at step 0: micro-batches of 4 from there on, still 9 examples a step",
        "memory ran out at step 0: micro-batches of 2 from there on, still 9 examples a step",
    )


def test_parts_that_are_averaged_each_for_itself_would_be_seen(monkeypatch):
    recipe = recipe_of(dropout=0.0, precision="float64", batch_size=9)
    whole = train(recipe, inputs_of())
    limit_memory(monkeypatch, 4)
    per_example = type(recipe.objective).per_example

    def averaged(self, logits, labels, teacher=None):  # parts of 4, 4 and 1 weigh the same
        return per_example(self, logits, labels, teacher) * 3 / len(labels)

    monkeypatch.setattr(type(recipe.objective), "per_example", averaged)
    parts = train(recipe, inputs_of())
    got, want = (e.final.predictions["test"].logits_NK for e in (parts, whole))
    assert np.abs(got - want).max() > 1e-3


def test_when_not_even_one_example_fits_the_run_stops_and_says_what_would_help(monkeypatch):
    limit_memory(monkeypatch, 0)
    facts = ("step 0, seed 0", "on cpu for one example", "2.00 GiB", "fewer workers", "max_length")
    with refused(TrainingError, *facts):
        train(recipe_of(), inputs_of())


ALLOCATION = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


def failing_once(monkeypatch, message: str, training: bool) -> None:
    """The model fails once with a plain error, as libraries of CUDA do."""
    real, left = Inputs.logits, [message]

    def once(self, model, batch):
        if model.training is training and left:
            raise RuntimeError(left.pop())
        return real(self, model, batch)

    monkeypatch.setattr(Inputs, "logits", once)


@pytest.mark.parametrize("message", [ALLOCATION, "CUDA error: out of memory"])
@pytest.mark.parametrize("training", [True, False], ids=["a step", "an evaluation"])
def test_memory_that_a_library_of_cuda_does_not_find_is_met_like_any(
    message, training, monkeypatch
):
    failing_once(monkeypatch, message, training)
    evidence = train(recipe_of(), inputs_of())
    assert any("memory ran out" in note for note in evidence.notes) is training


@pytest.mark.parametrize("training", [True, False], ids=["a step", "an evaluation"])
def test_another_plain_error_is_not_taken_for_too_little_memory(training, monkeypatch):
    failing_once(monkeypatch, "mat1 and mat2 shapes cannot be multiplied", training)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(recipe_of(), inputs_of())


@pytest.mark.parametrize("where", ["_clip", "step"])
def test_an_optimiser_that_gets_no_memory_ends_the_run_and_says_what_would_help(where, monkeypatch):
    def greedy(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    module = AdamW if where == "step" else loop
    monkeypatch.setattr(module, where, greedy)
    with refused(
        TrainingError, "step 0, seed 0", "on cpu for the optimiser: ", "2.00 GiB", "fewer workers"
    ):
        train(recipe_of(), inputs_of())


def test_a_try_that_failed_leaves_no_gradient_behind(monkeypatch):
    real, tries = Inputs.logits, []

    def once(self, model, batch):
        if model.training:
            tries.append(len(batch.lengths_B))
            if len(tries) == 4:  # the second part of the second step
                raise torch.OutOfMemoryError("out of memory")
        return real(self, model, batch)

    recipe = recipe_of(dropout=0.0, precision="float64", batch_size=8)
    whole = train(recipe, inputs_of())
    monkeypatch.setattr(Inputs, "logits", once)
    start = loop._start

    def in_parts(*args):
        run = start(*args)
        run.micro_batch = 4
        return run

    monkeypatch.setattr(loop, "_start", in_parts)
    retried = train(recipe, inputs_of())
    assert tries[:8] == [4, 4, 4, 4, 2, 2, 2, 2]
    got, want = (e.final.predictions["test"].logits_NK for e in (retried, whole))
    assert np.abs(got - want).max() < 1e-6


@pytest.mark.parametrize(
    ("slip", "got"),
    [
        (lambda loss_N: loss_N[:, None] - 0 * loss_N, "a loss of shape (8, 8)"),  # broadcast
        (lambda loss_N: loss_N[:, None].expand(-1, 2), "a loss of shape (8, 2)"),
        (lambda loss_N: loss_N.mean()[None], "a loss of shape (1,)"),
        (lambda loss_N: loss_N.mean(), "a loss of shape ()"),
        (lambda loss_N: loss_N.detach(), "a loss without a gradient"),
        (lambda loss_N: None, "NoneType"),
        (lambda loss_N: loss_N.tolist(), "list"),
    ],
    ids=["square", "per class", "mean of one", "mean", "detached", "nothing", "list"],
)
def test_an_objective_that_gives_no_value_per_example_is_refused_before_a_step(
    slip, got, monkeypatch
):
    observed, recipe = Observed(monkeypatch), recipe_of(batch_size=8)
    per_example = type(recipe.objective).per_example
    monkeypatch.setattr(
        type(recipe.objective), "per_example", lambda *args: slip(per_example(*args))
    )
    says = f"objective {recipe.objective.name!r}: got {got}; wanted a tensor of shape (8,)"
    with refused(TrainingError, says, "no mean, no [:, None]"):
        train(recipe, inputs_of())
    assert observed.digests == []
