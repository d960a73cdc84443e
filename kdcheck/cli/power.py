"""Say for each judged claim what a number of seeds can show, at the spread that was seen.

The columns "n seeds" give how far beyond its margin an effect must lie to be SUPPORTED with power 80 %,
at the price of looks and family, on the task with the widest spread; "within" claims: inside it.

Example:
  kdcheck power --bundle evidence/mini
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdcheck.verdict.resolution import Resolution

HELP = "say what effect a number of seeds can show of each judged claim"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    origin = parser.add_mutually_exclusive_group()
    add_store(origin)
    origin.add_argument("--bundle", type=Path, metavar="DIR", help="an exported bundle instead")
    for part in ("scale", "paper"):
        parser.add_argument(f"--{part}", metavar="NAME", help=f"claims of that {part} alone")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> int:
    """Print the table.

    Raises:
        EvidenceError: no claim that was judged on two seeds or more.
    """
    from kdcheck.errors import EvidenceError
    from kdcheck.verdict.resolution import resolution

    claims = source_of(args.bundle, args.store).claims(paper=args.paper, scale=args.scale)
    found = [each for judged in claims if (each := resolution(judged.verdict))]
    if not found:
        got, wanted = "no claim with two seeds", "at least one"
        raise EvidenceError("power", got, wanted, "Run pytest claims/ on that store first.")
    as_json = args.format == "json"
    print(json.dumps([asdict(each) for each in found], indent=1) if as_json else _table(found))
    return 0


def _table(found: Sequence[Resolution]) -> str:
    sizes = [f"{n} seeds" for n in found[0].smallest]
    head = ("claim", "verdict", "unit", "margin", "effect", "spread", *sizes, "would decide")
    body = [
        (
            each.claim,
            each.word.value,
            each.unit,
            f"{each.margin:.3g}",
            f"{each.effect:+.3g}",
            f"{each.spread:.2g}",
            *("none" if far is None else f"{far:.2g}" for far in each.smallest.values()),
            "" if each.decided_at is None else f"about {each.decided_at}",
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = (zip(line, widths, strict=True) for line in (head, *body))
    return "\n".join("  ".join(c.ljust(w) for c, w in line).rstrip() for line in lines)
