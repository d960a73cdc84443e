"""Export judged claims with all the evidence they rest on as a folder that needs no MLflow.

Example:
    kdcheck export evidence/mini --scale mini
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write claims and their evidence into a bundle for other machines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", type=Path, metavar="DIR", help="the bundle to write")
    parser.add_argument("--scale", metavar="NAME", help="only claims judged at this scale")
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help="where from (default: $KDCHECK_STORE, $MLFLOW_TRACKING_URI or .kdcheck/store)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the bundle and say what is in it."""
    from kdcheck.cli.verify import source_of
    from kdcheck.evidence.bundle import export_bundle
    from kdcheck.study.record import stored_claims

    source = source_of(None, args.store)
    claims = stored_claims(source, args.scale)
    digests = {digest for claim in claims for digest in claim.digests()}
    export_bundle(source, args.bundle, digests)
    print(f"{args.bundle}: {len(claims)} claims, {len(digests)} runs")
    return 0
