"""Look at the zoo: small faulty losses, metrics, trainers and studies, each with the check that kills it.

Clean controls of each kind stand beside them and must raise no alarm. The exit code is 1 if a fault
survives or a control raises an alarm.

Example:
  kdcheck zoo --kind trainer --repeat 5
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from kdcheck.errors import OptionError

HELP = "planted faults, and whether the checks kill each of them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--kind",
        action="append",
        choices=("loss", "metric", "trainer", "study"),
        help="only these; may be given more than once",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="look at each control N times, with other random data each time (default 1)",
    )
    parser.add_argument(
        "--format", choices=("table", "markdown", "json"), default="table", help="default: table"
    )


def run(args: argparse.Namespace) -> int:
    """Print the zoo; 1 if a fault survives or a control raises an alarm.

    Raises:
        OptionError: fewer than one repetition.
    """
    from kdcheck.zoo import visit

    if args.repeat < 1:
        step = "Each control is looked at so many times."
        raise OptionError("--repeat", str(args.repeat), "a whole number from 1", step)
    seen = list(visit.visit(args.kind or visit.KINDS, repeat=args.repeat))
    right = all(each.is_right for each in seen)
    if args.format == "json":
        print(json.dumps({"entries": [asdict(each) for each in seen], "right": right}, indent=1))
    else:
        print(visit.table(seen, args.format), visit.summary(seen, args.repeat), sep="\n\n")
    return 0 if right else 1
