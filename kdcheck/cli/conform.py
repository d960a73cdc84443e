"""Say which convention a distillation or smoothing loss has, and whether it behaves as one should.

Fitted on chosen logits and confirmed on fresh ones; checks print the smallest input that breaks them.
Ends with 1 if a check fails or an expected failure does not, with 2 if the loss cannot be run.

Examples:
  kdcheck conform torch.nn:CrossEntropyLoss
  kdcheck conform my_losses.py:kd_loss --map teacher=soft_targets:probabilities --arg reduction=none
"""

from __future__ import annotations

import argparse
import ast
import json
from typing import Any

HELP = "check anyone's distillation or smoothing loss: its convention, and how it behaves"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    text = "package.module:name of a function, class or object, or file.py:name"
    parser.add_argument("loss", metavar="MODULE:NAME", help=text)
    text = "a setting that stays as it is, of the constructor or the call"
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help=text)
    text = (
        "which argument is student, teacher, labels, alpha, beta, tau or classes; :FORM is one of "
    )
    text += "logits, probabilities, log-probabilities, one-hot, class ids"
    parser.add_argument("--map", action="append", default=[], metavar="ROLE=NAME[:FORM]", help=text)
    text = "a check that is known to fail, and why"
    parser.add_argument("--expect", action="append", default=[], metavar="CHECK=REASON", help=text)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report.

    Raises:
        ConformError: the loss cannot be found or run.
        OptionError: an option without its ``=``.
    """
    from kdcheck.conform.loss import check_objective
    from kdcheck.conform.loss.by_name import named

    report = check_objective(
        named(args.loss),
        name=args.loss,
        arguments={name: _value(text) for name, text in _pairs(args.arg, "--arg")},
        names=dict(_pairs(args.map, "--map")),
        expected_failures=dict(_pairs(args.expect, "--expect")),
    )
    print(json.dumps(report.as_json(), indent=1) if args.json else report.table())
    return report.exit_code


def _pairs(texts: list[str], option: str) -> list[tuple[str, str]]:
    from kdcheck.errors import OptionError

    pairs = [text.partition("=") for text in texts]
    for text, (name, sign, _) in zip(texts, pairs, strict=True):
        if not (name and sign):
            raise OptionError(option, repr(text), "NAME=VALUE", "Put a = between the two.")
    names = [name for name, _, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        step = "Leave one of the two out."
        raise OptionError(option, f"{twice[0]} a second time", "each name once", step)
    return [(name, value) for name, _, value in pairs]


def _value(text: str) -> Any:
    """A Python literal such as 4, None or 'sum'; anything else is text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
