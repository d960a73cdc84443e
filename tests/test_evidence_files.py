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
    check_evidence,
    kept_of_test,
    read_checked,
    read_claim,
    read_evidence,
    read_validation,
    seal,
    write_claim,
    write_evidence,
    write_json,
)
from kdcheck.evidence.shapes import FILES, departure
from tests.evidence_doubles import (
    CLASSES,
    PLAIN,
    ROWS,
    STEPS,
    TAUGHT,
    TEACHER,
    sample_evidence,
    sample_judged,
    sample_recipe,
    with_values,
)


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


@pytest.mark.parametrize("arm", [PLAIN, TAUGHT, TEACHER], ids=lambda arm: arm.key)
@pytest.mark.parametrize("task", CLASSES)
def test_evidence_comes_back_to_the_last_bit(tmp_path, task, arm):
    written(tmp_path / "another", sample_evidence(sample_recipe(8, task=task, arm=arm)))
    evidence = sample_evidence(sample_recipe(7, task=task, arm=arm))
    back = read_evidence(written(tmp_path / "run", evidence), trajectory=True)
    assert back.recipe == evidence.recipe
    assert (back.cost, back.environment) == (evidence.cost, evidence.environment)
    assert back.notes == evidence.notes
    for old, new in zip(evidence.points, back.points, strict=True):
        assert (old.step, old.epoch, old.values) == (new.step, new.epoch, new.values)
        assert old.weights_digest == new.weights_digest
        assert old.predictions.keys() == set(new.predictions)
        for split, predictions in old.predictions.items():
            assert same_predictions(predictions, new.predictions[split])


def test_without_the_trajectory_earlier_points_carry_values_only(tmp_path):
    back = read_evidence(written(tmp_path, sample_evidence()))
    assert [len(point.predictions) for point in back.points] == [0, 0, 4]
    assert all(point.values for point in back.points)


@settings(deadline=None, max_examples=25, derandomize=True, database=None)
@given(
    ids=st.lists(st.text(max_size=6), min_size=1, max_size=5, unique=True),
    classes=st.integers(1, 5),
    points=st.integers(1, 3),
)
def test_any_ids_and_shapes_come_back(tmp_path_factory, ids, classes, points):
    rows = dict.fromkeys(ROWS, len(ids))
    evidence = sample_evidence(steps=STEPS[:points], rows=rows, classes=classes)
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
        for split, predictions in old.predictions.items():
            assert same_predictions(predictions, new.predictions[split])


def rows_of(sealed: SealedFiles, name: str) -> list[dict]:
    """Read by pyarrow alone."""
    return pq.read_table(io.BytesIO(sealed.read(f"posteriors/{name}.parquet"))).to_pylist()


def rows_wanted(predictions: Predictions, **also) -> list[dict]:
    triples = zip(
        predictions.ids,
        predictions.labels_N.tolist(),
        predictions.logits_NK.tolist(),
        strict=True,
    )
    return [
        {"id": name, "label": label, **also} | {f"logit_{k}": x for k, x in enumerate(logits)}
        for name, label, logits in triples
    ]


def test_posteriors_are_plain_parquet_with_one_float32_row_per_example(tmp_path):
    evidence = sample_evidence(sample_recipe(task="dozens", arm=TEACHER))
    sealed = written(tmp_path, evidence)
    assert {split: len(rows_of(sealed, split)) for split in ROWS} == ROWS
    for split, predictions in evidence.final.predictions.items():
        assert rows_of(sealed, split) == rows_wanted(predictions)
    schema = pq.read_schema(tmp_path / "posteriors/test.parquet")
    assert {str(schema.field(f"logit_{k}").type) for k in range(12)} == {"float"}


def test_the_trajectory_has_every_split_of_every_point_before_the_last(tmp_path):
    evidence = sample_evidence()
    sealed = written(tmp_path, evidence)
    assert rows_of(sealed, "trajectory") == [
        row
        for point in evidence.points[:-1]
        for split in ("test_sample", "train_sample")
        for row in rows_wanted(point.predictions[split], step=point.step, split=split)
    ]


def test_evidence_of_one_point_needs_no_trajectory(tmp_path):
    evidence = sample_evidence(steps=STEPS[:1])
    sealed = written(tmp_path, evidence, trajectory=False)
    assert read_evidence(sealed, trajectory=True).points[0].step == STEPS[0]


def test_the_same_evidence_gives_the_same_bytes_and_all_of_it_is_sealed(tmp_path):
    sealed = written(tmp_path / "a", sample_evidence())
    written(tmp_path / "b", sample_evidence())
    posteriors = [
        f"posteriors/{s}.parquet" for s in ("test", "test_sample", "train_sample", "trajectory")
    ]
    assert sealed.names == [
        *("cost.json", "environment.json", "points.json", *posteriors),
        *("posteriors/validation.parquet", "recipe.json"),
    ]
    for name in ["manifest.json", *sealed.names]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    orders = ({"b": 1, "a": 2}, {"a": 2, "b": 1})
    assert len({write_json(tmp_path / "order.json", values) for values in orders}) == 1


def test_predictions_are_joined_by_example_id_and_missing_ones_are_named():
    part = Predictions(
        ids=("c", "a", "b"),
        labels_N=np.array([2, 0, 1]),
        logits_NK=np.array([[0, 0, 9], [9, 0, 0], [0, 9, 0]], np.float32),
    )
    joined = part.aligned(["b", "c"])
    assert joined.ids == ("b", "c")
    assert joined.labels_N.tolist() == [1, 2]
    assert joined.logits_NK.tolist() == [[0, 9, 0], [0, 0, 9]]
    assert part.aligned([]).logits_NK.shape == (0, 3), "of none there is nothing to say"
    with pytest.raises(EvidenceError, match=r"no logits for example 'd' \(2 missing of 3\)"):
        part.aligned(["a", "d", "e"])


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
@pytest.mark.parametrize("split", ["test", "validation", "test_sample", "trajectory"])
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
    with pytest.raises(EvidenceError, match=r"last of 3 points only.*Export the bundle with"):
        read_evidence(sealed, trajectory=True)


def with_a_nan_logit() -> Evidence:
    evidence = sample_evidence()
    evidence.points[1].predictions["train_sample"].logits_NK[0, 0] = np.nan
    return evidence


GOOD = sample_evidence()
UNUSABLE = {
    "accuracy at step 45 = nan": with_values(GOOD, accuracy=float("nan")),
    "nll at step 45 = inf": with_values(GOOD, nll=float("inf")),
    "logits of train_sample at step 25 = nan": with_a_nan_logit(),
    "cost seconds = inf": dataclasses.replace(GOOD, cost={"seconds": float("inf")}),
    "points at steps []": dataclasses.replace(GOOD, points=()),
    "points at steps [45, 25, 10]": dataclasses.replace(GOOD, points=GOOD.points[::-1]),
    "no logits at the last step, 10": dataclasses.replace(
        GOOD, points=(dataclasses.replace(GOOD.points[0], predictions={}),)
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
    with pytest.raises(EvidenceError, match="format 99; wanted format 2"):
        SealedFiles(lambda name: (tmp_path / name).read_bytes(), resealed, "run x")


def test_evidence_under_the_wrong_label_is_refused(tmp_path):
    sealed = written(tmp_path, sample_evidence(1))
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


def test_a_judged_claim_comes_back_with_its_paper(tmp_path):
    judged = sample_judged(holds="most")
    write_claim(tmp_path, judged)
    sealed = SealedFiles(lambda name: (tmp_path / name).read_bytes(), seal(tmp_path), "claim x")
    back = read_claim(sealed)
    assert back == judged
    assert back.family == ("one", "small")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"format": 3}, "one of format 3; wanted a judged claim of format 4"),
        ([], "one of format None"),
        ({"format": 4, "claim": {}}, "one that cannot be read: claim.id"),
    ],
)
def test_a_claim_of_another_version_is_refused(tmp_path, values, told):
    write_claim(tmp_path, sample_judged())
    write_json(tmp_path / "judged.json", values)
    sealed = SealedFiles(lambda name: (tmp_path / name).read_bytes(), seal(tmp_path), "claim x")
    with pytest.raises(EvidenceError, match=told):
        read_claim(sealed)


def test_selection_reads_validation_logits_and_opens_no_file_with_test_logits(tmp_path):
    evidence = sample_evidence(sample_recipe(7))
    write_evidence(tmp_path, evidence)
    opened = []

    def read(name):
        opened.append(name)
        return (tmp_path / name).read_bytes()

    sealed = SealedFiles(read, seal(tmp_path), "run x")
    found = read_validation(sealed)
    assert same_predictions(found, evidence.final.predictions["validation"])
    assert opened == ["manifest.json", "posteriors/validation.parquet"]


def test_logits_on_test_text_before_the_end_are_refused_but_for_a_sample():
    evidence = sample_evidence(sample_recipe(7))
    first, *rest = evidence.points
    whole = dict(first.predictions) | {"test": evidence.final.predictions["test"]}
    early = dataclasses.replace(first, predictions=whole)
    with pytest.raises(EvidenceError, match="logits on the test split at step"):
        check_evidence(dataclasses.replace(evidence, points=(early, *rest)))
    few = dataclasses.replace(evidence.recipe, curve_rows=1)
    with pytest.raises(EvidenceError, match="at most a sample of 1 rows"):
        check_evidence(dataclasses.replace(evidence, recipe=few))


def test_a_run_says_what_it_kept_of_the_test_split():
    evidence = sample_evidence(sample_recipe(7))
    sample = len(evidence.points[0].predictions["test_sample"].ids)
    looks = len(evidence.points) - 1
    rows = len(evidence.final.predictions["test"].ids)
    assert kept_of_test(evidence) == (
        f"{rows} rows at the end, a sample of {sample} at {looks} looks before"
    )
    alone = dataclasses.replace(evidence, points=evidence.points[-1:])
    assert kept_of_test(alone) == f"{rows} rows at the end"

    nothing = dataclasses.replace(evidence.points[-1], predictions={})
    assert kept_of_test(dataclasses.replace(evidence, points=(nothing,))) == "none"
    curve = (*evidence.points[:-1], nothing)
    assert kept_of_test(dataclasses.replace(evidence, points=curve)) == (
        f"a sample of {sample} at {looks} looks before"
    )


@pytest.mark.parametrize("look", range(len(STEPS) - 1))
def test_no_look_before_the_end_may_see_the_test_split(look):
    points = list(GOOD.points)
    whole = {**points[look].predictions, "test": GOOD.final.predictions["test"]}
    points[look] = dataclasses.replace(points[look], predictions=whole)
    with pytest.raises(EvidenceError) as caught:
        check_evidence(dataclasses.replace(GOOD, points=tuple(points)))
    assert caught.value.got == f"logits on the test split at step {STEPS[look]}, before the end"


def parts_of(act) -> tuple[str, str, str, str]:
    with pytest.raises(EvidenceError) as caught:
        act()
    return caught.value.who, caught.value.got, caught.value.wanted, caught.value.next_step


def resealed(folder: Path) -> SealedFiles:
    return SealedFiles(lambda name: (folder / name).read_bytes(), seal(folder), "run x")


def test_posteriors_that_are_none_are_told_by_run_and_file(tmp_path):
    write_evidence(tmp_path, GOOD)
    for name in ("trajectory", "validation"):
        (tmp_path / f"posteriors/{name}.parquet").write_bytes(b"none")
    found = read_evidence(resealed(tmp_path))
    who, *_ = parts_of(lambda: found.final.predictions["validation"])
    assert who == "run x, posteriors/validation.parquet"
    who, *_ = parts_of(lambda: read_evidence(resealed(tmp_path), trajectory=True))
    assert who == "run x, posteriors/trajectory.parquet"


def test_stored_points_that_do_not_rise_are_told_by_run(tmp_path):
    write_evidence(tmp_path, GOOD)
    values = json.loads((tmp_path / "points.json").read_text())
    values["points"].reverse()
    write_json(tmp_path / "points.json", values)
    assert parts_of(lambda: read_evidence(resealed(tmp_path))) == (
        "run x",
        "points at steps [45, 25, 10]",
        "at least one evaluation point, steps rising",
        "Record each point once.",
    )


def test_files_of_another_version_are_told_by_recipe_with_what_is_wrong(tmp_path):
    write_evidence(tmp_path, GOOD)
    write_json(tmp_path / "recipe.json", {"future": 1})
    digest = GOOD.recipe.digest
    who, got, wanted, step = parts_of(
        lambda: read_checked(resealed(tmp_path), digest, trajectory=False)
    )
    assert (who, wanted, step) == (
        f"evidence of recipe {digest[:8]}",
        "evidence of this version of kdcheck",
        "Read it with the version that wrote it, or train again into another store.",
    )
    assert got.startswith("files that cannot be read: ")
    assert "future" in got


def test_a_claim_is_stored_with_its_paper_and_section_in_a_line_each(tmp_path):
    write_claim(tmp_path / "bare", sample_judged())
    write_claim(tmp_path / "held", sample_judged(), {"paper": "one", "seeds": [0, 1]})
    assert sorted(path.name for path in (tmp_path / "bare").iterdir()) == [
        "judged.json",
        "paper.json",
    ]
    held = {path.name: path.read_text() for path in (tmp_path / "held").iterdir()}
    assert held["lock.json"] == '{"paper": "one", "seeds": [0, 1]}\n'
    assert held["paper.json"].count("\n") == 1
    assert held["judged.json"].count("\n") > 10


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("cost.json", {"seconds": "3"}, "seconds: '3'"),
        ("cost.json", {"seconds": True}, "seconds: 'True'"),
        ("environment.json", {"threads": 1}, "threads: '1'"),
        ("points.json", {"points": [], "notes": []}, "points: '[]'"),
    ],
)
def test_a_number_is_no_text_and_text_no_number_whatever_was_looked_at_before(name, values, said):
    kept = [{}, {"points": [{"step": 1, "epoch": 1.0, "values": {}, "weights_digest": ""}], "notes": []}]  # fmt: skip
    assert departure(FILES[name], kept[name == "points.json"]) == ""
    assert departure(FILES[name], values).startswith(f"{said} (")
