"""Test the paper's statements against its own tables, published split sizes and theory.

Nothing is trained. Findings are not errors: the exit code is 0 whenever the audit ran, unless
--strict asks for 1 when a statement of the paper fails.

Example:
  kdcheck audit --format markdown --output audit.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kdcheck.errors import OptionError

HELP = "test the paper's statements against its own tables, without training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--format", choices=("table", "json", "markdown"), default="table", help="default: table"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, not to stdout")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a statement of the paper fails"
    )


def run(args: argparse.Namespace) -> int:
    """Print or write the audit; 1 if a statement fails and ``--strict`` is given, else 0.

    Raises:
        OptionError: the output file cannot be written.
    """
    from kdcheck.paper.audit import FAILS, rendering, run_audit

    findings = run_audit()
    text = rendering.RENDERERS[args.format](findings)
    if args.output is None:
        print(text)
    else:
        try:
            args.output.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            got, wanted = f"{str(args.output)!r} ({error.strerror})", "a file that can be written"
            next_step = "Create its folder, or choose another place."
            raise OptionError("--output", got, wanted, next_step) from error
    return int(args.strict and any(finding.outcome == FAILS for finding in findings))
