"""The verb: where it reads, what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kdcheck.study.record import FILE, Judged

from kdcheck.cli import main
from kdcheck.evidence import bundle
from kdcheck.evidence.source import ClaimRecord
from kdcheck.report import build, to_json
from tests import report_doubles as doubles


class Opened:
    """A made-up source that holds judged claims too."""

    def __init__(self, source: doubles.MadeUp, judged: list[Judged]) -> None:
        self.digests, self.get = source.digests, source.get
        self.held = {(each.claim.id, each.scale): each for each in judged}

    def claims(self) -> tuple[ClaimRecord, ...]:
        return tuple(
            ClaimRecord(claim_id=name, scale=scale, evidence=(), note="")
            for name, scale in self.held
        )

    def claim_file(self, record: ClaimRecord, name: str) -> bytes:
        assert name == FILE
        return json.dumps(self.held[record.claim_id, record.scale].to_dict()).encode()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    judged, source = doubles.study(seeds=3)
    mini = [replace(each, scale="mini") for each in judged[:1]]
    found = Opened(source, judged + mini)
    monkeypatch.setattr(bundle, "Bundle", lambda _: found)
    return found


def report(*arguments: object) -> int:
    return main(["report", "--bundle", "somewhere", *map(str, arguments)])


def test_four_files_of_one_scale_are_written_and_named(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert report("--scale", "embedded", "--output", page) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(page.with_suffix(suffix)) for suffix in (".html", ".md", ".json", ".svg")
    ]
    claims = [each for (_, scale), each in opened.held.items() if scale == "embedded"]
    expected = to_json(build(claims, opened))  # type: ignore[arg-type]
    assert page.with_suffix(".json").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "embedded, mini"),
        (["--scale", "paper"], "no judged claim"),
        (["--scale", "mini", "--output", "page.pdf"], ".html"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_line_and_nothing_is_written(
    opened: Opened,
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
