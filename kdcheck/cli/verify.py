"""Judge every stored claim again from its posteriors, and hold it against its lock, on any machine.

Verdicts are recomputed, and each run must be the one that the lock asks for in its place. With --lock the
lock comes from elsewhere, as from version control. With --retrain a share of the runs, drawn at random,
is trained again and must leave what is stored.

Example:
    kdcheck verify evidence/mini
    kdcheck verify evidence/mini --lock claims/claims.lock --retrain 0.05
"""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store, source_of
from kdcheck.errors import InputError, OptionError

if TYPE_CHECKING:
    from kdcheck.evidence.source import EvidenceSource

HELP = "recompute every verdict from stored evidence and hold all of it against the lock"
DRAWS = 2**32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", type=Path, nargs="?", metavar="DIR", help="an exported bundle")
    add_store(parser)
    text = "the lock to hold it against (default: what it brings itself)"
    parser.add_argument("--lock", type=Path, metavar="FILE", help=text)
    text = "train this share of the runs again, at least one, as 0.05"
    parser.add_argument("--retrain", type=float, metavar="SHARE", help=text)
    text = "seed of the draw of runs, to repeat one (default: chance, and printed)"
    parser.add_argument("--draw", type=int, metavar="N", help=text)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of GLUE files")
    parser.add_argument("--model-dir", type=Path, metavar="DIR", help="folder of encoders")


def run(args: argparse.Namespace) -> int:
    """Print each claim with its stored and its recomputed verdict; 1 if anything differs.

    Raises:
        EvidenceError: there is no store or bundle, or evidence is missing, damaged or altered.
        InputError: there is no such lock, or data or encoders to train on are not at hand.
        OptionError: an option of ``--retrain`` without it, or a share that is none.
    """
    from kdcheck.study.lock import read
    from kdcheck.study.recheck import verify

    _check_options(args)
    lock = None if args.lock is None else read(args.lock)
    source = source_of(args.bundle, args.store)
    differing = 0
    for check in verify(source, lock):
        same = "same" if check.same else f"DIFFERENT: {'; '.join(check.differences)}"
        print(f"{check.paper}  {check.again.standing}  {check.again}\n    {same}")
        differing += not check.same
    print(f"{differing} verdicts differ" if differing else "every verdict is as stored")
    unlike = 0 if args.retrain is None else _retrain(args, source)
    return 1 if differing or unlike else 0


def _check_options(args: argparse.Namespace) -> None:
    from kdcheck.study.retrain import check_share

    if args.retrain is not None:
        check_share(args.retrain)
    for name in ("draw", "data_dir", "model_dir"):
        if getattr(args, name) is not None and args.retrain is None:
            option = f"--{name.replace('_', '-')}"
            next_step = "Leave it out, or say which share of the runs to train again."
            raise OptionError(option, "no --retrain", "both: nothing is trained", next_step)
    if args.lock is not None and not args.lock.is_file():
        next_step = "kdcheck lock writes it beside the claims."
        raise InputError("--lock", f"no file {args.lock}", "a file of kdcheck lock", next_step)


def _retrain(args: argparse.Namespace, source: EvidenceSource) -> int:
    """Train runs again and say of each how it compares; how many are not as stored."""
    from kdcheck.places import Places
    from kdcheck.study.resources import Resources
    from kdcheck.study.retrain import draw, retrain

    seed = secrets.randbelow(DRAWS) if args.draw is None else args.draw
    runs = {digest for each in source.claims() for digest in each.table.digests()}
    drawn = draw(runs, args.retrain, seed)
    print(f"training {len(drawn)} of {len(runs)} runs again, drawn by --draw {seed}")
    places = Places.resolve(store=args.store, data_dir=args.data_dir, model_dir=args.model_dir)
    unlike = 0
    for each in retrain(source, drawn, Resources(places)):
        found = "to the last bit" if each.same_weights else f"other weights: {each.distance}"
        told = f"DIFFERENT: {'; '.join(each.differences)}" if each.differences else found
        print(f"{each.stored.recipe.summary()}\n    {told}", flush=True)
        unlike += bool(each.differences)
    print(f"{unlike} runs differ" if unlike else "every run that was trained again is as stored")
    return unlike
