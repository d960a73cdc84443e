"""What an export asks of its source and leaves in its folder, and what a broken bundle is told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kdcheck.claims import reading
from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import Bundle, check_replaceable, export_bundle
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.files import digest_of, write_json
from tests.evidence_doubles import (
    PLAIN,
    SMOOTHED,
    TAUGHT,
    TEACHER,
    MemorySource,
    sample_judged,
    sample_recipe,
    sample_table,
)
from tests.test_evidence_files import same_predictions

ANOTHER_PLACE = "Name a folder that you may write to, on a disk with room."
STEP = "Give the folder that holds manifest.json, or export the bundle again."
ENDS = sample_judged("ends", contrast=reading("accuracy", PLAIN) - 0.5, seeds=(0,))
CURVES = sample_judged(
    "curves",
    contrast=reading("accuracy", SMOOTHED, split="test_sample", point="first") - 0.5,
    seeds=(0,),
)
AGREES = sample_judged("agrees", contrast=reading("teacher_agreement", TAUGHT) - 0.5, seeds=(0,))


@dataclass
class Asked(MemorySource):
    """Notes what it is asked for, and what lies in a folder meanwhile."""

    watched: Path | None = None
    gets: list[tuple[str, bool]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        self.gets.append((digest, trajectory))
        self.seen |= {path.name for path in self.watched.iterdir()} if self.watched else set()
        return super().get(digest, trajectory=trajectory)


def runs_of(*arms) -> list[str]:
    return sorted(sample_table(arms, (0,)).digests())


def parts(act) -> tuple[str, str, str, str]:
    with pytest.raises(EvidenceError) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


def test_runs_are_written_by_digest_with_the_curves_that_a_claim_reads(tmp_path) -> None:
    source = Asked([ENDS, CURVES])
    folder = export_bundle(source, tmp_path / "b")
    assert folder == tmp_path / "b"
    wanted = sorted(source.digests())
    curves = runs_of(SMOOTHED)
    assert source.gets == [(digest, digest in curves) for digest in wanted]
    manifest = json.loads((folder / "manifest.json").read_text())
    places = {digest: entry["folder"] for digest, entry in manifest["trainings"].items()}
    assert places == {digest: f"trainings/{digest[:16]}" for digest in wanted}
    kept = {
        d: (folder / place / "posteriors/trajectory.parquet").exists()
        for d, place in places.items()
    }
    assert kept == {digest: digest in curves for digest in wanted}
    assert [entry["folder"] for entry in manifest["claims"]] == ["claims/000", "claims/001"]
    assert (manifest["format"], manifest["locks"]) == (2, [])


@pytest.mark.parametrize("trajectory", [True, False])
def test_the_curves_of_all_runs_go_along_on_demand(tmp_path, trajectory: bool) -> None:
    source = Asked([ENDS])
    options = {"trajectory": True} if trajectory else {}
    folder = export_bundle(source, tmp_path / "b", **options)
    assert {whole for _, whole in source.gets} == {trajectory}
    found = list(folder.rglob("trajectory.parquet"))
    assert len(found) == len(runs_of(PLAIN)) * trajectory


def test_a_teacher_goes_along_with_the_students_that_are_compared_with_it(tmp_path) -> None:
    students, teachers = runs_of(TAUGHT), runs_of(TEACHER)
    bundle = Bundle(export_bundle(Asked([AGREES]), tmp_path / "b", students))
    assert bundle.digests() == {*students, *teachers}
    alone = Bundle(export_bundle(Asked([AGREES, ENDS]), tmp_path / "c", runs_of(PLAIN)))
    assert alone.digests() == set(runs_of(PLAIN))


@pytest.fixture
def umask() -> Iterator[None]:
    earlier = os.umask(0)
    yield
    os.umask(earlier)


@pytest.mark.usefixtures("umask")
def test_it_is_written_beside_its_place_under_a_hidden_name_and_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    source = Asked([ENDS], watched=tmp_path)
    export_bundle(source, tmp_path / "b")
    [name] = source.seen
    assert name.startswith(".kdcheck-")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755
    source.seen.clear()
    export_bundle(source, tmp_path / "b", runs_of(PLAIN)[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert len(source.seen) == 2
    assert Bundle(tmp_path / "b").digests() == set(runs_of(PLAIN)[:1])


def test_folders_above_the_bundle_are_made(tmp_path) -> None:
    folder = export_bundle(Asked([ENDS]), tmp_path / "a" / "b" / "c", [])
    assert Bundle(folder).claims() == ()


def test_a_place_that_cannot_be_written_is_told_with_another(tmp_path) -> None:
    (tmp_path / "file").write_text("dear")
    who, got, wanted, step = parts(lambda: export_bundle(Asked([ENDS]), tmp_path / "file" / "b"))
    assert (who, wanted, step) == (
        f"bundle {tmp_path / 'file' / 'b'}", "a bundle of kdcheck", ANOTHER_PLACE,
    )  # fmt: skip
    assert "file" in got


MANIFESTS = {
    "no JSON": (b"{", "a manifest.json that cannot be read ("),
    "a list": (b"[]", "a manifest.json without format 2"),
    "another format": (b'{"format": 3}', "a manifest.json without format 2"),
    "of a part": (
        b'{"format": 2, "files": {}}',
        "a manifest.json that lists no trainings, claims and locks: trainings: ",
    ),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_that_is_none_of_a_bundle_is_told_by_what_it_is(tmp_path, kind: str) -> None:
    content, told = MANIFESTS[kind]
    (tmp_path / "manifest.json").write_bytes(content)
    who, got, wanted, step = parts(lambda: Bundle(tmp_path))
    assert (who, wanted, step) == (f"bundle {tmp_path}", "a bundle of kdcheck", STEP)
    assert got.startswith(told)
    assert parts(lambda: check_replaceable(tmp_path)) == (
        f"bundle {tmp_path}",
        f"no bundle in its place ({got})",
        "a new folder, or an older bundle to replace",
        "Name another folder.",
    )


@pytest.fixture
def made(tmp_path) -> Path:
    lock = {"paper": "one"}
    judged = replace(ENDS, lock=digest_of(lock))
    return export_bundle(MemorySource([judged], locks={judged.lock: lock}), tmp_path / "b")


def change(folder: Path, edit) -> None:
    contents = json.loads((folder / "manifest.json").read_text())
    edit(contents)
    (folder / "manifest.json").write_text(json.dumps(contents))


OUT = (
    "names inside its folder",
    "Do not use this evidence: no version of kdcheck wrote that name.",
)


def test_a_name_that_leads_out_of_a_bundle_is_told_with_the_bundle(made) -> None:
    def edit(contents):
        contents["locks"] = ["../../x"]

    change(made, edit)
    assert parts(lambda: Bundle(made)) == (f"bundle {made}", "the name 'locks/../../x.json'", *OUT)


def test_what_a_bundle_lacks_is_told_with_the_way_to_it(made) -> None:
    again = "Export the bundle again from the store that has it."
    bundle, absent = Bundle(made), sample_recipe(9).digest
    got = f"no training {absent[:8]} among 2"
    for act in (lambda: bundle.get(absent), lambda: bundle.validation(absent)):
        assert parts(act) == (f"bundle {made}", got, "one that it holds", again)
    assert parts(lambda: bundle.lock("d" * 64)) == (
        f"bundle {made}", "no lock dddddddd", "the one that a claim names", again,
    )  # fmt: skip


def test_a_lock_that_cannot_be_read_or_is_another_is_told_by_its_file(made) -> None:
    [file] = (made / "locks").iterdir()
    bundle, digest = Bundle(made), file.stem
    assert bundle.lock(digest) == {"paper": "one"}
    write_json(file, {"paper": "other"})
    assert parts(lambda: bundle.lock(digest)) == (
        f"bundle {made}",
        f"a section {digest_of({'paper': 'other'})[:8]} of a lock",
        f"the section {digest[:8]}",
        "It was altered; judge again: pytest claims/.",
    )
    for damage in (lambda: file.write_text("{"), file.unlink):
        damage()
        who, got, wanted, step = parts(lambda: bundle.lock(digest))
        assert (who, wanted) == (f"bundle {made}", "the file as written")
        assert step == "Delete this run (kdcheck ui, or the folder of the bundle) and run again."
        assert got.startswith(f"locks/{digest}.json: ")


def test_a_part_that_is_no_plain_file_or_not_there_is_told_by_its_folder(made) -> None:
    [digest, *_] = sorted(Bundle(made).digests())
    place = f"trainings/{digest[:16]}"
    file = made / place / "recipe.json"
    file.unlink()
    who, got, _, _ = parts(lambda: Bundle(made).get(digest))
    assert (who, got) == (f"bundle {made}, {place}", "no file recipe.json")
    file.symlink_to("/dev/zero")
    who, got, wanted, step = parts(lambda: Bundle(made).get(digest))
    assert (who, wanted, step) == (f"bundle {made}, {place}", "plain files", STEP)
    assert "recipe.json" in got


@pytest.mark.parametrize("name", ["posteriors/validation.parquet", "recipe.json"])
def test_texts_of_a_bundle_have_a_limit_and_posteriors_a_larger_one(
    made, monkeypatch, name
) -> None:
    monkeypatch.setattr("kdcheck.evidence.bundle.MOST_TEXT", 10_000)
    monkeypatch.setattr("kdcheck.evidence.bundle.MOST_BYTES", 20_000)
    [digest, *_] = sorted(Bundle(made).digests())
    file = made / f"trainings/{digest[:16]}" / name
    file.write_bytes(b" " * 15_000)
    bundle = Bundle(made)
    read = bundle.validation if "posteriors" in name else bundle.get
    who, got, _, _ = parts(lambda: read(digest))
    assert who == f"bundle {made}, trainings/{digest[:16]}"
    assert ("sha256" in got) == ("posteriors" in name), "read and found altered, or not read"
    file.write_bytes(b" " * 25_000)
    _, got, _, _ = parts(lambda: read(digest))
    assert "has more than 0 MiB" in got


def test_validation_logits_of_a_run_are_read_alone(made) -> None:
    [digest, *_] = sorted(Bundle(made).digests())
    wanted = Bundle(made).get(digest).final.predictions["validation"]
    assert same_predictions(Bundle(made).validation(digest), wanted)
