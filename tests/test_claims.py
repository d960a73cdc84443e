"""Declaring claims, and the claims of this repository themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from kdcheck.claims import claim, claim_of, nats
from kdcheck.errors import ClaimError

FOLDER = Path(__file__).parent.parent / "claims"
GOOD = {
    "says": "S.",
    "where": "Table 2",
    "holds": "on every task",
    "margin": nats(0.1),
    "because": "b",
}


def declared():
    """Every claim of the repository with its test."""
    for path in sorted(FOLDER.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"claims_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            if claim_of(value):
                yield path.name, name, claim_of(value)


CLAIMS = list(declared())


def test_a_test_that_is_declared_stays_the_test_it_was():
    def test_it(study):
        return study

    assert claim("c", **GOOD)(test_it) is test_it
    assert claim_of(test_it).margin == nats(0.1)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"holds": "always"}, "on most tasks"),
        ({"direction": "sideways"}, "not_below"),
        ({"because": " "}, "a margin chosen after the fact"),
        ({"where": ""}, "its place"),
        ({"margin": 0.05}, r"Write nats\(0.05\), points\(0.05\)"),
    ],
)
def test_a_claim_that_says_too_little_is_refused(change, fact):
    with pytest.raises(ClaimError, match=fact):
        claim("c", **GOOD | change)


def test_ids_are_unique_and_name_their_tests():
    ids = [each.id for _, _, each in CLAIMS]
    assert len(set(ids)) == len(ids)
    assert [f"test_{each.id}" for _, _, each in CLAIMS] == [name for _, name, _ in CLAIMS]


@pytest.mark.parametrize(("file", "name", "each"), CLAIMS, ids=[name for _, name, _ in CLAIMS])
def test_a_claim_is_a_sentence_with_a_place_in_the_paper(file, name, each):
    assert each.says.endswith(".")
    assert any(word in each.where for word in ("section", "appendix", "abstract", "closed form"))
    assert each.because
