"""Export judged claims with all the evidence they rest on as a folder that needs no MLflow.

Example:
    kdcheck export evidence/mini --scale mini
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kdcheck.cli._source import add_store, source_of
from kdcheck.errors import EvidenceError
from kdcheck.plural import plural

HELP = "write claims and their evidence into a bundle for other machines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", type=Path, metavar="DIR", help="the bundle to write")
    parser.add_argument("--scale", metavar="NAME", help="only claims judged at this scale")
    parser.add_argument("--paper", metavar="NAME", help="only claims of this paper")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    """Write the bundle and say what is in it.

    Raises:
        EvidenceError: there is no store, no claim was judged at the scale, a run is damaged, or the
            folder holds something else.
    """
    from kdcheck.evidence.bundle import Bundle, export_bundle

    source = source_of(None, args.store)
    claims = source.claims(paper=args.paper, scale=args.scale)
    if not claims:  # an empty bundle would replace a good one
        stored = sorted({"{} at scale {}".format(*each.family) for each in source.claims()})
        asked = f" of paper {args.paper!r}" * bool(args.paper)
        asked += f" at scale {args.scale!r}" * bool(args.scale)
        if stored:
            facts = (
                f"no judged claim{asked}",
                f"one of {', '.join(stored)}",
                "Correct the option.",
            )
        else:
            next_step = "Run pytest claims/ first, or name another --store."
            facts = ("no judged claim in the store", "at least one", next_step)
        raise EvidenceError("export", *facts)
    export_bundle(source, args.bundle, {d for claim in claims for d in claim.table.digests()})
    written = Bundle(args.bundle)
    print(
        f"{args.bundle}: {plural(len(written.claims()), 'claim')}, {plural(len(written.digests()), 'run')}"
    )
    return 0
