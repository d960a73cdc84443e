"""Posteriors as parquet: how they are packed, and what is refused when they are read."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence import parquet
from kdcheck.evidence.evidence import Predictions
from kdcheck.evidence.parquet import Decoded, read_predictions, read_trajectory
from tests.evidence_doubles import sample_evidence
from tests.test_evidence_files import same_predictions

PREDICTIONS = sample_evidence().final.predictions
ALTERED = (
    "The file is damaged, or was altered and sealed anew: take the evidence from its source again."
)
GOOD: dict[str, Any] = {
    "id": pa.array(["a", "b"]),
    "label": pa.array([0, 1]),
    "logit_0": pa.array([0.5, 1.5], pa.float32()),
    "logit_1": pa.array([2.5, 3.5], pa.float32()),
}
WANTED = "id string, label int64, logit_0 float, logit_1 float, a value in every row"


def packed(columns: Mapping[str, Any], **options: Any) -> bytes:
    """The bytes of a parquet file, by pyarrow alone."""
    file = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), file, **options)
    return file.getvalue()


def refusal(content: bytes, read=read_predictions) -> tuple[str, str, str]:
    with pytest.raises(EvidenceError) as caught:
        read(content, "run x, test")
    assert (caught.value.who, caught.value.next_step) == ("run x, test", ALTERED)
    return caught.value.got, caught.value.wanted, str(caught.value)


def test_texts_and_labels_are_packed_by_dictionary_and_logits_byte_by_byte(tmp_path) -> None:
    path = tmp_path / "a" / "b" / "test.parquet"
    parquet.write_predictions(path, PREDICTIONS["test"])
    parquet.write_predictions(path, PREDICTIONS["test"])
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == 1
    columns = [metadata.row_group(0).column(c) for c in range(metadata.num_columns)]
    assert [each.path_in_schema for each in columns] == [
        "id", "label", "logit_0", "logit_1", "logit_2",
    ]  # fmt: skip
    assert {each.compression for each in columns} == {"ZSTD"}
    assert not any(each.is_stats_set for each in columns)
    kinds = [
        {"RLE_DICTIONARY", "BYTE_STREAM_SPLIT"}.intersection(each.encodings) for each in columns
    ]
    assert kinds == [{"RLE_DICTIONARY"}] * 2 + [{"BYTE_STREAM_SPLIT"}] * 3


def test_what_is_no_parquet_is_told_by_its_first_words(monkeypatch) -> None:
    got, wanted, _ = refusal(b"no parquet at all")
    assert got.startswith("no parquet that can be read (")
    assert wanted == "parquet as kdcheck writes it"

    def fail(_: object) -> None:
        raise MemoryError("x" * 300 + "\nand more")

    monkeypatch.setattr(parquet, "_check_unpacked", fail)
    assert refusal(packed(GOOD))[0] == f"no parquet that can be read ({'x' * 200})"


def test_a_text_that_is_none_is_found_before_it_is_used() -> None:
    broken = pa.array([b"\xff\xfe", b"b"]).view(pa.string())
    assert "Invalid UTF8" in refusal(packed(GOOD | {"id": broken}))[0]


@pytest.mark.parametrize("spare", [0, -1])
def test_what_is_too_large_once_it_is_unpacked_is_not_unpacked(monkeypatch, spare: int) -> None:
    content = packed(GOOD, row_group_size=1)
    metadata = pq.read_metadata(io.BytesIO(content))
    sizes = [metadata.row_group(g).total_byte_size for g in range(metadata.num_row_groups)]
    assert len(sizes) == 2
    monkeypatch.setattr(parquet, "MOST_BYTES", sum(sizes) + spare)
    monkeypatch.setattr(parquet, "MEGABYTE", 2)
    if spare == 0:
        assert read_predictions(content).ids == ("a", "b")
        return
    said = f"more than {(sum(sizes) - 1) // 2} MiB once it is unpacked"
    assert refusal(content)[0] == f"no parquet that can be read ({said})"


SHAPES = {
    "a column too many": (
        GOOD | {"more": pa.array([1, 2])},
        "id string, label int64, logit_0 float, logit_1 float, more int64",
        WANTED,
    ),
    "doubles": (
        GOOD | {"logit_1": pa.array([1.0, 2.0])},
        "id string, label int64, logit_0 float, logit_1 double",
        WANTED,
    ),
    "a gap": (
        {**GOOD, "logit_1": GOOD["logit_1"], "logit_3": GOOD["logit_1"]},
        "id string, label int64, logit_0 float, logit_1 float, logit_3 float",
        WANTED.replace("logit_1 float,", "logit_1 float, logit_2 float,"),
    ),
    "no logits": (
        {name: GOOD[name] for name in ("id", "label")},
        "id string, label int64",
        WANTED.replace(" logit_1 float,", ""),
    ),
    "no columns": ({}, "no columns", WANTED.replace(" logit_1 float,", "")),
    "a hole": (
        GOOD | {"label": pa.array([0, None])},
        "id string, label int64, logit_0 float, logit_1 float",
        WANTED,
    ),
    "a long name": (
        GOOD | {"x" * 300: pa.array([1, 2])},
        f"id string, label int64, logit_0 float, logit_1 float, {'x' * 146}",
        WANTED,
    ),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_other_columns_than_those_of_a_split_are_refused_with_both(kind: str) -> None:
    columns, got, wanted = SHAPES[kind]
    assert refusal(packed(columns))[:2] == (got, wanted)


def test_two_rows_of_one_example_are_refused() -> None:
    got, wanted, _ = refusal(packed(GOOD | {"id": pa.array(["a", "a"])}))
    assert (got, wanted) == ("2 rows with 1 ids", "an id of its own in each row")


def test_logits_are_ordered_by_class_and_not_as_texts() -> None:
    many = {f"logit_{k}": pa.array([float(k)], pa.float32()) for k in range(12)}
    table = {"id": pa.array(["a"]), "label": pa.array([3])} | many
    found = read_predictions(packed(table))
    assert found.logits_NK.dtype == np.float32
    assert found.logits_NK.tolist() == [[float(k) for k in range(12)]]


TRAJECTORY = {"step": pa.array([5, 5]), "split": pa.array(["s", "s"]), **GOOD}


def test_a_trajectory_is_cut_where_step_or_split_changes() -> None:
    rows = {
        "step": pa.array([5, 5, 5, 9]),
        "split": pa.array(["s", "s", "t", "t"]),
        "id": pa.array(["b", "a", "a", "a"]),
        "label": pa.array([0, 1, 2, 3]),
        "logit_0": pa.array([0.0, 1.0, 2.0, 3.0], pa.float32()),
    }
    found = read_trajectory(packed(rows))
    labels = {
        (step, split): dict(zip(each.ids, each.labels_N.tolist(), strict=True))
        for step, splits in found.items()
        for split, each in splits.items()
    }
    assert labels == {(5, "s"): {"b": 0, "a": 1}, (5, "t"): {"a": 2}, (9, "t"): {"a": 3}}
    assert found[9]["t"].logits_NK.tolist() == [[3.0]]
    assert [type(step) for step in found] == [int, int]


def test_a_trajectory_of_other_columns_or_with_an_example_twice_is_refused() -> None:
    got, wanted, _ = refusal(packed(GOOD), read_trajectory)
    assert got == "id string, label int64, logit_0 float, logit_1 float"
    assert wanted == f"step int64, split string, {WANTED}"
    twice = TRAJECTORY | {"id": pa.array(["a", "a"])}
    assert refusal(packed(twice), read_trajectory)[0] == "2 rows with 1 ids"


@pytest.mark.parametrize(
    ("read", "who"), [(read_predictions, "posteriors"), (read_trajectory, "trajectory")]
)
def test_what_is_read_has_a_name_of_its_own(read, who: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        read(b"")
    assert caught.value.who == who


def test_splits_are_decoded_when_they_are_asked_for_and_once(monkeypatch, tmp_path) -> None:
    decoded = []

    def read(content: bytes, who: str) -> Predictions:
        decoded.append(who)
        return read_predictions(content, who)

    for split in ("test", "validation"):
        parquet.write_predictions(tmp_path / split, PREDICTIONS[split])
    contents = {split: (tmp_path / split).read_bytes() for split in ("test", "validation")}
    monkeypatch.setattr(parquet, "read_predictions", read)
    found = Decoded({**contents, "train": b""}, "run x")
    assert (list(found), len(found)) == (["test", "validation", "train"], 3)
    assert ("test" in found, "more" in found) == (True, False)
    assert decoded == []
    assert same_predictions(found["validation"], PREDICTIONS["validation"])
    assert found["validation"] is found["validation"]
    assert decoded == ["run x, posteriors/validation.parquet"]
    with pytest.raises(EvidenceError, match=r"^run x, posteriors/train\.parquet: got no parquet"):
        found["train"]


def test_a_trajectory_has_splits_in_their_order_and_comes_back(tmp_path) -> None:
    evidence = sample_evidence()
    before = [
        dataclasses.replace(point, predictions=dict(reversed(point.predictions.items())))
        for point in evidence.points[:-1]
    ]
    for number, points in enumerate((evidence.points[:-1], before)):
        parquet.write_trajectory(tmp_path / str(number), points)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    back = read_trajectory((tmp_path / "1").read_bytes())
    for point in before:
        for split, predictions in point.predictions.items():
            assert same_predictions(back[point.step][split], predictions)
