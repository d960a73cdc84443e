"""Losses of the library's ``Trainer``, in a real one and in front of the checks; the guides run in
``test_from_a_wheel.py``.
"""

from __future__ import annotations

import pytest
import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_pt_utils import LabelSmoother

import kdcheck as kd
from kdcheck.conform.loss import checked_loss
from kdcheck.conform.loss.adapters import Standing
from kdcheck.conform.loss.subject import Output


def test_the_label_smoother_of_the_library_needs_no_adapter():
    verdict = checked_loss(LabelSmoother).convention.verdict
    assert verdict.startswith("Eq. 1 with alpha = epsilon")


class Tiny(torch.nn.Module):
    """A model of three classes."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x, labels=None):
        return Output(logits=self.layer(x))


def trained(loss, folder):
    rows = [{"x": torch.randn(4), "labels": torch.tensor(i % 3)} for i in range(8)]
    settings = TrainingArguments(
        str(folder), max_steps=2, use_cpu=True, report_to=[], per_device_train_batch_size=4
    )
    model = Tiny()
    before = model.layer.weight.detach().clone()
    Trainer(model=model, args=settings, train_dataset=rows, compute_loss_func=loss).train()
    return not torch.equal(before, model.layer.weight)


def test_our_losses_train_inside_trainer_once_they_are_reduced_and_not_before(tmp_path):
    def bare(outputs, labels, num_items_in_batch=None):
        return kd.objectives.label_smoothing(outputs.logits, labels, alpha=0.1)

    def reduced(outputs, labels, num_items_in_batch=None):
        return bare(outputs, labels).sum() / num_items_in_batch

    assert trained(reduced, tmp_path / "reduced")
    with pytest.raises(RuntimeError, match="scalar"):
        trained(bare, tmp_path / "bare")


def test_the_stand_in_answers_as_a_model_of_the_library_does():
    logits = torch.zeros(2, 3)
    answer = Standing(logits)(input_ids=None, labels=torch.tensor([0, 1]))
    assert answer["logits"] is answer.logits is answer[1] is logits
    assert answer[0] is answer.loss
    assert Standing(logits)(input_ids=None)[0] is logits
