"""A run is the steps that its recipe describes: they are taken here once more, by hand."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.engine.packing import packed_logits, use_packing
from kdcheck.evidence.evidence import Predictions
from kdcheck.objectives import Distillation
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

CLASSES, ROWS, BATCH = 3, 25, 8
STEPS_PER_EPOCH = 4
ALPHA, TEMPERATURE = 0.3, 3.0

# Nothing here is a default of anything, so that no setting can be left out unseen.
ODD = {
    "max_length": 30,
    "precision": "float64",
    "learning_rate": 3e-3,
    "epochs": 3,
    "batch_size": BATCH,
    "seed": 6,
    "weight_decay": 0.7,
    "beta_1": 0.7,
    "beta_2": 0.95,
    "epsilon": 1e-4,
    "clip_norm": 0.2,
    "dropout": 0.2,
    "head_dropout": 0.4,
}


@lru_cache
def inputs(kind: str = "bert") -> Inputs:
    task = tiny_task(train=ROWS, validation=9, test=11, classes=CLASSES, pairs=True)
    return prepare(task, tiny_encoder(kind), ODD["max_length"])


def recipe_of(kind: str = "bert", **changes):
    return tiny_recipe(inputs(kind).task, inputs(kind).encoder, **ODD | changes)


def drawn(seed: int, stream: str, index: int = 0) -> int:
    """The seed of a stream, as docs/decisions/0081 has it."""
    text = f"kdcheck/{seed}/{stream}/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def first_model(made: Inputs, recipe):
    model = made.encoder.build(
        num_classes=CLASSES,
        seed=drawn(recipe.seed, "init"),
        dropout=recipe.dropout,
        head_dropout=recipe.head_dropout,
        vocabulary=made.vocabulary,
    )
    return use_packing(replace_dropout(model)).double()


def by_hand(made: Inputs, recipe, teacher_logits_NK=None, longest: int | None = None) -> np.ndarray:
    """Logits on the test split after the recipe's steps, one plain line a rule."""
    model = first_model(made, recipe)
    labels_N = torch.tensor(made.task.train.labels)
    mean, square = (
        {name: torch.zeros_like(p) for name, p in model.named_parameters()} for _ in range(2)
    )
    for step in range(recipe.epochs * STEPS_PER_EPOCH):
        epoch, batch = divmod(step, STEPS_PER_EPOCH)
        keys_N = np.random.Philox(key=drawn(recipe.seed, "order", epoch)).random_raw(ROWS)
        rows = np.argsort(keys_N, kind="stable")[batch * BATCH : (batch + 1) * BATCH]
        torch.manual_seed(drawn(recipe.seed, "dropout", step))
        model.train().zero_grad()
        logits_BK = packed_logits(model, made.batch("train", rows))
        loss = cross_entropy(logits_BK, labels_N[rows])
        if teacher_logits_NK is not None:
            soft_BK = (teacher_logits_NK[rows] / TEMPERATURE).softmax(1)
            match = kl_div((logits_BK / TEMPERATURE).log_softmax(1), soft_BK, reduction="batchmean")
            loss = (1 - ALPHA) * loss + ALPHA * TEMPERATURE**2 * match
        loss.backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in model.parameters()))
        rate = recipe.learning_rate * (1 - step / ((longest or recipe.epochs) * STEPS_PER_EPOCH))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                gradient = weight.grad * min(1.0, recipe.clip_norm / norm)
                mean[name].lerp_(gradient, 1 - recipe.beta_1)
                square[name].lerp_(gradient**2, 1 - recipe.beta_2)
                unbiased = square[name] / (1 - recipe.beta_2 ** (step + 1))
                weight.mul_(1 - rate * recipe.weight_decay)
                direction = mean[name] / (1 - recipe.beta_1 ** (step + 1))
                weight.sub_(rate * direction / (unbiased.sqrt() + recipe.epsilon))
    with torch.no_grad():
        return packed_logits(model.eval(), made.batch("test", np.arange(11))).numpy()


def apart(evidence, want: np.ndarray) -> float:
    return float(np.abs(evidence.final.predictions["test"].logits_NK - want).max())


CLOSE = 1e-5
"""Logits are stored in float32; an optimiser's sums in another order differ by less."""


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_run_of_erm_is_its_steps_taken_by_hand(kind):
    recipe = recipe_of(kind)
    assert apart(train(recipe, inputs(kind)), by_hand(inputs(kind), recipe)) < CLOSE


def test_a_rate_that_falls_over_the_longest_run_is_taken_by_hand_as_well():
    recipe = recipe_of(schedule="linear_over_longest", schedule_epochs=7)
    assert apart(train(recipe, inputs()), by_hand(inputs(), recipe, longest=7)) < CLOSE


def test_a_student_s_steps_use_its_teacher_s_logits_by_id_over_the_teacher_s_temperature():
    logits_NK = np.random.default_rng(4).normal(0, 2, (ROWS, CLASSES)).astype(np.float32)
    order = np.random.default_rng(0).permutation(ROWS)
    split = inputs().task.train
    teacher = Predictions(
        ids=tuple(split.ids[row] for row in order),
        labels_N=np.array(split.labels, dtype=np.int64)[order],
        logits_NK=logits_NK[order],
    )
    recipe = recipe_of(
        objective=Distillation(alpha=ALPHA, temperature=TEMPERATURE),
        teacher=recipe_of(epochs=1),
        teacher_temperature=1.7,
    )
    softer = torch.from_numpy(logits_NK).double() / 1.7
    want = by_hand(inputs(), recipe, softer)
    assert apart(train(recipe, inputs(), teacher=teacher), want) < CLOSE


@pytest.mark.parametrize(
    "change",
    [
        {"weight_decay": 0.0},
        {"beta_1": 0.9},
        {"beta_2": 0.999},
        {"epsilon": 1e-8},
        {"clip_norm": 1.0},
        {"dropout": 0.1},
        {"head_dropout": 0.2},
        {"seed": 0},
        {"schedule": "constant"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_comparison_sees_every_setting(change):
    assert apart(train(recipe_of(**change), inputs()), by_hand(inputs(), recipe_of())) > 20 * CLOSE


def test_the_first_head_is_drawn_from_the_seed_and_the_table_is_not():
    models = [inputs().build(recipe_of(seed=seed)) for seed in (0, 1)]
    heads = [model.classifier.weight for model in models]
    tables = [model.base_model.embeddings.word_embeddings.weight for model in models]
    assert not torch.equal(*heads)
    assert torch.equal(*tables)


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("bfloat16", torch.bfloat16), ("float16", torch.float16), ("float32", None)],
)
def test_steps_and_evaluations_run_in_the_number_format_of_the_recipe(precision, kind, monkeypatch):
    seen = set()
    real = Inputs.logits

    def watched(self, model, batch):
        mixed = torch.is_autocast_enabled("cpu")
        seen.add((model.training, torch.get_autocast_dtype("cpu") if mixed else None))
        return real(self, model, batch)

    monkeypatch.setattr(Inputs, "logits", watched)
    recipe = recipe_of(precision=precision, epochs=1)
    train(recipe, inputs(), device=torch.device("cpu"), predict_train=True)
    assert seen == {(True, kind), (False, kind)}
