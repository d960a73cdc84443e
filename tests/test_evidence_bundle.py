"""Bundles: small, the same bytes each time, readable elsewhere, and whole or not there at all."""

import json
import shutil

import pytest
from kdcheck.study.record import store_claim
from kdcheck.study.samples import SampleStore, sample_judged

from kdcheck.cli import main, verify
from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import Bundle, export_bundle
from kdcheck.evidence.files import write_json
from kdcheck.evidence.samples import sample_evidence, sample_recipe
from kdcheck.evidence.source import ClaimRecord

DIGESTS = [sample_recipe(seed).digest for seed in range(3)]


def claim(name: str, *seeds: int) -> ClaimRecord:
    return ClaimRecord(
        claim_id=name,
        scale="embedded",
        evidence=tuple(DIGESTS[seed] for seed in seeds),
        note=f"# {name}",
        tags={"verdict": "SUPPORTED"},
        metrics={"effect": 0.5},
        params={"margin": "0.05"},
        files=("table.csv",),
    )


class InMemory:
    """A source without MLflow and without files."""

    def __init__(self, *, broken: int | None = None):
        self.broken = broken

    def digests(self):
        return set(DIGESTS)

    def get(self, digest, *, trajectory=False):
        seed = DIGESTS.index(digest)
        if seed == self.broken:
            raise EvidenceError("source", "a broken run", "an intact one", "Mend it.")
        return sample_evidence(seed)

    def metrics(self, digests):
        return {digest: {} for digest in digests}

    def claims(self):
        return (claim("b", 0), claim("a", 0, 1))

    def claim_file(self, record, name):
        return f"{record.claim_id},{name}".encode()


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_a_bundle_gives_what_its_source_gave_also_after_it_was_moved(tmp_path):
    export_bundle(InMemory(), tmp_path / "made")
    shutil.move(tmp_path / "made", tmp_path / "moved")
    bundle = Bundle(tmp_path / "moved")
    assert bundle.digests() == set(DIGESTS)
    for seed, digest in enumerate(DIGESTS):
        back, wanted = bundle.get(digest), sample_evidence(seed)
        assert back.recipe == wanted.recipe
        assert back.final.values == wanted.final.values
        logits = back.final.predictions["test"].logits_NK
        assert (logits == wanted.final.predictions["test"].logits_NK).all()
    assert bundle.claims() == (claim("a", 0, 1), claim("b", 0))
    assert bundle.claim_file(claim("b", 0), "table.csv") == b"b,table.csv"
    assert bundle.metrics(DIGESTS[:1])[DIGESTS[0]]["total/seconds"] == 1.5


def test_two_exports_are_equal_byte_for_byte_and_name_no_place(tmp_path):
    first = tree(export_bundle(InMemory(), tmp_path / "first"))
    second = tree(export_bundle(InMemory(), tmp_path / "second"))
    assert first == second
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content]


def test_the_trajectory_is_kept_on_demand_alone(tmp_path):
    export_bundle(InMemory(), tmp_path / "small")
    export_bundle(InMemory(), tmp_path / "large", trajectory=True)
    whole = Bundle(tmp_path / "large").get(DIGESTS[0], trajectory=True)
    assert [len(point.predictions) for point in whole.points] == [2, 2]
    with pytest.raises(EvidenceError, match="with the trajectory"):
        Bundle(tmp_path / "small").get(DIGESTS[0], trajectory=True)


def test_a_claim_goes_along_only_with_all_its_evidence(tmp_path):
    bundle = Bundle(export_bundle(InMemory(), tmp_path / "one", DIGESTS[:1]))
    assert bundle.digests() == {DIGESTS[0]}
    assert [record.claim_id for record in bundle.claims()] == ["b"]


def test_a_failed_export_leaves_the_older_bundle_and_nothing_else(tmp_path):
    export_bundle(InMemory(), tmp_path / "bundle")
    before = tree(tmp_path)
    with pytest.raises(EvidenceError, match="Mend it"):
        export_bundle(InMemory(broken=2), tmp_path / "bundle")
    assert tree(tmp_path) == before


def test_an_older_bundle_is_replaced_but_other_files_are_not(tmp_path):
    export_bundle(InMemory(), tmp_path / "bundle")
    export_bundle(InMemory(), tmp_path / "bundle", DIGESTS[:1])
    assert Bundle(tmp_path / "bundle").digests() == {DIGESTS[0]}
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("dear")
    with pytest.raises(EvidenceError, match=r"no manifest\.json in it.*Name another folder"):
        export_bundle(InMemory(), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "dear"


@pytest.mark.parametrize(
    "manifest", ['{"name": "my extension", "version": "1"}', '{"format": 1, "files": {}}', "dear"]
)
def test_a_folder_whose_manifest_is_not_that_of_a_bundle_is_not_replaced(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "code.js").write_text("dear")
    before = tree(tmp_path)
    with pytest.raises(EvidenceError, match=r"got no bundle in its place.*Name another folder"):
        export_bundle(InMemory(), tmp_path)
    assert tree(tmp_path) == before


def test_a_bundle_with_files_of_somebody_else_beside_it_is_not_replaced(tmp_path):
    export_bundle(InMemory(), tmp_path / "bundle")
    (tmp_path / "bundle" / "thesis.tex").write_text("dear")
    with pytest.raises(EvidenceError, match=r"other files beside the bundle \(thesis\.tex\)"):
        export_bundle(InMemory(), tmp_path / "bundle")
    assert (tmp_path / "bundle" / "thesis.tex").read_text() == "dear"


def test_a_file_is_neither_a_bundle_nor_replaced_by_one(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("dear")
    with pytest.raises(EvidenceError, match=r"got no bundle in its place.*Name another folder"):
        export_bundle(InMemory(), file)
    assert file.read_text() == "dear"


@pytest.fixture
def judged_store(monkeypatch):
    """A store with a claim at the scale `invented`, opened by every verb."""
    store = SampleStore()
    store_claim(sample_judged(), store)
    monkeypatch.setattr(verify, "source_of", lambda *_: store)
    return store


@pytest.mark.parametrize(
    ("claims", "facts"),
    [
        (True, ("no judged claim at scale 'mini'", "one of invented", "Correct --scale")),
        (False, ("no judged claim in the store", "Run pytest claims/ first")),
    ],
)
def test_an_export_that_selects_nothing_names_the_scales_and_replaces_nothing(
    tmp_path, judged_store, monkeypatch, capsys, claims, facts
):
    command = ["export", str(tmp_path / "bundle")]
    export_bundle(InMemory(), tmp_path / "bundle")
    before = tree(tmp_path)
    if not claims:
        monkeypatch.setattr(judged_store, "claims", tuple)
    assert main([*command, "--scale", "mini"]) == 2
    printed = capsys.readouterr().err
    assert all(fact in printed for fact in facts), printed
    assert tree(tmp_path) == before
    if claims:
        assert main([*command, "--scale", "invented"]) == 0
        assert Bundle(tmp_path / "bundle").digests() == set(sample_judged().digests())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="a folder that you may write to"):
        export_bundle(InMemory(), tmp_path / "file" / "bundle")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"format": 2}', "not json", "\xff", '{"format": 1, "files": {}}'),
        '{"format": 1, "trainings": [], "claims": []}',
    ],
)
def test_a_folder_that_is_no_bundle_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(EvidenceError, match=r"wanted a bundle of kdcheck\. Give the folder"):
        Bundle(tmp_path)


def test_a_changed_verdict_in_a_bundle_is_found(tmp_path):
    export_bundle(InMemory(), tmp_path / "bundle")
    record = tmp_path / "bundle/claims/000/claim.json"
    record.write_text(record.read_text().replace("SUPPORTED", "REFUTED"))
    with pytest.raises(EvidenceError, match=r"claims/000.*claim\.json with sha256"):
        Bundle(tmp_path / "bundle").claims()


def test_what_a_bundle_does_not_hold_is_named(tmp_path):
    bundle = Bundle(export_bundle(InMemory(), tmp_path / "one", DIGESTS[:1]))
    with pytest.raises(EvidenceError, match=f"no training {DIGESTS[1][:8]} among 1"):
        bundle.get(DIGESTS[1])
    with pytest.raises(EvidenceError, match="no claim c at scale embedded"):
        bundle.claim_file(claim("c"), "table.csv")


OUTSIDE = ["../../escape", "/escape", "..\\escape", "C:escape", ""]


@pytest.mark.parametrize("folder", OUTSIDE)
@pytest.mark.parametrize("kind", ["trainings", "claims"])
def test_a_received_bundle_that_names_a_folder_outside_itself_is_refused(tmp_path, kind, folder):
    manifest = export_bundle(InMemory(), tmp_path / "bundle") / "manifest.json"
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
    manifest = export_bundle(InMemory(), tmp_path / "received") / "manifest.json"
    claim_folder = tmp_path / "received/claims/000"
    sealed = json.loads((claim_folder / "manifest.json").read_text())
    sealed["files"][name] = sealed["files"]["table.csv"]
    contents = json.loads(manifest.read_text())
    contents["claims"][0]["manifest"] = write_json(claim_folder / "manifest.json", sealed)
    manifest.write_text(json.dumps(contents))
    (tmp_path / "received/escape").write_bytes((claim_folder / "table.csv").read_bytes())
    before = tree(tmp_path)
    with pytest.raises(EvidenceError, match=r"claims/000: got the name.*Do not use this evidence"):
        export_bundle(Bundle(tmp_path / "received"), tmp_path / "copy")
    assert tree(tmp_path) == before
