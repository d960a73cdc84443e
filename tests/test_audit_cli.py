"""The command: formats, exit codes, and the document that it writes."""

import json
from pathlib import Path

import pytest

from kdcheck.cli import main
from kdcheck.paper import audit as package
from kdcheck.paper import load_tables, run_audit
from kdcheck.paper.audit import FAILS, OUTCOMES, SUSPICIOUS
from tests.test_imports import loaded_after

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "audit.md"


@pytest.fixture
def printed(capsys):
    """What a call prints, with its exit code."""

    def call(*arguments):
        code = main(["audit", *arguments])
        return code, capsys.readouterr().out

    return call


def test_findings_are_not_errors(printed):
    code, text = printed()
    assert code == 0
    assert "FAILS" in text


def test_strict_fails_when_a_statement_does(printed):
    assert printed("--strict")[0] == 1


def test_strict_passes_when_no_statement_fails(printed, monkeypatch):
    findings = tuple(f for f in run_audit() if f.outcome != FAILS)
    monkeypatch.setattr(package, "run_audit", lambda: findings)
    assert any(f.outcome == SUSPICIOUS for f in findings)
    assert printed("--strict")[0] == 0


def test_the_terminal_table_keeps_to_100_columns_and_lists_each_statement_once(printed):
    _, text = printed()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    for finding in run_audit():
        start = f"{finding.outcome:17}  {finding.id} "
        assert sum(f"{line} ".startswith(start) for line in lines) == 1, finding.id


def test_flagged_findings_print_every_cell_and_comparison(printed):
    text = " ".join(printed()[1].split())
    for finding in run_audit():
        if finding.outcome in {FAILS, SUSPICIOUS}:
            # Long lines are folded, sometimes at the hyphen of a name.
            squeezed = text.replace(" ", "")
            wanted = [*map(str, finding.cells), *finding.details, finding.by_how_much]
            assert all(part.replace(" ", "") in squeezed for part in wanted), finding.id


def test_json_holds_every_field_of_every_finding(printed):
    code, text = printed("--format", "json")
    content = json.loads(text)
    assert code == 0
    assert set(content) == {"counts", "findings", "open_settings"}
    assert set(content["counts"]) == set(OUTCOMES)
    assert sum(content["counts"].values()) == len(content["findings"]) == len(run_audit())
    for finding in content["findings"]:
        assert set(finding) == {
            *("id", "claim", "where", "kind", "outcome", "by_how_much", "margin", "unit"),
            *("cells", "details"),
        }
    cells = {key for finding in content["findings"] for cell in finding["cells"] for key in cell}
    assert cells == {"table", "row", "column", "value", "half_width", "unit"}
    assert {"name", "question", "default", "reason"} == set(content["open_settings"][0])


def test_the_document_is_what_the_command_writes(tmp_path, printed):
    target = tmp_path / "audit.md"
    code, text = printed("--format", "markdown", "--output", str(target))
    assert (code, text) == (0, "")
    written = target.read_text(encoding="utf-8")
    assert written == DOCUMENT.read_text(encoding="utf-8"), (
        "write it anew: kdcheck audit --format markdown --output docs/audit.md"
    )


def test_a_wrong_figure_would_change_the_document():
    altered = run_audit(load_tables().changed(2, "ls", "mnli", 1.07))
    text = package.rendering.as_markdown(altered)
    assert text + "\n" != DOCUMENT.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_one_line_with_a_next_step(tmp_path, capsys):
    assert main(["audit", "--output", str(tmp_path / "no" / "audit.md")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    for fact in ("--output", "audit.md", "No such file", "Create its folder"):
        assert fact in message


def test_the_audit_needs_neither_torch_nor_scipy():
    loaded = loaded_after("from kdcheck.cli import main; main(['audit', '--output', '/dev/null'])")
    assert "numpy" in loaded
    assert not loaded & {"torch", "scipy", "pandas", "mlflow", "transformers", "datasets"}
