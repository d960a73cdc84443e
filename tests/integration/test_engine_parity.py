"""Fifty steps of the engine against fifty of the Hugging Face Trainer: same order, dropout 0.

The two share no code of ours but the order of rows and the first weights: the Trainer trains the
library's own padded modules with the whole vocabulary, and the engine's result is read back from the
folder that it exports.

Key biases are compared apart. Adding a constant to all keys adds the same to all scores of a query,
which softmax ignores: in exact arithmetic their gradient is zero, so they stay where they start, at
zero. What either side gives them is rounding, which Adam divides by its own size. A relative error
has no meaning there; they must be below the tolerance absolutely, in float64.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache

import pytest
import torch
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.engine.schedule import Schedule
from kdcheck.engine.settings import DTYPES
from kdcheck.engine.streams import stream_seed
from kdcheck.objectives import ERM, LabelSmoothing
from kdcheck.recipe import Recipe
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

STEPS = 50
OBJECTIVES = {"bert": ERM(), "distilbert": LabelSmoothing(alpha=0.2)}


@lru_cache
def inputs_of(kind: str) -> Inputs:
    return prepare(tiny_task(train=40, pairs=True), tiny_encoder(kind), 48)


def recipe_of(kind: str, precision: str, **changes) -> Recipe:
    inputs = inputs_of(kind)
    settings = {"epochs": 5, "batch_size": 4, "dropout": 0.0, "clip_norm": 0.5, "max_length": 48}
    more = {"objective": OBJECTIVES[kind], "precision": precision, "learning_rate": 3e-3}
    return tiny_recipe(inputs.task, inputs.encoder, **settings | more | changes)


def padded(inputs: Inputs, rows) -> dict[str, torch.Tensor]:
    """Some training examples as the library takes them."""
    part = inputs.tokenized["train"]
    longest = max(part.lengths[rows])
    names = ("input_ids", "token_type_ids", "attention_mask")
    batch = {name: torch.zeros(len(rows), longest, dtype=torch.int64) for name in names}
    for place, row in enumerate(rows):
        values = (part.ids[row], part.types[row], part.ids[row] > -1)
        for name, value in zip(names, values, strict=True):
            batch[name][place, : len(value)] = torch.from_numpy(value)
    if not inputs.encoder.reads_token_types:
        del batch["token_type_ids"]
    labels = [inputs.task.train.labels[row] for row in rows]
    return batch | {"labels": torch.tensor(labels)}


class FixedOrderTrainer(Trainer):
    """The library's trainer on batches that are already there."""

    def get_train_dataloader(self):
        return self.train_dataset


@lru_cache
def trainers_model(kind: str, precision: str):
    inputs, recipe = inputs_of(kind), recipe_of(kind, precision)
    schedule = Schedule(recipe, len(inputs.task.train))
    model = inputs.encoder.build(
        num_classes=inputs.task.num_classes, seed=stream_seed(recipe.seed, "init"), dropout=0.0
    ).to(DTYPES[precision])
    batches = [padded(inputs, schedule.rows(step)) for step in range(STEPS)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0,
            weight_decay=0.0,
            max_grad_norm=recipe.clip_norm,
            label_smoothing_factor=getattr(recipe.objective, "alpha", 0.0),
            optim="adamw_torch",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        FixedOrderTrainer(model=model, args=arguments, train_dataset=batches).train()
    return model.eval()


def engines_model(recipe: Recipe, kind: str, folder):
    train(recipe, inputs_of(kind), model_folder=folder, device=torch.device("cpu"))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.dtype == DTYPES[recipe.precision]
    return model.eval()


def relative_errors(got, want) -> tuple[dict[str, float], dict[str, float]]:
    """Norm-wise relative error of each tensor, and the absolute one of each key bias."""
    tensors = dict(want.named_parameters())
    errors, key_biases = {}, {}
    with torch.no_grad():
        for name, value in got.named_parameters():
            distance = float((value - tensors[name]).norm())
            if name.endswith(("key.bias", "k_lin.bias")):
                key_biases[name] = distance
            else:
                errors[name] = distance / float(tensors[name].norm())
    return errors, key_biases


def logits(model, kind: str) -> torch.Tensor:
    with torch.no_grad():
        return model(**padded(inputs_of(kind), range(40))).logits


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_every_tensor_agrees_in_float64_after_fifty_steps(kind, tmp_path):
    recipe = recipe_of(kind, "float64")
    ours = engines_model(recipe, kind, tmp_path / "model")
    theirs = trainers_model(kind, "float64")
    assert ours.config.vocab_size == theirs.config.vocab_size > len(inputs_of(kind).vocabulary)
    errors, key_biases = relative_errors(ours, theirs)
    assert len(errors) + len(key_biases) == len(dict(theirs.named_parameters()))
    assert len(key_biases) == 2
    print(f"{kind}: largest relative error {max(errors.values()):.1e}")
    assert max(errors.values()) < 1e-8
    assert max(key_biases.values()) < 1e-8
    start = inputs_of(kind).build(recipe).classifier.weight
    assert (theirs.classifier.weight - start).norm() > 0.1 * start.norm()  # it did train


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_logits_agree_in_float32_after_fifty_steps(kind, tmp_path):
    ours = engines_model(recipe_of(kind, "float32"), kind, tmp_path / "model")
    want = logits(trainers_model(kind, "float32"), kind)
    distance, largest = float((logits(ours, kind) - want).abs().max()), float(want.abs().max())
    print(f"{kind}: largest distance of logits {distance:.1e}, largest logit {largest:.2f}")
    assert distance < 1e-3 * min(1.0, largest)


@pytest.mark.parametrize(
    "fault",
    [{"epsilon": 1e-7}, {"clip_norm": 0.51}, {"schedule": "constant"}, {"seed": 1}],
    ids=str,
)
def test_the_comparison_sees_a_recipe_that_differs(fault, tmp_path):
    ours = engines_model(recipe_of("bert", "float64", **fault), "bert", tmp_path / "model")
    errors, _ = relative_errors(ours, trainers_model("bert", "float64"))
    assert max(errors.values()) > 1e-6
