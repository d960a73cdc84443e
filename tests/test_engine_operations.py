"""How many operations a training step of the paper's encoders launches on an accelerator, counted.

On the CPU, by the way of an accelerator: one layout, torch's fused attention and dropout, a host that
does not look each step, and bfloat16 by autocast as the paper's scale has it. Widths are tiny, which
changes no count. What torch replaces by a sort under deterministic algorithms counts as that.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kdcheck.engine import attention, dropout, loop, packing
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.schedule import Schedule
from kdcheck.engine.settings import settings_of
from kdcheck.engine.teaching import targets_of
from kdcheck.objectives import Distillation
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task, uniform_teacher
from tests.test_packing import attend_by_scatter

LAYERS = {"bert": 12, "distilbert": 6}
MOST = {"bert": 1250, "distilbert": 660}
CPU = torch.device("cpu")
aten = torch.ops.aten

SORT = 14
"""Launches of the sort that torch puts in the place of sums by index on CUDA (docs/engine.md)."""
SORTED = {aten.embedding_dense_backward.default, aten.scatter_add.default}
SORTED_TOO = {
    *(aten.index_copy.default, aten.index_add.default, aten.index_put.default),
    *(aten.index_copy_.default, aten.index_add_.default, aten.index_put_.default),
    *(aten._index_put_impl_.default, aten.scatter_add_.default, aten.index_select_backward.default),
}
"""These a step has no need of."""
LOWERED = {
    **dict.fromkeys(SORTED | SORTED_TOO, SORT),
    # Over all weights at once, but in chunks: torch gives a launch up to 320 of 65,536 numbers each.
    **dict.fromkeys((aten._foreach_norm.Scalar, aten._foreach_mul_.Tensor), 6),
    **dict.fromkeys((aten._foreach_copy_.default, aten._fused_adamw_.default), 6),
}
MAKES_ROOM = {aten.empty_like.default, aten.empty.memory_format, aten.new_empty.default}
"""Launch nothing; nor do views."""


class Count(TorchDispatchMode):
    """Counts every operation that is dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter = Counter()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.seen[op] += 1
        return op(*args, **(kwargs or {}))

    def launches(self) -> int:
        """With what torch makes of them on an accelerator; those on the host, before the copy, included."""
        return sum(
            count * LOWERED.get(op, 1)
            for op, count in self.seen.items()
            if not (op.is_view or op is aten.detach.default or op in MAKES_ROOM)
        )


@lru_cache
def inputs_of(kind: str) -> Inputs:
    encoder = tiny_encoder(kind, layers=LAYERS[kind])
    return prepare(tiny_task(train=8, validation=3, test=3, pairs=True), encoder, 48)


def fused(query, key, value, layout, scale):
    return attention.attend_fused(query, key, value, layout, scale, 0.0)


def on_the_way_of_an_accelerator(monkeypatch, attend) -> None:
    monkeypatch.setattr(packing.PackedBatch, "to", lambda batch, _: batch.in_one_layout())
    # Torch's fused attention drops inside its one operation, which the CPU's does not.
    monkeypatch.setattr(packing, "attend", lambda *given: attend(*given[:-1]))
    monkeypatch.setattr(dropout, "dropout", lambda x, p: torch.native_dropout(x, p, train=True)[0])


def counted_step(monkeypatch, kind: str, attend=fused) -> Count:
    """The second step of a student, that it may have a first one's gradients to forget."""
    on_the_way_of_an_accelerator(monkeypatch, attend)
    inputs = inputs_of(kind)
    changes = {"max_length": 48, "precision": "bfloat16", "clip_norm": 1e-3}
    teacher = tiny_recipe(inputs.task, inputs.encoder, **changes)
    recipe = replace(teacher, objective=Distillation(alpha=0.5), teacher=teacher)
    targets = targets_of(recipe, inputs, uniform_teacher(inputs.task.train, 2), CPU)
    schedule = Schedule(recipe, len(inputs.task.train))
    with settings_of(recipe, CPU):
        state = loop._start(recipe, inputs, schedule, CPU)
        state.guard._look_every = 50
        loop._take_step(state, schedule, inputs, targets)
        with Count() as count:
            loop._take_step(state, schedule, inputs, targets)
    return count


@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_launches_no_more_than_it_was_promised_to(kind, monkeypatch):
    count = counted_step(monkeypatch, kind)
    print(f"{kind}: {count.launches()} launches, {sum(count.seen.values())} operations")
    assert count.launches() <= MOST[kind]
    # The way of an accelerator was taken, by every layer.
    products = count.seen[aten.addmm.default]
    assert products == LAYERS[kind] * 6 + 2
    assert count.seen[aten.native_dropout.default] > LAYERS[kind]


@pytest.mark.parametrize("kind", LAYERS)
def test_nothing_in_a_step_is_replaced_by_a_sort_but_what_is_counted_as_one(kind, monkeypatch):
    count = counted_step(monkeypatch, kind)
    assert not SORTED_TOO & set(count.seen)
    assert count.seen[aten.cat.default] <= 2  # a layout of one group is neither split nor joined
    # Tables of the embeddings, and the label's place in the loss.
    tables = {"bert": 3, "distilbert": 2}
    assert sum(count.seen[op] for op in SORTED) == tables[kind] + 1


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_are_cast_by_one_operation_and_so_are_their_gradients(kind, monkeypatch):
    count = counted_step(monkeypatch, kind)
    assert count.seen[aten._foreach_copy_.default] == 2
    # What is left are activations: their number does not come near that of the weights.
    assert count.seen[aten._to_copy.default] < 12 * LAYERS[kind]


def test_a_step_that_scatters_into_the_layout_would_be_seen_by_the_count(monkeypatch):
    count = counted_step(monkeypatch, "distilbert", attend_by_scatter)
    assert count.seen[aten.index_copy.default] == 3 * LAYERS["distilbert"]
    assert count.launches() > MOST["distilbert"]


def test_weights_that_autocast_casts_by_itself_would_be_seen_by_the_count(monkeypatch):
    monkeypatch.setattr(packing, "cast_at_once", lambda *_: nullcontext())
    count = counted_step(monkeypatch, "distilbert")
    assert count.seen[aten._to_copy.default] > 2 * 12 * LAYERS["distilbert"]
