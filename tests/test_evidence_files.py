"""Evidence as files: what is written is read back, and damage is found and named."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdcheck.errors import EvidenceError
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.evidence.files import (
    SealedFiles,
    final_metrics,
    read_checked,
    read_evidence,
    seal,
    write_evidence,
)
from kdcheck.evidence.samples import sample_evidence, sample_recipe


def written(folder: Path, evidence: Evidence, *, trajectory: bool = True) -> SealedFiles:
    write_evidence(folder, evidence, trajectory=trajectory)
    sealed = seal(folder)
    return SealedFiles(lambda name: (folder / name).read_bytes(), sealed, "run x")


def same_predictions(left: Predictions, right: Predictions) -> bool:
    return (
        left.ids == right.ids
        and left.logits_NK.dtype == right.logits_NK.dtype
        and np.array_equal(left.labels_N, right.labels_N)
        and np.array_equal(left.logits_NK, right.logits_NK)
    )


def test_evidence_comes_back_to_the_last_bit(tmp_path):
    evidence = sample_evidence(points=3)
    back = read_evidence(written(tmp_path, evidence), trajectory=True)
    assert back.recipe == evidence.recipe
    assert (back.cost, back.environment) == (evidence.cost, evidence.environment)
    assert back.notes == evidence.notes
    for old, new in zip(evidence.points, back.points, strict=True):
        assert (old.step, old.epoch, old.values) == (new.step, new.epoch, new.values)
        assert old.weights_digest == new.weights_digest
        for split, predictions in old.predictions.items():
            assert same_predictions(predictions, new.predictions[split])


def test_without_the_trajectory_earlier_points_carry_values_only(tmp_path):
    back = read_evidence(written(tmp_path, sample_evidence(points=3)))
    assert [len(point.predictions) for point in back.points] == [0, 0, 2]
    assert all(point.values for point in back.points)


@settings(deadline=None, max_examples=25, derandomize=True, database=None)
@given(
    ids=st.lists(st.text(max_size=6), min_size=1, max_size=5, unique=True),
    classes=st.integers(1, 5),
    points=st.integers(1, 3),
)
def test_any_ids_and_shapes_come_back(tmp_path_factory, ids, classes, points):
    evidence = sample_evidence(examples=len(ids), classes=classes, points=points)
    renamed = tuple(
        dataclasses.replace(
            point,
            predictions={
                split: dataclasses.replace(predictions, ids=tuple(ids))
                for split, predictions in point.predictions.items()
            },
        )
        for point in evidence.points
    )
    evidence = dataclasses.replace(evidence, points=renamed)
    back = read_evidence(written(tmp_path_factory.mktemp("run"), evidence), trajectory=True)
    for old, new in zip(evidence.points, back.points, strict=True):
        assert same_predictions(old.predictions["test"], new.predictions["test"])


def test_posteriors_are_plain_parquet_with_one_row_per_example(tmp_path):
    evidence = sample_evidence(examples=5)
    sealed = written(tmp_path, evidence)
    table = pq.read_table(io.BytesIO(sealed.read("posteriors/test.parquet")))
    assert table.column_names == ["id", "label", "logit_0", "logit_1", "logit_2"]
    assert table.num_rows == 5
    assert str(table.schema.field("logit_0").type) == "float"
    expected = evidence.final.predictions["test"].logits_NK[:, 1].tolist()
    assert table.column("logit_1").to_pylist() == expected


def test_the_same_evidence_gives_the_same_bytes(tmp_path):
    written(tmp_path / "a", sample_evidence())
    written(tmp_path / "b", sample_evidence())
    names = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(names) == 8
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, Path.unlink])
@pytest.mark.parametrize(
    "name", ["recipe.json", "points.json", "cost.json", "environment.json", "manifest.json"]
)
def test_damaged_json_is_found_and_named(tmp_path, name, damage):
    check_damage_is_named(tmp_path, name, damage)


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, Path.unlink])
@pytest.mark.parametrize("split", ["test", "validation", "trajectory"])
def test_damaged_parquet_is_found_and_named(tmp_path, split, damage):
    check_damage_is_named(tmp_path, f"posteriors/{split}.parquet", damage)


def check_damage_is_named(folder: Path, name: str, damage) -> None:
    write_evidence(folder, sample_evidence())
    sealed = seal(folder)
    damage(folder / name)
    with pytest.raises(EvidenceError) as caught:
        read_evidence(
            SealedFiles(lambda n: (folder / n).read_bytes(), sealed, "run x"), trajectory=True
        )
    message = str(caught.value)
    assert message.startswith("run x: ")
    assert name in message
    assert "Delete this run" in message
    assert ("no file" in message) == (damage is Path.unlink)


def test_the_trajectory_of_a_bundle_without_one_is_refused(tmp_path):
    sealed = written(tmp_path, sample_evidence(), trajectory=False)
    with pytest.raises(EvidenceError, match=r"last of 2 points only.*Export the bundle with"):
        read_evidence(sealed, trajectory=True)


def with_values(**values: float) -> Evidence:
    evidence = sample_evidence(points=1)
    point = dataclasses.replace(evidence.final, values=values)
    return dataclasses.replace(evidence, points=(point,))


def with_a_nan_logit() -> Evidence:
    evidence = sample_evidence(points=1)
    evidence.final.predictions["test"].logits_NK[0, 0] = np.nan
    return evidence


UNUSABLE = {
    "accuracy at step 10 = nan": with_values(accuracy=float("nan")),
    "nll at step 10 = inf": with_values(nll=float("inf")),
    "logits of test at step 10 = nan": with_a_nan_logit(),
    "cost seconds = inf": dataclasses.replace(sample_evidence(), cost={"seconds": float("inf")}),
    "points at steps []": dataclasses.replace(sample_evidence(), points=()),
    "points at steps [20, 10]": dataclasses.replace(
        sample_evidence(), points=sample_evidence().points[::-1]
    ),
    "no logits at the last step, 10": dataclasses.replace(
        sample_evidence(),
        points=(dataclasses.replace(sample_evidence().points[0], predictions={}),),
    ),
}


@pytest.mark.parametrize("got", UNUSABLE)
def test_unusable_evidence_is_refused_before_a_file_is_written(tmp_path, got):
    with pytest.raises(EvidenceError) as caught:
        write_evidence(tmp_path, UNUSABLE[got])
    assert got in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_refused(tmp_path):
    written(tmp_path, sample_evidence())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    resealed = hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()
    with pytest.raises(EvidenceError, match="format 99; wanted format 1"):
        SealedFiles(lambda name: (tmp_path / name).read_bytes(), resealed, "run x")


def test_evidence_under_the_wrong_label_is_refused(tmp_path):
    sealed = written(tmp_path, sample_evidence(seed=1))
    wrong = sample_recipe(2)
    with pytest.raises(EvidenceError, match=f"files of recipe {sample_recipe(1).short}"):
        read_checked(sealed, wrong.digest, trajectory=False)


def test_a_recipe_of_another_version_is_an_evidence_error(tmp_path):
    write_evidence(tmp_path, sample_evidence())
    values = json.loads((tmp_path / "recipe.json").read_text())
    (tmp_path / "recipe.json").write_text(json.dumps(values | {"future_field": 1}))
    sealed = SealedFiles(lambda name: (tmp_path / name).read_bytes(), seal(tmp_path), "run x")
    with pytest.raises(EvidenceError, match=r"future_field.*with the version that wrote it"):
        read_checked(sealed, sample_recipe().digest, trajectory=False)


def test_final_metrics_are_the_last_values_and_the_totals(tmp_path):
    evidence = sample_evidence()
    metrics = final_metrics(written(tmp_path, evidence))
    assert metrics == {
        **evidence.final.values,
        "total/seconds": 1.5,
        "total/tokens": 4096.0,
    }
