"""The loop on a device that is not the CPU: nothing is left behind on the host, nothing waits."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import pytest
import torch

from kdcheck.engine import gradients, loop, packing, teaching
from kdcheck.engine.finite import FiniteGuard
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.objectives import ERM, Distillation, LabelSmoothing, Objective
from kdcheck.objectives.objective import _REGISTRY
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task, uniform_teacher
from tests.device_watch import META, DeviceMixError, DeviceWatch, HiddenSyncError


@lru_cache
def inputs_of(kind: str) -> Inputs:
    task = tiny_task(train=12, validation=9, test=9, pairs=True)
    return prepare(task, tiny_encoder(kind, layers=1), 48)


def watched_run(monkeypatch, kind: str = "bert", objective: Objective | None = None):
    """Two epochs on the meta device; only looks and evaluations may read."""
    watch = DeviceWatch()

    def allowed(function):
        def wrapper(*args, **kwargs):
            with watch.allow_syncs():
                return function(*args, **kwargs)

        return wrapper

    def evaluation(*args, **kwargs):
        watch.syncs = watch.products_after_a_sync = 0
        predictions = allowed(predict)(*args, **kwargs)
        # Results are copied after the last launch: one wait for an evaluation, not one per batch.
        assert watch.products_after_a_sync == 0
        watch.syncs = 0
        return predictions

    # The module is hidden behind the function of its name; several batches make one evaluation.
    monkeypatch.setattr(sys.modules["kdcheck.engine.predict"], "TOKENS_PER_BATCH", 40)
    predict = loop.predict
    monkeypatch.setattr(loop, "predict", evaluation)
    monkeypatch.setattr(loop, "weights_digest", allowed(loop.weights_digest))
    monkeypatch.setattr(FiniteGuard, "look", allowed(FiniteGuard.look))
    monkeypatch.setattr(FiniteGuard, "mean_loss", allowed(FiniteGuard.mean_loss))
    for module in (gradients, loop):
        monkeypatch.setattr(module, "autocast_of", lambda *_: nullcontext())  # unknown on meta
    # torch has the fused step for meta tensors, but its list of devices leaves them out.
    fused = "_get_fused_kernels_supported_devices"
    monkeypatch.setattr(sys.modules["torch.optim.optimizer"], fused, lambda: ["meta"])
    inputs, objective = inputs_of(kind), objective or ERM()
    plain = tiny_recipe(inputs.task, inputs.encoder, max_length=48)
    taught = objective.needs_teacher
    recipe = replace(plain, objective=objective, teacher=plain if taught else None)
    teacher = uniform_teacher(inputs.task.train, 2) if taught else None
    with watch:
        return loop.train(recipe, inputs, teacher=teacher, device=META)


@pytest.mark.parametrize(
    ("kind", "objective"),
    [("bert", ERM()), ("bert", Distillation(alpha=0.5)), ("distilbert", LabelSmoothing(alpha=0.1))],
)
def test_steps_and_evaluations_stay_on_the_device_and_never_wait(kind, objective, monkeypatch):
    evidence = watched_run(monkeypatch, kind, objective)
    assert evidence.cost["train_rows"] == 24
    assert len(evidence.points) == 2


def keep_on_host(monkeypatch, name: str) -> None:
    """A batch that leaves one of its tensors behind."""
    real = packing.PackedBatch.to

    def forgetful(batch, device):
        moved = real(batch, device)
        object.__setattr__(moved, name, getattr(batch, name))
        return moved

    monkeypatch.setattr(packing.PackedBatch, "to", forgetful)


@pytest.mark.parametrize("name", ["input_ids", "token_type_ids", "position_ids", "first"])
def test_a_tensor_of_the_batch_that_was_left_on_the_host_is_caught(name, monkeypatch):
    keep_on_host(monkeypatch, name)
    with pytest.raises(DeviceMixError):
        watched_run(monkeypatch)


def test_a_layout_for_attention_that_was_left_on_the_host_is_caught(monkeypatch):
    monkeypatch.setattr(packing.Layout, "with_rows", lambda layout, _rows: layout)
    with pytest.raises(DeviceMixError):
        watched_run(monkeypatch)


def test_labels_or_teacher_logits_that_were_left_on_the_host_are_caught(monkeypatch):
    tensor = torch.tensor
    with monkeypatch.context() as patched:
        patched.setattr(teaching.torch, "tensor", lambda values, **_: tensor(values))
        with pytest.raises(DeviceMixError):
            watched_run(patched)
    left = (torch.zeros(12, dtype=torch.int64, device="meta"), torch.zeros(12, 2))
    monkeypatch.setattr(loop, "targets_of", lambda *_: left)
    with pytest.raises(DeviceMixError):
        watched_run(monkeypatch, objective=Distillation(alpha=0.5))


@dataclass(frozen=True)
class Waiting(Objective):
    """ERM that reads something from the device in each step."""

    name: ClassVar[str] = "waiting"
    how: str = "item"

    def per_example(self, logits_NK, labels_N, _teacher_logits_NK=None):
        loss_N = ERM().per_example(logits_NK, labels_N)
        {
            "item": lambda: loss_N.sum().item(),
            "bool": lambda: bool(loss_N.sum() > 0),
            "cpu": lambda: loss_N.detach().cpu(),
            "to": lambda: loss_N.detach().to("cpu"),
            "nonzero": labels_N.nonzero,
            "mask": lambda: loss_N[labels_N == 0],
            "copy": lambda: torch.zeros(len(loss_N)).copy_(loss_N.detach()),
        }[self.how]()
        return loss_N


_REGISTRY.pop("waiting")  # known to this file alone


@pytest.mark.parametrize("how", ["item", "bool", "cpu", "to", "nonzero", "mask", "copy"])
def test_a_hidden_wait_inside_the_step_is_caught(how, monkeypatch):
    with pytest.raises(HiddenSyncError):
        watched_run(monkeypatch, objective=Waiting(how=how))


def test_an_evaluation_that_waits_after_each_batch_is_caught(monkeypatch):
    def impatient(inputs, model, batch):
        logits = packing.packed_logits(model, batch)
        if not model.training:
            logits.cpu()
        return logits

    monkeypatch.setattr(Inputs, "logits", impatient)
    with pytest.raises(AssertionError, match="assert"):
        watched_run(monkeypatch)
