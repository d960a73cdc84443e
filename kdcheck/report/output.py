"""The files of a report, and those of the paper's tables, written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdcheck.errors import OptionError
from kdcheck.report.badge import badge
from kdcheck.report.contents import to_json
from kdcheck.report.markdown import markdown
from kdcheck.report.page import html
from kdcheck.report.table_files import as_csv, as_html, as_markdown, standalone_figures

FORMATS = {".html": html, ".md": markdown, ".json": to_json, ".svg": badge}
"""Suffix of each file, and what makes its text from the record."""
TABLES = {".html": as_html, ".md": as_markdown, ".csv": as_csv}
"""The same of the files of the paper's tables."""


def write(record: Mapping[str, Any], page: Path) -> list[Path]:
    """Write the page, and Markdown, JSON and the badge beside it.

    Args:
        record: from :func:`kdcheck.report.build`.
        page: where the page goes; its name ends in ``.html``.

    Returns:
        The files, the page first.

    Raises:
        OptionError: another ending, or a folder that cannot be written to.

    Source: docs/guides/report.md.

    >>> write({}, Path("page.pdf"))
    Traceback (most recent call last):
        ...
    kdcheck.errors.OptionError: --output: got page.pdf; wanted a name that ends in .html. The \
other formats are written beside the page.
    """
    if page.suffix != ".html":
        raise OptionError(
            "--output",
            str(page),
            "a name that ends in .html",
            "The other formats are written beside the page.",
        )
    texts = {page.with_suffix(suffix).name: make(record) for suffix, make in FORMATS.items()}
    return _write_whole(page.parent, texts)


def write_tables(record: Mapping[str, Any], page: Path) -> list[Path]:
    """Write the paper's tables and figures, filled from the runs, into a folder beside a page.

    Args:
        record: from :func:`kdcheck.report.build`.
        page: the page of the report; of ``p.html`` the folder is ``p-tables``.

    Returns:
        ``tables.html``, ``.md`` and ``.csv``, and a ``.svg`` for each figure; none of a paper that
        declares no tables.

    Raises:
        OptionError: a folder that cannot be written to.

    Source: docs/guides/report.md.

    >>> write_tables({"paper_tables": []}, Path("p.html"))
    []
    """
    if not record["paper_tables"]:
        return []
    folder = page.with_name(f"{page.stem}-tables")
    texts = {f"tables{suffix}": make(record) for suffix, make in TABLES.items()}
    drawn = standalone_figures(record)
    return _write_whole(folder, texts | {f"{name}.svg": text for name, text in drawn.items()})


def _write_whole(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write some files; all are complete before the first takes its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".kdcheck-") as temporary:
            for name, text in texts.items():
                (Path(temporary) / name).write_text(text, encoding="utf-8", newline="")
            for name in texts:
                (Path(temporary) / name).replace(folder / name)
    except OSError as error:
        next_step = "Name a file in a folder that you may write to, on a disk with room."
        raise OptionError("--output", str(error), "a place to write to", next_step) from error
    return [folder / name for name in texts]
