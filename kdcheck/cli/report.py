"""Write the report of judged claims: a page of its own, with Markdown, JSON and a badge beside it.

Example:
    kdcheck report --store .kdcheck/store --scale embedded --output kdcheck-report.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write the report: HTML, Markdown, JSON and a badge"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options.

    Source: none.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args([]).output.name
    'kdcheck-report.html'
    """
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--store",
        metavar="PLACE",
        help="folder of the store, or the address of a tracking server "
        "(default: $KDCHECK_STORE, $MLFLOW_TRACKING_URI or .kdcheck/store)",
    )
    origin.add_argument("--bundle", type=Path, metavar="DIR", help="an exported bundle instead")
    parser.add_argument(
        "--scale", metavar="NAME", help="scale of the claims; needed where there are several"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("kdcheck-report.html"),
        metavar="FILE",
        help="the page; .md, .json and .svg are written beside it (default: kdcheck-report.html)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the four files and name them.

    Raises:
        EvidenceError: there is no store or bundle, or a run is damaged.
        InputError: no claim is stored, or claims of several scales and none is named.
        OptionError: the files cannot be written.

    Source: none.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> run(parser.parse_args(["--store", "/nowhere/store"]))
    Traceback (most recent call last):
        ...
    kdcheck.errors.EvidenceError: store /nowhere/store: got no database mlflow.db there; wanted a \
store. Name the right one with --store, or make one by running pytest claims/.
    """
    from kdcheck.cli.verify import source_of
    from kdcheck.report import build, write
    from kdcheck.study.record import stored_claims

    source = source_of(args.bundle, args.store)
    record = build(stored_claims(source, args.scale), source)
    for path in write(record, args.output):
        print(path)
    return 0
