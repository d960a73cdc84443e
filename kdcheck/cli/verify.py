"""Judge every stored claim again from its posteriors, without training, on any machine.

Example:
    kdcheck verify evidence/mini
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kdcheck.cli._source import add_store, source_of

HELP = "recompute every verdict from stored evidence, without training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", type=Path, nargs="?", metavar="DIR", help="an exported bundle")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    """Print each claim with its stored and its recomputed verdict; 1 if any differ.

    Raises:
        EvidenceError: there is no store or bundle, or evidence is missing, damaged or altered.
    """
    from kdcheck.study.recheck import verify

    differing = 0
    for check in verify(source_of(args.bundle, args.store)):
        same = "same" if check.same else f"DIFFERENT: {'; '.join(check.differences)}"
        print(f"{check.paper}  {check.again}\n    {same}")
        differing += not check.same
    print(f"{differing} verdicts differ" if differing else "every verdict is as stored")
    return 1 if differing else 0
