"""The guide "check your own loss" as it stands, and losses inside a real ``Trainer``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_pt_utils import LabelSmoother

import kdcheck as kd
from kdcheck.conform.loss import checked_loss
from kdcheck.conform.loss.adapters import Standing
from kdcheck.conform.loss.subject import Output

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "check-your-own-loss.md"
SHOWN = [
    None,
    None,
    "Eq. 1 with alpha = 0.1 built in",
    "Eq. 2 with alpha = alpha, tau squared present",
    True,
]
"""What the last line of each block gives, where it gives something."""


def test_the_guide_runs_from_its_first_block_to_its_last(capsys):
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": GUIDE.name}
    seen = []
    for block in blocks:
        parsed = ast.parse(block)
        last = parsed.body[-1]
        names["value"] = None
        if isinstance(last, ast.Expr):
            parsed.body[-1] = ast.Assign([ast.Name("value", ast.Store())], last.value)
        code = compile(ast.fix_missing_locations(parsed), GUIDE.name, "exec", dont_inherit=True)
        exec(code, names)  # noqa: S102 - our own page
        seen.append(names["value"])
    assert seen == SHOWN
    shown = re.search(r"```\n(my_loss: .*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    printed = capsys.readouterr().out
    for line in shown.group(1).splitlines():
        assert line == "..." or line in printed


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
