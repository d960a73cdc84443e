"""Rows, rates and evaluation steps are functions of recipe and step; streams share nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kdcheck.engine.schedule import Schedule
from kdcheck.engine.streams import STREAMS, epoch_order, stream_seed
from kdcheck.engine.weights import weights_digest
from kdcheck.objectives import ERM
from kdcheck.recipe import Recipe

RECIPE = Recipe(
    task="t",
    task_digest="t",
    encoder="e",
    encoder_digest="e",
    objective=ERM(),
    learning_rate=0.5,
    epochs=3,
    batch_size=4,
    seed=7,
)


def schedule(examples: int = 10, **changes) -> Schedule:
    return Schedule(replace(RECIPE, **changes), examples)


@pytest.mark.parametrize("examples", [1, 3, 4, 10, 12])
def test_each_epoch_sees_every_row_once_in_an_order_of_its_own(examples):
    made = schedule(examples)
    epochs = [
        np.concatenate(
            [made.rows(epoch * made.steps_per_epoch + i) for i in range(made.steps_per_epoch)]
        )
        for epoch in range(3)
    ]
    assert all(sorted(rows) == list(range(examples)) for rows in epochs)
    assert made.total_steps == 3 * -(-examples // 4)
    if examples == 12:
        assert len({tuple(rows) for rows in epochs}) == 3


def test_rates_fall_to_zero_over_the_run_over_the_longest_run_or_not_at_all():
    made = schedule(8)  # 2 steps an epoch, 6 in all
    assert [made.rate(step) for step in range(6)] == pytest.approx(
        [0.5 * (6 - i) / 6 for i in range(6)]
    )
    longest = schedule(8, schedule="linear_over_longest", schedule_epochs=5)
    assert [longest.rate(step) for step in (0, 5)] == pytest.approx([0.5, 0.25])
    assert {schedule(8, schedule="constant").rate(step) for step in range(6)} == {0.5}


@pytest.mark.parametrize("per_epoch", [1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("examples", [1, 9, 28])
def test_evaluations_are_spread_evenly_and_each_epoch_ends_with_one(per_epoch, examples):
    made = schedule(examples, evaluations_per_epoch=per_epoch)
    steps = sorted(made.evaluation_steps)
    assert len(steps) == 3 * min(per_epoch, made.steps_per_epoch)
    assert {made.steps_per_epoch * epoch for epoch in (1, 2, 3)} <= set(steps)
    gaps = np.diff([0, *steps])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_streams_of_neighbouring_seeds_steps_and_names_are_all_different():
    seeds = {
        stream_seed(seed, name, index)
        for seed in range(20)
        for name in STREAMS
        for index in range(20)
    }
    assert len(seeds) == 20 * len(STREAMS) * 20
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.manual_seed(max(seeds))  # the range that torch takes
    want = int.from_bytes(hashlib.sha256(b"kdcheck/3/order/5").digest()[:8], "big") >> 1
    assert stream_seed(3, "order", 5) == want


def test_orders_are_uniform_enough_that_each_row_comes_first_equally_often():
    first = np.array([epoch_order(seed, 0, 5)[0] for seed in range(2000)])
    counts = np.bincount(first, minlength=5)
    # Under uniform orders the statistic is chi-square with 4 degrees: above 23.5 once in 10,000.
    assert ((counts - 400) ** 2 / 400).sum() < 23.5


def test_the_digest_of_weights_sees_a_bit_a_name_a_type_and_a_shape():
    def digest(change=lambda model: model) -> str:
        torch.manual_seed(0)
        return weights_digest(change(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))))

    def flip(model):
        with torch.no_grad():
            model[0].bias.view(torch.int32)[1] ^= 1
        return model

    def reshape(model):
        model[0].weight = nn.Parameter(model[0].weight.detach().view(2, 3))
        return model

    changes = (flip, nn.Sequential, nn.Module.double, reshape)
    digests = {digest(), digest(), *(digest(change) for change in changes)}
    assert len(digests) == 1 + len(changes)
