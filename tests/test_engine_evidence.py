"""What an evaluation leaves: each split's own logits, at every point, on files and after a stop."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyarrow.parquet as pq
import pytest

from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.engine.streams import sample_rows
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.evidence.files import SealedFiles, read_evidence, seal, write_evidence
from kdcheck.evidence.parquet import read_predictions, write_predictions
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

# All sizes, K and the seed differ, so that nothing can stand in for another.
ENDS = {"validation", "test"}
LOOKS = {"train_sample": "train", "test_sample": "test"}
ROWS = {"train": 25, "validation": 9, "test": 11}
SAMPLE, CLASSES, SEED = 7, 3, 5


@lru_cache
def inputs() -> Inputs:
    return prepare(tiny_task(**ROWS, classes=CLASSES), tiny_encoder(), 32)


@lru_cache
def evidence(seed: int = SEED) -> Evidence:
    changes = {"max_length": 32, "evaluations_per_epoch": 3, "curve_rows": SAMPLE, "seed": seed}
    return train(tiny_recipe(inputs().task, inputs().encoder, **changes), inputs())


def examples(name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Ids and labels that a look is to have, from the task itself."""
    split = inputs().task.split(LOOKS.get(name, name))
    if name not in LOOKS:
        return split.ids, split.labels
    rows = sample_rows(len(split), SAMPLE).tolist()
    return tuple(split.ids[row] for row in rows), tuple(split.labels[row] for row in rows)


def test_looks_before_the_end_are_at_samples_and_the_last_is_at_whole_splits_too():
    *before, last = evidence().points
    assert len(before) == 5
    for point in before:
        assert set(point.predictions) == set(LOOKS)
    assert set(last.predictions) == {*LOOKS, *ENDS}
    for point in evidence().points:
        assert {name.split("/")[0] for name in point.values} == {"train", *point.predictions}


@pytest.mark.parametrize("name", ["validation", "test", "train_sample", "test_sample"])
def test_a_point_holds_each_split_s_own_examples_and_the_values_of_their_logits(name):
    ids, labels = examples(name)
    for point in evidence().points[0 if name in LOOKS else -1 :]:
        part = point.predictions[name]
        assert part.ids == ids
        assert part.labels_N.tolist() == list(labels)
        assert part.logits_NK.shape == (len(ids), CLASSES)
        logits_NK = part.logits_NK.astype(np.float64)
        shares_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(axis=1, keepdims=True)
        entropy = -(shares_NK * np.log(shares_NK)).sum(axis=1).mean()
        assert point.values[f"{name}/mean_entropy_nats"] == pytest.approx(entropy, rel=1e-5)
        accuracy = (logits_NK.argmax(axis=1) == labels).mean()
        assert point.values[f"{name}/accuracy"] == pytest.approx(accuracy)


def test_points_tell_their_step_and_the_share_of_an_epoch_that_is_done():
    # 25 rows in batches of 8 are 4 steps an epoch.
    epochs = [(point.step, point.epoch) for point in evidence().points]
    assert epochs == [(1, 0.25), (3, 0.75), (4, 1.0), (5, 1.25), (7, 1.75), (8, 2.0)]


@pytest.mark.parametrize("name", LOOKS)
def test_the_samples_of_the_curves_are_the_same_in_runs_of_other_seeds(name):
    samples = [evidence(seed).final.predictions[name].ids for seed in (SEED, SEED + 1)]
    assert samples[0] == samples[1]


def test_at_the_end_the_sample_of_the_test_split_has_the_very_logits_of_the_whole():
    found = evidence().final.predictions
    row_of = {example: row for row, example in enumerate(found["test"].ids)}
    assert list(found["test_sample"].ids) != list(found["test"].ids[:SAMPLE])
    for example, logits_K in zip(
        found["test_sample"].ids, found["test_sample"].logits_NK, strict=True
    ):
        assert logits_K.tolist() == found["test"].logits_NK[row_of[example]].tolist()


def test_a_run_that_is_looked_at_once_ends_as_one_that_is_looked_at_often():
    changes = {"max_length": 32, "curve_rows": SAMPLE, "seed": SEED}
    once = tiny_recipe(inputs().task, inputs().encoder, evaluations_per_epoch=0, **changes)
    (point,) = train(once, inputs()).points
    last = evidence().final
    assert (point.step, point.epoch) == (last.step, last.epoch) == (8, 2.0)
    assert point.weights_digest == last.weights_digest
    assert set(point.predictions) == set(last.predictions)
    for name, part in last.predictions.items():
        assert np.array_equal(point.predictions[name].logits_NK, part.logits_NK)


def test_splits_of_three_lengths_come_back_from_the_files_at_every_point(tmp_path):
    write_evidence(tmp_path, evidence(), trajectory=True)
    sealed = SealedFiles(lambda name: (tmp_path / name).read_bytes(), seal(tmp_path), "run x")
    back = read_evidence(sealed, trajectory=True)
    for old, new in zip(evidence().points, back.points, strict=True):
        assert set(new.predictions) == set(old.predictions)
        for name, part in old.predictions.items():
            assert new.predictions[name].ids == part.ids
            assert np.array_equal(new.predictions[name].labels_N, part.labels_N)
            assert np.array_equal(new.predictions[name].logits_NK, part.logits_NK)


def test_of_twelve_classes_and_more_each_logit_stays_in_its_own_column(tmp_path):
    logits_NK = np.arange(5 * 13, dtype=np.float32).reshape(5, 13)
    ids = tuple("edcba")
    path = tmp_path / "test.parquet"
    write_predictions(path, Predictions(ids=ids, labels_N=np.arange(5), logits_NK=logits_NK))
    table = pq.read_table(path)
    for k in range(13):  # as text, logit_10 would come before logit_2
        assert table.column(f"logit_{k}").to_pylist() == logits_NK[:, k].tolist()
    assert np.array_equal(read_predictions(path.read_bytes()).logits_NK, logits_NK)
