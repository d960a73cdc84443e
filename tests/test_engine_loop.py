"""One recipe gives one outcome, whatever else happens around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kdcheck.engine import gradients, loop
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.engine.predict import predict
from kdcheck.errors import EncoderError, EvidenceError, RecipeError
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.objectives import ERM, Distillation, LabelSmoothing
from kdcheck.testing import tiny_encoder, tiny_task, uniform_teacher
from tests.engine_doubles import inputs_of, recipe_of
from tests.refusal import refused


def run(inputs: Inputs, **changes) -> Evidence:
    return train(recipe_of(inputs, **changes), inputs)


def taught(inputs: Inputs, teacher: Predictions, objective, **changes) -> Evidence:
    teacher_recipe = recipe_of(inputs, epochs=1)
    recipe = recipe_of(inputs, objective=objective, teacher=teacher_recipe, **changes)
    return train(recipe, inputs, teacher=teacher)


def random_teacher(inputs: Inputs, scale: float = 2.0) -> Predictions:
    uniform = uniform_teacher(inputs.task.train, inputs.task.num_classes)
    logits = np.random.default_rng(3).normal(0, scale, uniform.logits_NK.shape)
    return replace(uniform, logits_NK=logits.astype(np.float32))


@pytest.mark.parametrize(("kind", "precision"), [("bert", "float32"), ("distilbert", "bfloat16")])
def test_two_runs_of_one_recipe_agree_in_every_bit_and_another_seed_does_not(kind, precision):
    inputs = inputs_of(kind)
    first, again, other = (run(inputs, precision=precision, seed=s) for s in (0, 0, 1))
    assert first.weights_digest == again.weights_digest != other.weights_digest
    assert np.array_equal(
        first.final.predictions["test"].logits_NK, again.final.predictions["test"].logits_NK
    )
    assert dict(first.final.values) == dict(again.final.values)


SHARING = ({"schedule": "constant"}, {"schedule": "linear_over_longest", "schedule_epochs": 10})


@pytest.mark.parametrize("schedule", SHARING, ids=lambda each: each["schedule"])
def test_an_epoch_of_a_long_run_is_the_short_run_of_so_many_epochs_bit_for_bit(schedule):
    inputs = inputs_of()
    long = run(inputs, epochs=10, **schedule)
    for epochs in (1, 3, 6):
        short = run(inputs, epochs=epochs, **schedule)
        point = long.points[epochs - 1]
        assert short.recipe.prefix_digest == long.recipe.prefix_digest
        assert point.epoch == epochs
        assert point.weights_digest == short.weights_digest
        both = [p.predictions["train_sample"].logits_NK for p in (point, short.final)]
        assert np.array_equal(*both)
        values = [p.values["train_sample/nll_nats"] for p in (point, short.final)]
        assert values[0] == values[1]


def test_with_a_rate_that_falls_to_zero_over_the_run_nothing_is_shared_nor_said_to_be():
    inputs = inputs_of()
    short, long = run(inputs, epochs=1), run(inputs, epochs=2)
    assert long.points[0].weights_digest != short.weights_digest
    assert short.recipe.prefix_digest is None


def test_evaluating_ten_times_as_often_changes_no_weights():
    inputs = inputs_of(rows=80)
    once, often = (run(inputs, evaluations_per_epoch=n) for n in (1, 10))
    assert (len(once.points), len(often.points)) == (2, 20)
    for point in once.points:
        same = next(p for p in often.points if p.step == point.step)
        assert same.weights_digest == point.weights_digest != ""
        for name, part in point.predictions.items():
            assert np.array_equal(same.predictions[name].logits_NK, part.logits_NK)
    assert often.points[3].weights_digest == ""  # between epochs none is taken: it costs a copy


def test_the_check_on_evaluation_frequency_sees_a_stream_that_evaluation_draws_from(monkeypatch):
    def drawing_predict(*args, **kwargs):
        torch.rand(1)
        return predict(*args, **kwargs)

    monkeypatch.setattr(loop, "predict", drawing_predict)
    inputs = inputs_of()
    once, often = (run(inputs, evaluations_per_epoch=n) for n in (1, 3))
    assert once.weights_digest == often.weights_digest  # each step seeds its own stream
    monkeypatch.setattr(gradients, "_seed", lambda *_: None)
    torch.random.manual_seed(0)
    once, often = (run(inputs, evaluations_per_epoch=n) for n in (1, 3))
    assert once.weights_digest != often.weights_digest


@pytest.mark.parametrize(
    ("kind", "objective"), [("bert", ERM()), ("distilbert", LabelSmoothing(alpha=0.1))]
)
def test_training_learns_what_a_bag_of_words_can_learn(kind, objective):
    evidence = run(inputs_of(kind, rows=64), objective=objective, epochs=6)
    losses = [point.values["train/loss_nats"] for point in evidence.points]
    assert losses[-1] < losses[0] - 0.3
    assert evidence.final.values["test/accuracy"] == 1.0
    if isinstance(objective, LabelSmoothing):
        # Eq. 1 cannot fall below H(0.95, 0.05), its mixed target's entropy, less alpha log 2.
        assert losses[-1] > -(0.95 * np.log(0.95) + 0.05 * np.log(0.05)) - 0.1 * np.log(2)


def test_pairs_of_texts_train_as_well():
    evidence = run(inputs_of(pairs=True, rows=64), epochs=6)
    assert evidence.final.values["test/accuracy"] > 0.9


def test_teacher_logits_are_joined_by_example_id_never_by_position():
    inputs = inputs_of()
    teacher = random_teacher(inputs)
    order = np.random.default_rng(0).permutation(len(teacher.ids))
    # By hand: aligned() is what is tested.
    shuffled = Predictions(
        ids=tuple(teacher.ids[row] for row in order),
        labels_N=teacher.labels_N[order],
        logits_NK=teacher.logits_NK[order],
    )
    misplaced = replace(teacher, logits_NK=teacher.logits_NK[::-1].copy())
    objective = Distillation(alpha=0.5)
    digests = [taught(inputs, t, objective).weights_digest for t in (teacher, shuffled, misplaced)]
    assert digests[0] == digests[1] != digests[2]


def test_a_teacher_that_lacks_an_example_is_refused_by_its_id():
    inputs = inputs_of()
    part = random_teacher(inputs).aligned(inputs.task.train.ids[:-1])
    with pytest.raises(EvidenceError, match="train-23"):
        taught(inputs, part, Distillation(alpha=0.5))


def test_distilling_from_a_uniform_teacher_is_label_smoothing():
    inputs = inputs_of()
    uniform = uniform_teacher(inputs.task.train, 2)
    precise = {"precision": "float64", "epochs": 3}
    kd = taught(inputs, uniform, Distillation(alpha=0.3), **precise)
    ls = run(inputs, objective=LabelSmoothing(alpha=0.3), **precise)
    got, want = (e.final.predictions["test"].logits_NK for e in (kd, ls))
    # Logits are stored in float32, whose spacing at their size is below 1e-6.
    assert np.abs(got - want).max() < 1e-6


def test_a_run_leaves_the_state_of_the_process_as_it_was():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    run(inputs_of(), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
    tiny = torch.tensor([1e-40])
    assert float(tiny * 0.5) > 0  # denormals are no longer flushed


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"task_digest": "f" * 64}, ("task", "ffffffffffff")),
        ({"encoder_digest": "e" * 64}, ("encoder", "eeeeeeeeeeee")),
        ({"max_length": 16}, ("max_length", "got 32; wanted 16")),
        ({"engine_version": "0"}, ("engine_version", "wanted 0")),
    ],
)
def test_inputs_that_are_not_those_of_the_recipe_are_refused(changes, facts):
    inputs = inputs_of()
    recipe = replace(recipe_of(inputs), **changes)
    with refused(RecipeError, recipe.short, "make it anew", *facts):
        train(recipe, inputs)


def test_a_teacher_that_is_missing_or_not_wanted_is_refused():
    inputs = inputs_of()
    with pytest.raises(RecipeError, match="got teacher logits; wanted none"):
        train(recipe_of(inputs), inputs, teacher=random_teacher(inputs))
    recipe = recipe_of(inputs, objective=Distillation(alpha=0.5), teacher=recipe_of(inputs))
    with pytest.raises(RecipeError, match="predict_train=True"):
        train(recipe, inputs)


def test_an_encoder_whose_label_map_is_another_is_refused_before_anything_is_tokenised():
    encoder = tiny_encoder()
    encoder.config.label2id = {"c1": 0, "c0": 1}
    with pytest.raises(EncoderError, match="label2id"):
        prepare(tiny_task(), encoder, 32)


@pytest.mark.parametrize("size", [0.3, 0.994, 1.0, 1.003, 40.0])
def test_gradients_are_clipped_to_the_bits_of_torchs_own_clipping(size):
    chance = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=chance) for shape in ((5, 3), (3,), (2, 2))]
    norm = torch.cat([each.flatten() for each in given]).norm()
    weights, others = ([nn.Parameter(torch.zeros_like(each)) for each in given] for _ in range(2))
    for weight, other, each in zip(weights, others, given, strict=True):
        weight.grad, other.grad = (each * (size * 0.7 / norm) for _ in range(2))
    assert torch.equal(loop._clip(weights, 0.7), nn.utils.clip_grad_norm_(others, 0.7))
    for weight, other in zip(weights, others, strict=True):
        assert torch.equal(weight.grad, other.grad)
