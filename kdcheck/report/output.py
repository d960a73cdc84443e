"""The four files of a report, written whole or not at all."""

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

FORMATS = {".html": html, ".md": markdown, ".json": to_json, ".svg": badge}
"""Suffix of each file, and what makes its text from the record."""


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
    texts = {page.with_suffix(suffix): make(record) for suffix, make in FORMATS.items()}
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        # All four are complete before the first takes its place.
        with tempfile.TemporaryDirectory(dir=page.parent, prefix=".kdcheck-") as folder:
            for path, text in texts.items():
                (Path(folder) / path.name).write_text(text, encoding="utf-8")
            for path in texts:
                (Path(folder) / path.name).replace(path)
    except OSError as error:
        next_step = "Name a file in a folder that you may write to, on a disk with room."
        raise OptionError("--output", str(error), "a place to write to", next_step) from error
    return list(texts)
