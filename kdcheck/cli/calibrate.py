"""Measure how often the judge itself is wrong, on simulated families of null claims.

Each row simulates seeds of one kind under one null and judges them with the code that judges the
real claims. The bound is promised for normal seeds (exit status 1 if they break it by more than
Monte Carlo error explains, at three sigma); the other rows show what breaks it.

Example:
  kdcheck calibrate --families 2000 --claims 12 --seed 0 --format markdown
  kdcheck calibrate --candidates --families 500
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdcheck.verdict.calibration import Row

HELP = "measure the false-verdict rates of the judge by simulation"

WORDS = ("SUPPORTED", "REFUTED", "EQUIVALENT")
COLUMNS = ("seeds", "null", *(f"any false {w}" for w in WORDS), "bound", "INVALID", "UNDECIDED")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--candidates",
        action="store_true",
        help="instead: the procedures that the judge's was chosen from, what they decide and how wrongly",
    )
    other.add_argument(
        "--routes",
        action="store_true",
        help="instead: ways around the error rate, and what a lock leaves of them",
    )
    parser.add_argument(
        "--families", type=int, default=2000, help="simulated families per row (default 2000)"
    )
    parser.add_argument("--claims", type=int, default=12, help="claims per family (default 12)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation (default 0)")
    parser.add_argument(
        "--format", choices=("table", "markdown", "json"), default="table", help="default: table"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; 1 if a row that is held to the bound breaks it.

    Raises:
        InputError: fewer than one family or claim, or a negative seed.
    """
    if args.candidates:
        return _print_candidates(args)
    return _print_routes(args) if args.routes else _print_rates(args)


def _print_rates(args: argparse.Namespace) -> int:
    from kdcheck.verdict.calibration import HELD_TO_THE_BOUND, calibrate, number_of_rows

    rows = calibrate(families=args.families, claims=args.claims, seed=args.seed)
    done = list(_with_progress(rows, number_of_rows()))
    title = f"{args.families} families of {args.claims} null claims per row; "
    title += "rate ± Monte Carlo standard error"
    _print(args, title, done, [COLUMNS, *map(_cells, done)])
    broken = [r for r in done if r.seeds in HELD_TO_THE_BOUND and not r.keeps_the_bound]
    for row in broken:
        print(f"kdcheck calibrate: {row.seeds}, {row.null}: bound broken", file=sys.stderr)
    return 1 if broken else 0


def _print_candidates(args: argparse.Namespace) -> int:
    from kdcheck.verdict.candidates import CHOSEN, compare

    done = compare(families=args.families, claims=args.claims, seed=args.seed)
    head = ("procedure", *(f"decided, {n} seeds" for n in done[0].decided), "in the end")
    body = [
        (
            f"{row.name} (chosen)" if row.name == CHOSEN.name else row.name,
            *(f"{100 * share:.0f} %" for share in row.decided.values()),
            f"{100 * row.in_the_end:.0f} %",
            f"{100 * row.worst:.1f} %",
            row.where,
        )
        for row in done
    ]
    title = f"{args.families} families of {args.claims} claims: true claims that are SUPPORTED, "
    title += "and the worst rate of families with a false word"
    _print(args, title, done, [(*head, "worst rate", "where"), *body])
    return 0


def _print_routes(args: argparse.Namespace) -> int:
    from kdcheck.verdict.routes import ROUTES, routes

    rows = routes(families=args.families, claims=args.claims, seed=args.seed)
    done = list(_with_progress(rows, ROUTES))
    head = ("way around", "without a lock", "under a lock", "what the lock makes of it")
    body = [
        (row.name, f"{100 * row.without:.1f} %", f"{100 * row.under:.1f} %", row.how)
        for row in done
    ]
    title = f"{args.families} families of {args.claims} null claims: any false SUPPORTED, and any "
    title += "that counts as CONFIRMATORY"
    _print(args, title, done, [head, *body])
    return 0


def _with_progress(rows: Iterable[Any], total: int) -> Iterable[Any]:
    if not sys.stderr.isatty():
        return rows
    from rich.console import Console
    from rich.progress import track

    return track(rows, "judging", total=total, console=Console(stderr=True), transient=True)


def _cells(row: Row) -> tuple[str, ...]:
    rates = (row.any_false_supported, row.any_false_refuted, row.any_false_equivalent)
    with_errors = (f"{100 * rate:.2f} ± {100 * row.standard_error(rate):.2f} %" for rate in rates)
    shares = (f"{100 * share:.1f} %" for share in (row.bound, row.invalid, row.undecided))
    return (row.seeds, row.null, *with_errors, *shares)


def _print(
    args: argparse.Namespace, title: str, rows: Sequence[Any], table: Sequence[tuple[str, ...]]
) -> None:
    """JSON, or aligned columns; for Markdown with bars between them."""
    if args.format == "json":
        print(json.dumps({"seed": args.seed, "rows": [asdict(row) for row in rows]}, indent=1))
        return
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    head, *body = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in table
    ]
    if args.format == "markdown":
        rule = ["-" * width for width in widths]
        print("\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body)))
        return
    print("\n".join([title, "", *("  ".join(line).rstrip() for line in (head, *body))]))
