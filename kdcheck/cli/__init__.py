"""The command line: one thin file per verb in this folder, found by name.

A verb is a module with ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int``.
Modules whose name starts with an underscore are not verbs.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from contextlib import suppress

from kdcheck import __version__
from kdcheck.errors import KdcheckError

DESCRIPTION = "Re-run the experiments behind a paper's claims and say which of them hold."


def verbs() -> list[str]:
    """Names of all verbs, sorted: the modules of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def build_parser() -> argparse.ArgumentParser:
    """The whole parser, every verb included."""
    parser = argparse.ArgumentParser(prog="kdcheck", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"kdcheck {__version__}")
    text = "first load FILE, which defines an objective"
    parser.add_argument("--load", action="append", metavar="FILE", help=text)
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in verbs():
        module = importlib.import_module(f"{__name__}.{name}")
        verb = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb on the arguments after ``kdcheck``, by default those of the process.

    Errors of ours print as one line with a next step and exit with 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal that lacks a letter is no reason to end
            stream.reconfigure(errors="backslashreplace")
    args = build_parser().parse_args(argv)
    try:
        if args.load:
            from kdcheck.objectives import load_modules  # it loads torch, which few verbs need

            load_modules(args.load)
        status: int = args.run(args)
        if sys.stdout is not None:  # as it is where a shell has closed it
            sys.stdout.flush()
    except BrokenPipeError:
        _print_no_more()  # the reader, such as `head`, has seen enough
        return 0
    except KdcheckError as error:
        print(f"kdcheck {args.verb}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        step = "Look at the rights and the room of that place."
        print(
            f"kdcheck {args.verb}: got {error}; wanted to read and write. {step}", file=sys.stderr
        )
        if error.filename is None:  # it may be standard output itself that has no room
            _print_no_more()
        return 2
    return status


def _print_no_more() -> None:
    """Keep the interpreter from flushing again, at its end, what cannot be written."""
    with suppress(OSError, ValueError, AttributeError):  # a stream without a file, or none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
