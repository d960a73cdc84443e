"""Findings as a terminal table of 100 columns, as JSON and as Markdown."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from kdcheck.paper.audit.finding import CANNOT_BE_DECIDED, HOLDS, OUTCOMES, Finding
from kdcheck.paper.left_open import open_settings

WIDTH = 100
INDENT = "    "


def as_text(findings: Sequence[Finding]) -> str:
    """A line per finding, then every flagged one with its comparisons and cells in full."""
    width = max(len(finding.id) for finding in findings)
    lines = [_summary(findings), "", f"{'outcome':17}  {'statement':{width}}  margin"]
    lines += [f"{f.outcome:17}  {f.id:{width}}  {_margin(f)}".rstrip() for f in findings]
    for finding in _by_outcome(findings):
        lines += ["", *_paragraphs(finding)]
    lines += ["", *_wrapped("Left open by the paper, with kdcheck's defaults: " + _open_settings())]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """All fields of all findings, the counts, and the settings that the paper leaves open."""
    content = {
        "counts": {outcome: _count(findings)[outcome] for outcome in OUTCOMES},
        "findings": [asdict(finding) for finding in findings],
        "open_settings": [asdict(setting) for setting in open_settings()],
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def as_markdown(findings: Sequence[Finding]) -> str:
    """A document: what was found, in a table and one section per finding."""
    lines = ["# Audit of the paper", "", *INTRODUCTION, "", _summary(findings), ""]
    lines += ["| outcome | statement | where | margin |", "| --- | --- | --- | --- |"]
    lines += [f"| {f.outcome} | [{f.id}](#{f.id}) | {f.where} | {_margin(f)} |" for f in findings]
    for finding in _by_outcome(findings):
        lines += ["", f"## {finding.id}", "", *_section(finding)]
    lines += ["", "## What the paper leaves open", "", "| question | default | reason |"]
    lines += ["| --- | --- | --- |"]
    lines += [f"| {s.question} | {s.default} | {s.reason} |" for s in open_settings()]
    return "\n".join(lines)


RENDERERS: dict[str, Callable[[Sequence[Finding]], str]] = {
    "table": as_text,
    "json": as_json,
    "markdown": as_markdown,
}

INTRODUCTION = (
    "Written by `kdcheck audit --format markdown`; a test compares it with what the command says.",
    "Each statement is judged by the paper's printed figures, GLUE's published sizes and closed",
    "forms. Nothing is trained, so HOLDS means that the printed figures agree with the statement,",
    "not that it would replicate. FAILS: they contradict it. SUSPICIOUS: they can be right, but ask",
    "for an explanation. CANNOT BE DECIDED: no printed figure bears on it. A statement is either",
    "stated by the paper or expected of its figures.",
)


def _count(findings: Sequence[Finding]) -> Counter[str]:
    return Counter(finding.outcome for finding in findings)


def _summary(findings: Sequence[Finding]) -> str:
    counts = ", ".join(f"{_count(findings)[outcome]} {outcome}" for outcome in OUTCOMES)
    return f"{len(findings)} statements: {counts}."


def _by_outcome(findings: Sequence[Finding]) -> Iterable[Finding]:
    return sorted(findings, key=lambda finding: OUTCOMES.index(finding.outcome))


def _margin(finding: Finding) -> str:
    if finding.margin is None:
        return ""
    return f"{finding.margin:+.4g} {finding.unit}" if finding.margin else f"0 {finding.unit}"


def _open_settings() -> str:
    return "; ".join(f"{s.name.replace('_', ' ')}: {s.default}" for s in open_settings()) + "."


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False
    )


def _cells(finding: Finding) -> str:
    return "; ".join(map(str, finding.cells))


def _paragraphs(finding: Finding) -> list[str]:
    lines = [f"{finding.outcome}: {finding.id} ({finding.kind})"]
    lines += _wrapped(f"{finding.claim} [{finding.where}]", INDENT)
    lines += _wrapped(f"{finding.by_how_much}.".replace("..", "."), INDENT)
    for detail in finding.details:
        lines += _wrapped(f"- {detail}", INDENT)
    if finding.cells and finding.outcome not in {HOLDS, CANNOT_BE_DECIDED}:
        lines += _wrapped(f"cells: {_cells(finding)}", INDENT)
    return lines


def _section(finding: Finding) -> list[str]:
    lines = [f"**{finding.outcome}** ({finding.kind}; {finding.where}). {finding.claim}", ""]
    lines += [f"{finding.by_how_much}.".replace("..", ".")]
    if finding.details:
        lines += ["", *(f"- {detail}" for detail in finding.details)]
    if finding.cells:
        lines += ["", f"Cells: {_cells(finding)}."]
    return lines
