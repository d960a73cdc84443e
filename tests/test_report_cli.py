"""The verb: where it reads, what it writes, and what it says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdcheck.cli import main
from kdcheck.evidence import bundle
from kdcheck.evidence.judged import Judged, selected
from kdcheck.report import build, to_json
from kdcheck.study import recheck
from tests import report_doubles as doubles


@pytest.fixture
def pocket(monkeypatch: pytest.MonkeyPatch) -> list[Judged]:
    """Claims of one family, in a bundle that holds others of another scale and of another paper."""
    claims = doubles.study()
    mini = doubles.study(doubles.CLAIMS[:1], scale="mini")
    rose = replace(doubles.SURER, id="rose", paper=replace(doubles.PAPER, name="rose"))
    held = [*claims, *mini, *doubles.study([rose])]
    source = doubles.source()
    monkeypatch.setattr(
        source,
        "claims",
        lambda paper=None, scale=None: selected(held, paper, scale),
        raising=False,
    )
    monkeypatch.setattr(bundle, "Bundle", lambda _: source)
    # It is of no study; bundles that are judged again are in test_tampering.py.
    monkeypatch.setattr(recheck, "verify", lambda _: ())
    return claims


def report(*arguments: object) -> int:
    return main(["report", "--bundle", "somewhere", *map(str, arguments)])


def test_the_files_of_one_paper_and_scale_are_written_and_named(
    pocket: list[Judged], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert report("--paper", "tulip", "--scale", "pocket", "--output", page) == 0
    four = [page.with_suffix(suffix) for suffix in (".html", ".md", ".json", ".svg")]
    tables = sorted((tmp_path / "page-tables").iterdir())
    assert {path.suffix for path in tables} >= {".html", ".md", ".csv"}
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(map(str, four + tables))
    expected = to_json(build(pocket, doubles.source()))
    assert page.with_suffix(".json").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "claims of rose at pocket, tulip at mini, tulip at pocket"),
        (["--scale", "pocket"], "claims of rose at pocket, tulip at pocket"),
        (["--paper", "tulip"], "claims of tulip at mini, tulip at pocket"),
        (["--scale", "grand"], "no judged claim"),
        (["--scale", "mini", "--output", "page.pdf"], ".html"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_line_and_nothing_is_written(
    pocket: list[Judged],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[Any],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("kdcheck report: ")
    assert told in error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_store_is_said_with_a_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--store", str(tmp_path / "none")]) == 2
    assert "pytest claims/" in capsys.readouterr().err


def test_a_store_and_a_bundle_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report("--store", "elsewhere")
    assert "not allowed with" in capsys.readouterr().err
