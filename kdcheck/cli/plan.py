"""Say what a study costs and what it buys, before it is run; nothing is trained.

Counted from the graph of its recipes: runs, steps, tokens, arithmetic, disk, and hours on some GPUs by
a stated model (docs/guides/plan.md); for each claim what it would cost by itself. And the effect that 3,
5, 7 and 10 seeds can show, from the spreads of a store or bundle, else from those of the embedded scale.

--measure times a few steps of each kind of run on this machine, in as many processes as would train,
and the start, the store, the verdicts and the page; it takes a minute at the embedded scale.

Example:
  kdcheck plan --scale paper --seeds 5
  kdcheck plan --measure
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store, source_of

if TYPE_CHECKING:
    from kdcheck.planning.bought import Spread

HELP = "say what a study costs, on which machine, and what it buys, before it is run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["claims"],
        metavar="PATH",
        help="folders, files or ids of claims, as for pytest (default: claims)",
    )
    text = "only claims whose names match, as for pytest"
    parser.add_argument("-k", metavar="EXPRESSION", help=text)
    text = "a scale of the paper or a TOML file (default: as the paper says)"
    parser.add_argument("--scale", metavar="NAME", help=text)
    parser.add_argument("--seeds", type=int, metavar="N", help="default: as the scale says")
    text = "time steps, looks, store and verdicts on this machine"
    parser.add_argument("--measure", action="store_true", help=text)
    text = "processes to time at once (default: as many as would train)"
    parser.add_argument("--workers", type=int, metavar="N", help=text)
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of GLUE files")
    parser.add_argument("--model-dir", type=Path, metavar="DIR", help="folder of encoders")
    spreads = parser.add_mutually_exclusive_group()
    add_store(spreads)
    text = "an exported bundle, whose spreads are taken instead"
    spreads.add_argument("--bundle", type=Path, metavar="DIR", help=text)


def run(args: argparse.Namespace) -> int:
    """Print the plan.

    Raises:
        KdcheckError: claims, scale or spreads cannot be read; or, to be measured, data or encoders.
    """
    from kdcheck.planning.forecast import forecast, time_here
    from kdcheck.planning.showing import FORMATS
    from kdcheck.plugin.collecting import plan_paths
    from kdcheck.study.scale import load

    folders = {"data_dir": args.data_dir, "model_dir": args.model_dir}
    asked = [*args.paths, *(["-k", args.k] if args.k else [])]
    found = plan_paths(asked, scale=args.scale, **folders)
    claims, places = found.claims, found.places
    scale = load(found.scale, claims[0].paper)
    seeds = scale.seeds if args.seeds is None else args.seeds
    spreads, origin = _spreads(args)
    asked += ["--scale", found.scale]
    timing = time_here(claims, asked, scale, places, args.workers) if args.measure else None
    plan = forecast(claims, scale, seeds, places, spreads, timing)
    print(FORMATS[args.format](plan | {"spreads_from": origin}))
    return 0


def _spreads(args: argparse.Namespace) -> tuple[Sequence[Spread], str]:
    """Spreads, and where they are from: what the command line names, else what the paper brings."""
    from kdcheck.paper.spreads import EMBEDDED
    from kdcheck.planning.bought import read, spreads_of

    if args.store is None and args.bundle is None:
        return read(EMBEDDED), "the embedded scale"
    source = source_of(args.bundle, args.store)
    return spreads_of(source.claims()), str(args.bundle or args.store)
