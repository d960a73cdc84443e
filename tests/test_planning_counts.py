"""What a study comes to, against a count that knows neither graph nor recipe."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from kdcheck.errors import EncoderError, InputError
from kdcheck.places import Places
from kdcheck.planning.counts import amounts, checkpoint_bytes, store_bytes, total
from kdcheck.planning.forecast import forecast, graph_of
from kdcheck.planning.sizes import Shape, Sizes, TaskSize
from kdcheck.plugin.collecting import plan_paths
from kdcheck.study.scale import load
from tests.study_doubles import ERM_SMALL, KD, NamedDigests, entropy_gap, scale

ROOT = Path(__file__).resolve().parent.parent
TRAIN = {"mrpc": 3668, "qnli": 99743, "sst2": 65549, "mnli": 382887}
"""Table 6 of the paper."""
LENGTH = {"mrpc": 53.24, "qnli": 49.22, "sst2": 13.32, "mnli": 39.91}


@pytest.fixture(scope="module")
def claims():
    return plan_paths([str(ROOT / "claims")]).claims


def merged(tables, arm, task):
    """The settings of an arm on a task, from the tables of the scale file alone."""
    own = dict(tables["methods"][arm.method][arm.size])
    of_task = own.pop("tasks", {}).get(task, {})
    settings = {**tables["training"], **own, **of_task}
    settings["objective"] = {**own["objective"], **of_task.get("objective", {})}
    if arm.budget is not None:
        lent = merged(tables, arm.budget, task)
        settings |= {name: lent[name] for name in ("learning_rate", "epochs")}
    return settings


def identity(tables, arm, task):
    """Equal for arms that are one run on a task."""
    teacher = arm.teacher and identity(tables, arm.teacher, task)
    facts = [task, arm.size, merged(tables, arm, task), teacher]
    return json.dumps([*facts, arm.teacher_temperature, arm.teacher_shuffled], sort_keys=True)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_paper_scale_comes_to_what_the_tables_of_its_file_say(claims, seeds):
    tables = tomllib.loads((ROOT / "kdcheck/paper/scales/paper.toml").read_text())
    arms = {each for claim in claims for arm in claim.measures.arms() for each in arm.lineage()}
    runs = {
        identity(tables, arm, task): (task, merged(tables, arm, task))
        for arm in arms
        for task in tables["tasks"]
    }
    steps = sum(math.ceil(TRAIN[task] / s["batch_size"]) * s["epochs"] for task, s in runs.values())
    tokens = sum(TRAIN[task] * s["epochs"] * LENGTH[task] for task, s in runs.values())
    paper_scale = load("paper", claims[0].paper)
    found = forecast(claims, paper_scale, seeds, Places.resolve(), [])["total"]
    print(f"{len(runs) * seeds} recipes, {steps * seeds:,} steps, {tokens * seeds:.4g} tokens")
    assert found["recipes"] == len(runs) * seeds > 200
    assert found["steps"] == steps * seeds
    assert found["tokens"] == pytest.approx(tokens * seeds)


SHAPES = {
    "tiny-1": Shape(name="tiny-1", layers=2, width=8, inner=24, vocabulary=100, positions=16),
    "tiny-2": Shape(name="tiny-2", layers=3, width=16, inner=40, vocabulary=100, positions=16),
}
TASKS = {
    "a": TaskSize(
        classes=3,
        rows={"train": 50, "validation": 7, "test": 30},
        tokens={"train": 5.0, "validation": 6.0, "test": 7.0},
        vocabulary=60,
    ),
    "b": TaskSize(
        classes=2,
        rows={"train": 17, "validation": 5, "test": 9},
        tokens={"train": 3.0, "validation": 4.0, "test": 2.0},
    ),
}


class MadeUpSizes:
    """Sizes of tasks and encoders that do not exist."""

    def task(self, name, max_length):
        return TASKS[name]

    def shape(self, name):
        return SHAPES[name]


def made_up(looks=2, curve_rows=4):
    training = {"batch_size": 8, "evaluations_per_epoch": looks, "curve_rows": curve_rows}
    graph = graph_of([entropy_gap(KD, ERM_SMALL)], scale(training=training), 1, NamedDigests())
    return graph, amounts(graph, MadeUpSizes())


def run_of(graph, found, arm, task):
    return found[graph.runs[arm][task][0]]


def test_steps_tokens_and_looks_of_a_run_are_those_of_its_rows_and_epochs():
    graph, found = made_up()
    student = run_of(graph, found, KD, "a")
    # 50 rows in batches of 8, 4 epochs; two looks an epoch at 4 rows of training and test text, the
    # last at all of validation and test.
    assert (student.steps, student.examples, student.tokens) == (28, 200, 1000.0)
    assert (student.looks, student.looked_rows) == (8, 8 * 4 + 7 * 4 + 7 + 30)
    assert student.looked_splits == 8 + 7 + 2
    assert student.looked_tokens == 8 * 4 * 5 + 7 * 6 + (7 * 4 + 30) * 7
    plain = run_of(graph, found, ERM_SMALL, "b")
    assert (plain.steps, plain.looks) == (9, 6)
    assert plain.looked_rows == 6 * 4 + 17 + 5 + 5 * 4 + 9, "without a teacher it may have to teach"


def test_flops_are_those_of_every_product_counted_one_by_one():
    graph, found = made_up(looks=0)
    run = run_of(graph, found, KD, "b")
    width, inner, layers = 8, 24, 2

    def forward(rows, length):
        tokens = rows * length
        layer = 4 * tokens * width * width + 2 * tokens * width * inner  # multiply-adds
        layer += 2 * rows * length * length * width  # scores, and the sum that they weigh
        return 2 * (layers * layer + rows * width * width)  # and the head's own layer

    looks = forward(4, 3) + forward(5, 4) + forward(9, 2)
    assert run.flops == pytest.approx(3 * forward(17 * 4, 3) + looks)


def test_disk_grows_with_classes_rows_and_claims_and_checkpoints_with_weights():
    _, found = made_up()
    graph, more = made_up(curve_rows=9)
    parts = list(found.values())
    assert store_bytes(parts, 2) - store_bytes(parts, 1) == store_bytes([], 1)
    assert store_bytes(more.values(), 1) > store_bytes(parts, 1)
    student = run_of(graph, more, KD, "a")
    # Two samples at each look; validation, test and a sample of it beside it at the last.
    rows = 8 * 9 + 7 * 9 + 7 + 30 + 9
    assert student.bytes_kept == rows * (4 * 3 + 3.5)
    larger = next(
        each for each in more.values() if each.kind[:2] == ("tiny-2", "b")
    )  # the teacher, on the task whose vocabulary is unknown
    weights = (100 + 16) * 16 + 3 * (4 * 16**2 + 2 * 16 * 40 + 9 * 16) + 16**2
    assert larger.parameters == weights
    assert checkpoint_bytes(more.values()) == 3 * 12 * weights


def test_a_total_is_the_sum_of_its_runs():
    _, found = made_up()
    parts = list(found.values())
    assert total(parts).recipes == 6
    assert total(parts).steps == sum(each.steps for each in parts)
    assert total(parts[:2]).flops + total(parts[2:]).flops == pytest.approx(total(parts).flops)


def test_what_is_not_at_hand_is_said_and_a_cut_is_kept(claims):
    paper_scale = load("paper", claims[0].paper)
    cut = replace(paper_scale, rows={"mnli": {"train": 500, "test": 60}})
    sizes = Sizes(cut, Places.resolve())
    assert sizes.task("mnli", 128).rows == {"train": 500, "validation": 9815, "test": 60}
    assert sizes.task("mrpc", 40).tokens["train"] == 40, "cut at the longest length"
    assert sizes.shape("distilbert-base-uncased").layers == 6
    assert sizes.shape("bert-base-uncased").inner == 3072
    text = " ".join(sizes.notes)
    assert "mnli is not at hand" in text
    assert "bert-base-uncased is not at hand" in text


def test_published_shapes_have_as_many_weights_as_the_library_builds(claims):
    from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

    sizes = Sizes(load("paper", claims[0].paper), Places.resolve())
    import torch

    for name, model, config in (
        ("bert-base-uncased", BertModel, BertConfig()),
        ("distilbert-base-uncased", DistilBertModel, DistilBertConfig()),
    ):
        with torch.device("meta"):
            built = sum(each.numel() for each in model(config).parameters())
        # Biases and layer norms are rounded to nine widths a layer; DistilBERT's head comes after.
        assert sizes.shape(name).parameters() == pytest.approx(built, rel=0.01)


def test_a_plan_of_no_seed_is_refused(claims):
    with pytest.raises(InputError, match="0 seeds"):
        graph_of([entropy_gap(KD, ERM_SMALL)], scale(), 0, NamedDigests())


def test_a_task_of_ones_own_needs_a_tokenizer(tmp_path, claims):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "task.toml").write_text(
        'classes = ["no", "yes"]\ntext_columns = ["text"]\nsource = "s"\nlicence = "l"\ncitation = "c"\n'
    )
    for split in ("train", "validation", "test"):
        (folder / f"{split}.tsv").write_text(f"text\tlabel\n{split} one\t0\n{split} two\t1\n")
    own = replace(load("paper", claims[0].paper), tasks=("own",))
    with pytest.raises(EncoderError, match="--model-dir"):
        Sizes(own, Places.resolve(data_dir=tmp_path)).task("own", 128)


@pytest.mark.parametrize("teaches", [True, False])
def test_a_run_comes_to_what_the_engine_counts_while_it_trains(teaches):
    from kdcheck.engine.inputs import prepare
    from kdcheck.engine.loop import train
    from kdcheck.planning.counts import _amount
    from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

    task, encoder = tiny_task(train=41, validation=9, test=22), tiny_encoder()
    recipe = tiny_recipe(
        task, encoder, evaluations_per_epoch=2, curve_rows=6, test_rows=20, train_rows=37
    )
    inputs = prepare(task, encoder, max_length=128).cut(recipe.rows)
    cost = train(recipe, inputs, predict_train=teaches).cost

    class Counted:
        def task(self, name, max_length):
            lengths = {split: part.lengths for split, part in inputs.tokenized.items()}
            return TaskSize(
                classes=2,
                rows={split: len(each) for split, each in lengths.items()},
                tokens={split: each.mean() for split, each in lengths.items()},
            )

        def shape(self, name):
            return SHAPES["tiny-1"]

    found = _amount(recipe, Counted(), teaches)
    looked = sum(count for name, count in cost.items() if name.startswith("predicted_rows/"))
    assert found.steps == cost["steps"]
    assert found.examples == cost["train_rows"]
    assert found.tokens == pytest.approx(cost["train_tokens"])
    assert found.looked_rows == looked
