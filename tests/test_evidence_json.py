"""The bytes of JSON and of a seal, and what a sealed folder is refused for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence.files import SealedFiles, digest_of, seal, write_json

VALUES = {"b": ["ü", 1.5], "a": None}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def parts(act) -> tuple[str, str, str, str]:
    with pytest.raises(EvidenceError) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


def test_json_is_written_with_sorted_keys_one_to_a_line_and_letters_as_they_are(tmp_path) -> None:
    path = tmp_path / "a" / "b" / "x.json"
    content = '{\n "a": null,\n "b": [\n  "ü",\n  1.5\n ]\n}\n'.encode()
    assert write_json(path, VALUES) == sha256(content)
    assert path.read_bytes() == content
    assert write_json(path, VALUES, indent=None) == sha256(path.read_bytes())
    assert path.read_bytes() == '{"a": null, "b": ["ü", 1.5]}\n'.encode()


def test_a_digest_of_values_is_that_of_their_shortest_json() -> None:
    assert digest_of(VALUES) == sha256(b'{"a":null,"b":["\\u00fc",1.5]}')
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_a_number_that_json_does_not_have_is_not_written(tmp_path) -> None:
    for act in (digest_of, lambda values: write_json(tmp_path / "x.json", values)):
        with pytest.raises(ValueError, match="not JSON compliant"):
            act({"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_seal_has_the_sum_of_every_file_but_its_own(tmp_path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "y").write_bytes(b"2")
    first = seal(tmp_path)
    assert seal(tmp_path) == first == sha256((tmp_path / "manifest.json").read_bytes())
    assert json.loads((tmp_path / "manifest.json").read_text()) == {
        "format": 2,
        "files": {"a/x": sha256(b"1"), "y": sha256(b"2")},
    }


def opened(folder: Path, manifest: object) -> SealedFiles:
    sealed = write_json(folder / "manifest.json", manifest)
    return SealedFiles(lambda name: (folder / name).read_bytes(), sealed, "run x")


@pytest.mark.parametrize(
    ("manifest", "found"),
    [([], None), ("format", None), ({"files": {}}, None), ({"format": "2"}, "2")],
)
def test_what_has_another_format_or_none_is_told_with_it(tmp_path, manifest, found) -> None:
    assert parts(lambda: opened(tmp_path, manifest)) == (
        "run x",
        f"evidence of format {found!r}",
        "format 2",
        "Read it with the version of kdcheck that wrote it.",
    )


def test_a_manifest_that_names_a_file_outside_is_told_with_its_run(tmp_path) -> None:
    assert parts(lambda: opened(tmp_path, {"format": 2, "files": {"../x": ""}})) == (
        "run x",
        "the name '../x'",
        "names inside its folder",
        "Do not use this evidence: no version of kdcheck wrote that name.",
    )


def test_a_file_that_was_altered_is_told_with_the_starts_of_both_sums(tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"as it was")
    sealed = seal(tmp_path)
    files = SealedFiles(lambda name: (tmp_path / name).read_bytes(), sealed, "run x")
    assert (files.names, files.read("x")) == (["x"], b"as it was")
    (tmp_path / "x").write_bytes(b"altered")
    assert parts(lambda: files.read("x")) == (
        "run x",
        f"x with sha256 {sha256(b'altered')[:12]} (7 bytes)",
        f"sha256 {sha256(b'as it was')[:12]}, as it was written",
        "Delete this run (kdcheck ui, or the folder of the bundle) and run again.",
    )


@pytest.mark.parametrize("error", [FileNotFoundError, NotADirectoryError, KeyError])
def test_a_file_that_is_not_there_is_told_wherever_it_is_kept(error: type[Exception]) -> None:
    manifest = json.dumps({"format": 2, "files": {"x": "0"}}).encode()

    def read(name: str) -> bytes:
        if name == "manifest.json":
            return manifest
        raise error(name)

    files = SealedFiles(read, sha256(manifest), "run x")
    assert parts(lambda: files.read("x"))[1:3] == ("no file x", "the file as it was written")
