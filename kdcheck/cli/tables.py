"""Write the paper's tables and figures, filled from the runs: a page, Markdown, CSV, an SVG a figure.

In each cell the paper's figure stands beside ours with seeds and interval; a cell without a run names the
run that it waits for.

Example:
    kdcheck tables --store .kdcheck/store --scale paper --output kdcheck-tables
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store, source_of

if TYPE_CHECKING:
    from kdcheck.evidence.judged import Judged

HELP = "write the paper's tables and figures beside ours: HTML, Markdown, CSV and SVG"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    origin = parser.add_mutually_exclusive_group()
    add_store(origin)
    origin.add_argument("--bundle", type=Path, metavar="DIR", help="an exported bundle instead")
    for part in ("scale", "paper"):
        text = f"{part} of the claims; needed where there are several"
        parser.add_argument(f"--{part}", metavar="NAME", help=text)
    text = "folder for the files (default: kdcheck-tables)"
    parser.add_argument(
        "--output", type=Path, default=Path("kdcheck-tables"), metavar="DIR", help=text
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and name them."""
    from kdcheck.report import build, write_tables

    source = source_of(args.bundle, args.store)
    claims = source.claims(paper=args.paper, scale=args.scale)
    for path in write_tables(build(list(map(_with_tables, claims)), source), args.output):
        print(path)
    return 0


def _with_tables(judged: Judged) -> Judged:
    """Evidence from before papers were stored with their tables has those of the paper here."""
    from kdcheck.paper.publication import PAPER

    paper = judged.claim.paper
    if paper.tables or paper.name != PAPER.name:
        return judged
    whole = replace(paper, tables=PAPER.tables)
    return replace(judged, claim=replace(judged.claim, paper=whole))
