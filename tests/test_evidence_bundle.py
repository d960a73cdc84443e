"""Bundles: small, the same bytes each time, readable elsewhere, and whole or not there at all."""

import json
import shutil
from dataclasses import replace

import pytest

from kdcheck.claims import apply, reading
from kdcheck.cli import main
from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import Bundle, curves_read, export_bundle
from kdcheck.evidence.files import digest_of, write_json
from tests.evidence_doubles import (
    OTHER,
    PLAIN,
    SMOOTHED,
    TAUGHT,
    TEACHER,
    MemorySource,
    recipes_of,
    sample_evidence,
    sample_judged,
    sample_table,
)

ENDS = sample_judged("b", contrast=reading("accuracy", PLAIN) - 0.5)
CURVES = sample_judged(
    "a",
    contrast=apply(
        "least", reading("mean_entropy_nats", SMOOTHED, split="test_sample", point="every")
    )
    - reading("mean_entropy_nats", PLAIN, split="train_sample"),
)
SOURCE = MemorySource((ENDS, CURVES))
OF_ENDS = sorted(ENDS.table.digests())


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_a_bundle_gives_what_its_source_gave_also_after_it_was_moved(tmp_path):
    export_bundle(SOURCE, tmp_path / "made")
    shutil.move(tmp_path / "made", tmp_path / "moved")
    bundle = Bundle(tmp_path / "moved")
    assert len(bundle.digests()) == 12
    assert bundle.digests() == {*OF_ENDS, *CURVES.table.digests()}
    for digest, recipe in SOURCE.recipes.items():
        back, wanted = bundle.get(digest), sample_evidence(recipe)
        assert back.recipe == recipe
        assert [p.values for p in back.points] == [p.values for p in wanted.points]
        for split, predictions in wanted.final.predictions.items():
            assert (back.final.predictions[split].logits_NK == predictions.logits_NK).all()
    assert bundle.claims() == (CURVES, ENDS), "by id"


def test_claims_are_chosen_by_paper_and_scale_and_never_merged(tmp_path):
    judged = [
        sample_judged("c", paper=OTHER, scale="small"),
        sample_judged("c", scale="small"),
        sample_judged("c", scale="mini"),
        sample_judged("a", scale="small"),
    ]
    bundle = Bundle(export_bundle(MemorySource(judged), tmp_path / "bundle"))
    names = [(*each.family, each.claim.id) for each in bundle.claims()]
    assert names == [
        *(("one", "mini", "c"), ("one", "small", "a"), ("one", "small", "c")),
        ("other", "small", "c"),
    ]
    assert bundle.claims(scale="mini") == (judged[2],)
    assert bundle.claims(paper="other") == (judged[0],)
    assert bundle.claims(paper="other", scale="mini") == ()


def test_two_exports_are_equal_byte_for_byte_and_name_no_place(tmp_path):
    first = tree(export_bundle(SOURCE, tmp_path / "first"))
    second = tree(export_bundle(SOURCE, tmp_path / "second"))
    assert first == second
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content]


def test_the_trajectory_goes_along_for_the_runs_whose_curves_a_claim_reads_alone(tmp_path):
    smoothed = set(sample_table([SMOOTHED]).digests())
    assert curves_read(SOURCE.claims()) == smoothed
    bundle = Bundle(export_bundle(SOURCE, tmp_path / "bundle"))
    for digest in bundle.digests() & smoothed:
        whole = bundle.get(digest, trajectory=True)
        wanted = sample_evidence(SOURCE.recipes[digest])
        for point, told in zip(whole.points, wanted.points, strict=True):
            sample, expected = (each.predictions["train_sample"] for each in (point, told))
            assert sample.ids == expected.ids
            assert (sample.logits_NK == expected.logits_NK).all()
    for digest in bundle.digests() - smoothed:
        with pytest.raises(EvidenceError, match="with the trajectory"):
            bundle.get(digest, trajectory=True)


def test_a_claim_goes_along_only_with_all_its_evidence(tmp_path):
    bundle = Bundle(export_bundle(SOURCE, tmp_path / "one", OF_ENDS))
    assert bundle.digests() == set(OF_ENDS)
    assert bundle.claims() == (ENDS,)
    assert Bundle(export_bundle(SOURCE, tmp_path / "none", OF_ENDS[1:])).claims() == ()


@pytest.mark.parametrize(
    ("metric", "teachers"), [("teacher_agreement", 6), ("kl_from_teacher_nats", 6), ("accuracy", 0)]
)
def test_a_teacher_goes_along_where_a_claim_compares_its_students_with_it(
    tmp_path, metric, teachers
):
    judged = sample_judged(contrast=reading(metric, TAUGHT) - 0.5)
    students = set(judged.table.digests())
    bundle = Bundle(export_bundle(MemorySource((judged,)), tmp_path / "bundle", students))
    taught = sample_table([TEACHER]).digests()
    assert bundle.digests() == students | set(taught if teachers else ())
    assert len(bundle.digests()) == 6 + teachers
    for digest in bundle.digests() - students:
        train = sample_evidence(recipes_of(judged)[digest]).final.predictions["train"]
        assert (bundle.get(digest).final.predictions["train"].logits_NK == train.logits_NK).all()


def test_a_failed_export_leaves_the_older_bundle_and_nothing_else(tmp_path):
    export_bundle(SOURCE, tmp_path / "bundle")
    before = tree(tmp_path)
    with pytest.raises(EvidenceError, match="a broken run"):
        export_bundle(replace(SOURCE, broken=OF_ENDS[-1]), tmp_path / "bundle")
    assert tree(tmp_path) == before


def test_an_older_bundle_is_replaced_but_other_files_are_not(tmp_path):
    export_bundle(SOURCE, tmp_path / "bundle")
    export_bundle(SOURCE, tmp_path / "bundle", OF_ENDS)
    assert Bundle(tmp_path / "bundle").digests() == set(OF_ENDS)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("dear")
    with pytest.raises(EvidenceError, match=r"no manifest\.json in it.*Name another folder"):
        export_bundle(SOURCE, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "dear"


@pytest.mark.parametrize(
    "manifest", ['{"name": "my extension", "version": "1"}', '{"format": 2, "files": {}}', "dear"]
)
def test_a_folder_whose_manifest_is_not_that_of_a_bundle_is_not_replaced(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "code.js").write_text("dear")
    before = tree(tmp_path)
    with pytest.raises(EvidenceError, match=r"got no bundle in its place.*Name another folder"):
        export_bundle(SOURCE, tmp_path)
    assert tree(tmp_path) == before


def test_a_bundle_with_files_of_somebody_else_beside_it_is_not_replaced(tmp_path):
    export_bundle(SOURCE, tmp_path / "bundle")
    (tmp_path / "bundle" / "thesis.tex").write_text("dear")
    with pytest.raises(EvidenceError, match=r"other files beside the bundle \(thesis\.tex\)"):
        export_bundle(SOURCE, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "thesis.tex").read_text() == "dear"


def test_a_file_is_neither_a_bundle_nor_replaced_by_one(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("dear")
    with pytest.raises(EvidenceError, match=r"got no bundle in its place.*Name another folder"):
        export_bundle(SOURCE, file)
    assert file.read_text() == "dear"


@pytest.mark.parametrize(
    ("claims", "facts"),
    [
        (
            (ENDS,),
            ("no judged claim at scale 'mini'", "one of one at scale small", "Correct the option"),
        ),
        ((), ("no judged claim in the store", "Run pytest claims/ first")),
    ],
)
def test_an_export_that_selects_nothing_names_the_scales_and_replaces_nothing(
    tmp_path, monkeypatch, capsys, claims, facts
):
    monkeypatch.setattr("kdcheck.cli.export.source_of", lambda *_: replace(SOURCE, judged=claims))
    command = ["export", str(tmp_path / "bundle")]
    export_bundle(SOURCE, tmp_path / "bundle")
    before = tree(tmp_path)
    assert main([*command, "--scale", "mini"]) == 2
    printed = capsys.readouterr().err
    assert all(fact in printed for fact in facts), printed
    assert tree(tmp_path) == before
    if claims:
        assert main([*command, "--scale", "small"]) == 0
        assert Bundle(tmp_path / "bundle").digests() == set(OF_ENDS)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="a folder that you may write to"):
        export_bundle(SOURCE, tmp_path / "file" / "bundle")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"format": 1}', "not json", "\xff", '{"format": 2, "files": {}}'),
        '{"format": 2, "trainings": [], "claims": []}',
    ],
)
def test_a_folder_that_is_no_bundle_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(EvidenceError, match=r"wanted a bundle of kdcheck\. Give the folder"):
        Bundle(tmp_path)


@pytest.mark.parametrize("name", ["judged.json", "paper.json"])
def test_a_changed_claim_in_a_bundle_is_found(tmp_path, name):
    export_bundle(SOURCE, tmp_path / "bundle")
    stored = tmp_path / "bundle/claims/000" / name
    stored.write_text(stored.read_text().replace("o", "0"))
    with pytest.raises(EvidenceError, match=rf"claims/000.*{name} with sha256"):
        Bundle(tmp_path / "bundle").claims()


LOCK = {"paper": "one", "claims": {"a": {}}}
HELD = [replace(ENDS, lock=digest_of(LOCK)), replace(CURVES, lock=digest_of(LOCK))]


def test_claims_that_share_a_section_of_a_lock_take_it_along_once(tmp_path):
    [held, _], locks = HELD, {HELD[0].lock: LOCK, "d1": {"of": "others"}}
    export_bundle(MemorySource([*HELD, sample_judged("c")], locks=locks), tmp_path / "b")
    bundle = Bundle(tmp_path / "b")
    assert bundle.lock(held.lock) == LOCK
    assert {each.lock for each in bundle.claims()} == {held.lock, ""}
    assert [path.name for path in (tmp_path / "b" / "locks").iterdir()] == [f"{held.lock}.json"]
    with pytest.raises(EvidenceError, match="no lock d1"):
        bundle.lock("d1")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps(LOCK | {"claims": {"a": {"margin": 0}}}), "a section .* of a lock; wanted the"),
        ("{", "locks/.*json: "),
    ],
)
def test_a_section_that_was_altered_in_a_bundle_is_refused(tmp_path, content, told):
    digest = HELD[0].lock
    export_bundle(MemorySource(HELD, locks={digest: LOCK}), tmp_path / "b")
    (tmp_path / "b" / "locks" / f"{digest}.json").write_text(content)
    with pytest.raises(EvidenceError, match=told):
        Bundle(tmp_path / "b").lock(digest)


def test_what_a_bundle_does_not_hold_is_named(tmp_path):
    bundle = Bundle(export_bundle(SOURCE, tmp_path / "one", OF_ENDS))
    missing = CURVES.table.digest(SMOOTHED, "dozens", 2)
    with pytest.raises(EvidenceError, match=f"no training {missing[:8]} among 6"):
        bundle.get(missing)


OUTSIDE = ["../../escape", "/escape", "..\\escape", "C:escape", ""]


@pytest.mark.parametrize("folder", OUTSIDE)
@pytest.mark.parametrize("kind", ["trainings", "claims"])
def test_a_received_bundle_that_names_a_folder_outside_itself_is_refused(tmp_path, kind, folder):
    manifest = export_bundle(SOURCE, tmp_path / "bundle") / "manifest.json"
    contents = json.loads(manifest.read_text())
    entries = contents[kind]
    next(iter(entries.values() if kind == "trainings" else entries))["folder"] = folder
    manifest.write_text(json.dumps(contents))
    with pytest.raises(EvidenceError, match="wanted names inside its folder"):
        Bundle(tmp_path / "bundle")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_received_claim_with_a_file_outside_its_folder_is_refused_and_nothing_is_written(
    tmp_path, name
):
    manifest = export_bundle(SOURCE, tmp_path / "received") / "manifest.json"
    claim_folder = tmp_path / "received/claims/000"
    sealed = json.loads((claim_folder / "manifest.json").read_text())
    sealed["files"][name] = sealed["files"]["paper.json"]
    contents = json.loads(manifest.read_text())
    contents["claims"][0]["manifest"] = write_json(claim_folder / "manifest.json", sealed)
    manifest.write_text(json.dumps(contents))
    (tmp_path / "received/escape").write_bytes((claim_folder / "paper.json").read_bytes())
    before = tree(tmp_path)
    with pytest.raises(EvidenceError, match=r"claims/000: got the name.*Do not use this evidence"):
        export_bundle(Bundle(tmp_path / "received"), tmp_path / "copy")
    assert tree(tmp_path) == before
