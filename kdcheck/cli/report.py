"""Write the report of judged claims: a page of its own, with Markdown, JSON and a badge beside it.

Example:
    kdcheck report --store .kdcheck/store --scale embedded --output kdcheck-report.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kdcheck.cli._source import add_store, source_of

HELP = "write the report: HTML, Markdown, JSON and a badge"


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
        help="the page; .md, .json and .svg are written beside it (default: kdcheck-report.html)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the four files and name them."""
    from kdcheck.report import build, write

    source = source_of(args.bundle, args.store)
    claims = source.claims(paper=args.paper, scale=args.scale)
    for path in write(build(claims, source), args.output):
        print(path)
    return 0
