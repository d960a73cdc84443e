"""From a stranger's loss to its convention: every way of calling it that makes sense is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdcheck.conform.loss.binding import bindings
from kdcheck.conform.loss.convention import Convention, against_its_names, base_of, reduction_of
from kdcheck.conform.loss.fitting import Fit, NoFit, draw, fit
from kdcheck.conform.loss.remarks import FINDERS
from kdcheck.errors import ConformError, brief

MOST_ATTEMPTS = 8
"""Ways of calling it that are looked at closely; the likeliest come first."""


def recognise(
    target: Any, *, name: str, arguments: Mapping[str, Any], names: Mapping[str, str]
) -> Convention:
    """The convention of a loss, called in the likeliest way in which it is one that is known.

    Raises:
        ConformError: it cannot be called in any way that was tried.
    """
    attempts: list[Fit | NoFit] = []
    refused = ""
    for loss in bindings(target, name=name, arguments=arguments, names=names):
        try:
            loss.total(draw(0))
            attempt = fit(loss)
        except Exception as error:  # noqa: BLE001 - the code of a stranger may raise anything
            refused = refused or brief(error)
            continue
        attempts.append(attempt)
        if _doubt(attempt) == 0 or len(attempts) == MOST_ATTEMPTS:
            break
    if not attempts:
        got = f"a call that ends with {refused}"
        step = "Say what goes where (--map student=NAME) and what stays (--arg NAME=VALUE)."
        raise ConformError(name, got, "a loss of the batch or of each example", step)
    return _told(min(attempts, key=_doubt))


def _doubt(attempt: Fit | NoFit) -> int:
    """From 0, nothing speaks against it, to 4, a worse account of the loss than none."""
    if isinstance(attempt, NoFit):
        return 3
    misnamed, flawed = bool(against_its_names(attempt.loss)), bool(attempt.flaws)
    # Wrong names together with a mistake explain too much; a softmax over one class explains nothing.
    if (misnamed and flawed) or all(part.term.family == "constant" for part in attempt.parts):
        return 4
    return 2 if misnamed else int(flawed)


def _told(attempt: Fit | NoFit) -> Convention:
    if isinstance(attempt, NoFit):
        return Convention(attempt.loss, None, attempt.why, attempt.counterexample, (), "", "")
    loss = attempt.loss
    plain = Convention(loss, attempt, "", "", (), "", reduction_of(attempt))
    remarks = [remark for find in FINDERS for remark in find(plain)]
    return replace(plain, base=base_of(plain), remarks=tuple(remarks))
