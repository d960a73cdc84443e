"""What only a CUDA device can show; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcheck.engine.inputs import prepare
from kdcheck.engine.loop import train
from kdcheck.study.local import cuda_devices
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_devices(), reason="no CUDA device that torch starts on"),
]
CUDA = torch.device("cuda")


def run(device: torch.device, kind: str = "bert", **changes):
    task, encoder = tiny_task(), tiny_encoder(kind)
    recipe = tiny_recipe(task, encoder, **changes)
    return train(recipe, prepare(task, encoder, recipe.max_length), device=device)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_two_runs_on_a_gpu_agree_in_every_bit(kind, precision):
    first, again = (run(CUDA, kind, precision=precision) for _ in range(2))
    assert first.weights_digest == again.weights_digest
    assert first.cost["peak_memory_bytes"] > 0


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_gpu_and_the_cpu_give_the_same_logits_without_dropout(kind):
    here, there = (run(torch.device(d), kind, dropout=0.0) for d in ("cpu", "cuda"))
    logits = [e.final.predictions["test"].logits_NK for e in (here, there)]
    assert np.abs(logits[0] - logits[1]).max() < 1e-3
