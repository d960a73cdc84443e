"""List, fetch and verify the encoders that models start from.

Example:
  kdcheck encoders fetch --model-dir models
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from kdcheck.cli._source import pinned
from kdcheck.errors import KdcheckError

HELP = "list, fetch and verify the encoders"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand per action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add(actions, "list", _list, "Names, pairs and where each comes from.", "kdcheck encoders list")
    text = "Put encoders of the hub into a folder, for a machine without a network: revision and "
    text += (
        "sha256 of each file are written beside it, and held against the pins that kdcheck ships."
    )
    fetch = _add(actions, "fetch", _fetch, text, "kdcheck encoders fetch --model-dir models")
    text = "write revision and sha256 of what is fetched into the pins that kdcheck ships"
    fetch.add_argument("--pin", action="store_true", help=text)
    text = (
        "Check the files of a folder against what was fetched and what is pinned; 1 if one differs."
    )
    verify = _add(actions, "verify", _verify, text, "kdcheck encoders verify --model-dir models")
    for action in (fetch, verify):
        text = "encoders; all of the hub if none"
        action.add_argument("names", nargs="*", metavar="NAME", help=text)
        text = "folder with one folder per encoder"
        action.add_argument("--model-dir", type=Path, metavar="DIR", required=True, help=text)


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or 1 when an encoder fails verification.

    Raises:
        KdcheckError: an encoder cannot be fetched; ``verify`` prints that instead.
    """
    action: Callable[[argparse.Namespace], int] = args.action_run
    return action(args)


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    action: Callable[[argparse.Namespace], int],
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=text,
        description=f"{text}\n\nExample:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(action_run=action)
    return parser


def _list(args: argparse.Namespace) -> int:
    from kdcheck.encoders import HUB_NAMES, PAIRS

    del args
    for pair, names in PAIRS.items():
        for name in names:
            place = f"hub, {HUB_NAMES[name]}, {pinned(name)}" if name in HUB_NAMES else "PyPI file"
            print(f"{name:26}{pair:10}{place}")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from kdcheck.encoders import HUB_NAMES, fetch_encoder

    for name in args.names or HUB_NAMES:
        found = fetch_encoder(name, args.model_dir, pin=args.pin)
        place = f"revision {found.revision[:12]} of {found.repository}"
        print(f"{name}: {args.model_dir / name}, {place}, {pinned(name)}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from kdcheck.encoders import HUB_NAMES, load_encoder

    failed = 0
    for name in args.names or HUB_NAMES:
        try:
            found = load_encoder(name, model_dir=args.model_dir)
        except KdcheckError as error:
            failed += 1
            print(f"{name}: FAILED. {error}")
        else:
            print(f"{name}: digest {found.digest}. {found.unpinned or 'As pinned.'}")
    return 1 if failed else 0
