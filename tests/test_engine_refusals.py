"""What cannot be trained or kept is refused, in the whole of the words that a reader gets."""

from __future__ import annotations

import errno
import os
import platform
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import transformers

from kdcheck.engine import checkpoint, gradients, hugging_face, loop, memory, resume, settings
from kdcheck.engine.finite import FiniteGuard
from kdcheck.engine.packing import _packed_attention
from kdcheck.errors import (
    CheckpointError,
    EncoderError,
    EvidenceError,
    KdcheckError,
    RecipeError,
    TrainingError,
)
from kdcheck.objectives import Distillation
from kdcheck.recipe import Rows
from kdcheck.testing import uniform_teacher
from tests.engine_doubles import inputs_of, recipe_of

CPU = torch.device("cpu")


def refusal(kind: type[KdcheckError], act) -> tuple[str, str, str, str]:
    """Who, got, wanted and next step of the error that is raised."""
    with pytest.raises(kind) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


@pytest.mark.parametrize("name", ["tpu", "mps", "cpu:x"])
def test_a_device_of_another_kind(name):
    assert refusal(TrainingError, lambda: settings.pick_device(name)) == (
        "device",
        repr(name),
        "cpu or cuda",
        "Leave --device out, or say cpu, cuda or cuda:1.",
    )


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_device_that_is_not_there(name, count, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert refusal(TrainingError, lambda: settings.pick_device(name)) == (
        "device",
        f"{name!r} with {count} CUDA devices visible",
        "a device that is there",
        "Install a CUDA build of torch, check CUDA_VISIBLE_DEVICES, or leave --device out.",
    )


def test_a_device_on_which_torch_cannot_start(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(settings, "starts_on", lambda name: name != "cuda:1")
    assert refusal(TrainingError, lambda: settings.pick_device("cuda:1")) == (
        "device",
        "'cuda:1', on which torch cannot start",
        "a device that this build of torch runs on and that has memory left",
        "Install a build of torch for this card, free its memory, or leave --device out.",
    )
    assert settings.pick_device("cuda:0") == torch.device("cuda:0")
    assert settings.pick_device("cpu") == CPU


def test_inputs_that_are_not_those_of_the_recipe():
    inputs, recipe = inputs_of(), recipe_of()
    anew = "Files or kdcheck have changed since the recipe was made; make it anew."
    for what, change, got, wanted in (
        ("task", {"task_digest": "f" * 64}, inputs.task_digest[:12], "f" * 12),
        ("encoder", {"encoder_digest": "e" * 64}, inputs.encoder.digest[:12], "e" * 12),
        ("max_length", {"max_length": 16}, "32", "16"),
        ("engine_version", {"engine_version": "0"}, recipe.engine_version, "0"),
    ):
        other = replace(recipe, **change)
        assert refusal(RecipeError, lambda other=other: loop._check_inputs(other, inputs, None)) == (
            f"recipe {other.short}, {what}", got, f"{wanted}, which the recipe names", anew,
        )  # fmt: skip
    cut = inputs.cut(Rows(train=12, validation=None, test=None, seed=0))
    assert refusal(RecipeError, lambda: loop._check_inputs(recipe, cut, None)) == (
        f"recipe {recipe.short}, rows",
        cut.rows.text,
        f"{recipe.rows.text}, which the recipe names",
        "Pass prepare(...).cut(recipe.rows).",
    )


def test_a_teacher_that_is_missing_or_that_nobody_asked_for():
    inputs = inputs_of()
    teacher = uniform_teacher(inputs.task.train, inputs.task.num_classes)
    alone, taught = recipe_of(), recipe_of(objective=Distillation(alpha=0.5), teacher=recipe_of())
    step = "Train the teacher first, with predict_train=True."
    assert refusal(RecipeError, lambda: loop._check_inputs(alone, inputs, teacher)) == (
        f"recipe {alone.short}, teacher", "teacher logits", "none", step,
    )  # fmt: skip
    assert refusal(RecipeError, lambda: loop._check_inputs(taught, inputs, None)) == (
        f"recipe {taught.short}, teacher",
        "no teacher logits",
        "logits on the training split",
        step,
    )
    loop._check_inputs(alone, inputs, None)
    loop._check_inputs(taught, inputs, teacher)


def test_a_loss_scale_that_has_fallen_below_one():
    def state(scale: float, enabled: bool = True):
        scaler = SimpleNamespace(is_enabled=lambda: enabled, get_scale=lambda: scale)
        return SimpleNamespace(scaler=scaler, step=18)

    recipe = recipe_of(seed=3)
    assert refusal(TrainingError, lambda: loop._check_scale(state(0.5), recipe)) == (
        "step 18, seed 3",
        "gradients that overflow float16 even without a loss scale",
        "gradients within its range",
        "Lower the learning rate, or use bfloat16 or float32 in place of float16.",
    )
    loop._check_scale(state(1.0), recipe)
    loop._check_scale(state(0.5, enabled=False), recipe)


def test_losses_and_gradients_that_are_not_finite_name_the_examples():
    ids = [f"row {index}" for index in range(7)]
    lower = (
        "The weights are as they were before that step. Lower the learning rate, or use "
        "bfloat16 or float32 in place of float16."
    )
    wanted = "finite losses and gradients"
    guard = FiniteGuard(CPU, seed=3, ids_of=lambda step: ids)
    guard.watch(4, torch.full((7,), float("nan")), torch.tensor(1.0))
    got = "a loss that is not finite on row 0, row 1, row 2, row 3, row 4"
    assert refusal(TrainingError, guard.look) == ("step 4, seed 3", got, wanted, lower)
    guard = FiniteGuard(CPU, seed=3, ids_of=lambda step: ids)
    guard.watch(5, torch.ones(7), torch.tensor(float("inf")))
    got = "a gradient that is not finite on a batch starting with row 0, row 1, row 2"
    assert refusal(TrainingError, guard.look) == ("step 5, seed 3", got, wanted, lower)


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (0.5, "float"),
        (torch.ones((), requires_grad=True), "a loss of shape ()"),
        (torch.ones((3, 1), requires_grad=True), "a loss of shape (3, 1)"),
        (torch.ones(3), "a loss without a gradient"),
    ],
)
def test_an_objective_that_gives_no_value_per_example(loss, got):
    assert refusal(TrainingError, lambda: gradients._check_loss(loss, 3, recipe_of())) == (
        "objective 'erm'",
        got,
        "a tensor of shape (3,) with a gradient to the logits",
        "Return one value per example from per_example: no mean, no [:, None], no detach().",
    )


FEWER = (
    "Start fewer workers on the device (--workers), free it of other programs, lower max_length, "
    "or pick a smaller encoder or bfloat16."
)


def test_too_little_memory_for_one_example_and_for_what_has_no_parts():
    state = SimpleNamespace(micro_batch=1, step=7, device=CPU, notes=[])
    recipe = recipe_of(seed=3)
    assert refusal(
        TrainingError, lambda: gradients._halve_micro_batch(state, recipe, "out of memory: 9 GiB")
    ) == (
        "step 7, seed 3",
        "too little memory on cpu for one example: out of memory: 9 GiB",
        "enough of it",
        FEWER,
    )

    def build(message: str) -> None:
        with memory.memory_for("the model", "step 0, seed 3", CPU):
            raise RuntimeError(message)

    for said in ("CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED", "out of memory"):
        assert refusal(TrainingError, lambda said=said: build(f"CUDA: {said}")) == (
            "step 0, seed 3",
            f"too little memory on cpu for the model: CUDA: {said}",
            "enough of it",
            FEWER,
        )
    with pytest.raises(RuntimeError, match="another fault"):
        build("another fault")


def test_a_micro_batch_that_is_halved_is_noted():
    state = SimpleNamespace(micro_batch=8, step=7, device=CPU, notes=[])
    gradients._halve_micro_batch(state, recipe_of(batch_size=8), "out of memory")
    assert state.micro_batch == 4
    assert state.notes == [
        "memory ran out at step 7: micro-batches of 4 from there on, still 8 examples a step"
    ]


def test_a_batch_without_its_layout():
    nothing = torch.zeros(1, 1, 1, 1)
    assert refusal(
        EncoderError,
        lambda: _packed_attention(None, nothing, nothing, nothing, None, scaling=1.0),
    ) == (
        "packed attention",
        "a batch without its layout",
        "a call by packed_logits",
        'For padded batches call model.set_attn_implementation("sdpa") first.',
    )


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "a full disk"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "a full disk"),
        (OSError(errno.EACCES, "not yours"), f"[Errno {errno.EACCES}] not yours"),
    ],
)
def test_a_checkpoint_that_cannot_be_written(error, got, tmp_path):
    found = checkpoint._unwritable(tmp_path, 12, error)
    assert isinstance(found, CheckpointError)
    assert (found.who, found.got) == (f"checkpoint of step 12 in {tmp_path}", got)
    assert found.wanted == "a folder that can be written"
    assert found.next_step == (
        "Free some space or choose another folder, then start again: the run resumes from the "
        "checkpoint before, which is untouched."
    )


def test_checkpoints_of_another_recipe(tmp_path):
    recipe = recipe_of()
    checkpoint.save(tmp_path, step=1, tensors={}, state={"recipe": "abcdefgh" * 8})
    assert refusal(CheckpointError, lambda: resume.restore(None, tmp_path, recipe, None)) == (
        f"checkpoints in {tmp_path}",
        "those of recipe abcdefgh",
        f"those of recipe {recipe.short}, or none",
        "Give each recipe a folder of its own.",
    )


def test_a_checkpoint_that_is_passed_over_says_why(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step=step, tensors={}, state={})
    newest = tmp_path / "step-0000000002"
    (newest / "state.json").write_text("{}")
    assert checkpoint.load_latest(tmp_path).ignored == (
        "step-0000000002: state.json does not have the sha256 that manifest.json gives",
    )
    (newest / "manifest.json").write_text('{"format": 1, "files": {}}')
    assert checkpoint.load_latest(tmp_path).ignored == (
        "step-0000000002: manifest.json is damaged or of another format",
    )


def test_a_model_folder_that_holds_something(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        assert refusal(EvidenceError, lambda place=place: hugging_face.check_is_new(place)) == (
            f"model folder {place}",
            "something else in its place",
            "a new folder that can be written",
            "Choose another folder, or free some space.",
        )
    hugging_face.check_is_new(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    hugging_face.check_is_new(tmp_path / "empty")


def test_the_environment_of_a_run_is_told_whole():
    recipe = recipe_of(threads=2, precision="bfloat16")
    assert settings.environment(recipe, CPU) == {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": "cpu",
        "device_name": platform.machine(),
        "cuda": str(torch.version.cuda),
        "threads": "2",
        "precision": "bfloat16",
        "tf32": str(recipe.tf32),
        "deterministic": str(recipe.deterministic),
        "engine": recipe.engine_version,
    }
