"""Write the report of judged claims: a page of its own, with Markdown, JSON and a badge beside it.

The paper's tables and figures go into a folder beside the page, as a page, Markdown, CSV and an SVG a
figure: in each cell the paper's figure and ours, with seeds and interval, or the run that it waits for.

A bundle may come from anybody: every verdict of it is judged again from its posteriors first, and a page is
written only where all of them are as stored.

Example:
    kdcheck report --store .kdcheck/store --scale embedded --output kdcheck-report.html
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store, source_of
from kdcheck.errors import EvidenceError

if TYPE_CHECKING:
    from kdcheck.evidence.judged import Judged
    from kdcheck.evidence.source import EvidenceSource

HELP = "write the report: HTML, Markdown, JSON, a badge, and the paper's tables filled"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    origin = parser.add_mutually_exclusive_group()
    add_store(origin)
    origin.add_argument("--bundle", type=Path, metavar="DIR", help="an exported bundle instead")
    for part in ("scale", "paper"):
        text = f"{part} of the claims; needed where there are several"
        parser.add_argument(f"--{part}", metavar="NAME", help=text)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("kdcheck-report.html"),
        metavar="FILE",
        help="the page; .md, .json, .svg and a folder of tables are written beside it (default: "
        "kdcheck-report.html)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and name them.

    Raises:
        EvidenceError: a bundle whose verdicts are not those of its evidence.
    """
    from kdcheck.report import build, write, write_tables

    source = source_of(args.bundle, args.store)
    claims = source.claims(paper=args.paper, scale=args.scale)
    if args.bundle is not None:
        _require_verified(args.bundle, source)
    record = build(list(map(_with_tables, claims)), source)
    written = write(record, args.output)
    written += write_tables(record, args.output)
    for path in written:
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


def _require_verified(folder: Path, bundle: EvidenceSource) -> None:
    """Refuse a bundle whose words its evidence does not give: the page would say them all the same."""
    from kdcheck.study.recheck import verify

    differing = [check for check in verify(bundle) if not check.same]
    if differing:
        claim, told = differing[0].stored.criterion.claim, differing[0].differences[0]
        got = f"{len(differing)} verdicts that it does not give, first {claim}: {told}"
        step = f"See all of them with kdcheck verify {folder}, and ask its author."
        raise EvidenceError(f"bundle {folder}", got, "verdicts that its evidence gives", step)
