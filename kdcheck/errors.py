"""One small tree of exceptions. Each message says who, what was got, what was wanted, what next."""

from __future__ import annotations


class KdcheckError(Exception):
    """Base of everything kdcheck raises on purpose; a traceback of anything else is our bug.

    Args:
        who: the function, option or file that refuses.
        got: what it met.
        wanted: what it needs.
        next_step: what the reader can do about it, a sentence.

    >>> raise KdcheckError("entropy", "K = 1", "at least 2 classes", "Check the last axis.")
    Traceback (most recent call last):
        ...
    kdcheck.errors.KdcheckError: entropy: got K = 1; wanted at least 2 classes. Check the last axis.
    """

    def __init__(self, who: str, got: str, wanted: str, next_step: str) -> None:
        # All four are in args, so the facts survive pickling between worker processes.
        super().__init__(who, got, wanted, next_step)
        self.who = who
        self.got = got
        self.wanted = wanted
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.who}: got {self.got}; wanted {self.wanted}. {self.next_step}"


MOST_SAID = 300
"""Characters of what somebody else's error says, in a message of ours."""


def brief(error: BaseException) -> str:
    """What an error of a stranger's code says: its kind and first line, harmless to a terminal.

    >>> brief(ValueError("red \\x1b[31m\\nand a second line"))
    'ValueError: red ?[31m'
    >>> brief(SystemExit(0))
    'SystemExit: 0'
    """
    said = str(error).partition("\n")[0][:MOST_SAID]
    shown = "".join(c if c.isprintable() else "?" for c in said)
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__


class InputError(KdcheckError, ValueError):
    """A value given by the caller cannot be used; the message names it."""


class PosteriorError(InputError):
    """Rows are not probability distributions.

    Likely causes: logits were passed where posteriors are wanted (use the ``_from_logits`` form);
    posteriors were widened from a lower precision (pass them in the type they were computed in); the classes are not on
    the last axis.
    """


class LogitError(InputError):
    """Logits have the wrong shape or type, or are not finite.

    Likely causes: integer class ids passed as logits; a diverged run; a missing batch axis.
    """


class LabelError(InputError):
    """Labels have the wrong shape or type, or lie outside 0..K-1.

    Likely causes: GLUE's hidden test labels (-1); label maps of two files that differ.
    """


class ShapeError(InputError):
    """Two arguments that must cover the same examples and classes have different shapes."""


class ParameterError(InputError):
    """A hyper-parameter such as alpha or the temperature lies outside its domain."""


class OptionError(InputError):
    """A command-line or pytest option has no effect or cannot be combined with another."""


class TaskError(InputError):
    """A data set cannot be used as a task: a column, label, text or split is missing or wrong."""


class EncoderError(InputError):
    """An encoder cannot be used: weights, tokenizer or label map are missing or disagree."""


class RecipeError(InputError):
    """A recipe is incomplete or contradicts itself."""


class FetchError(KdcheckError):
    """A file could not be fetched, or what arrived is not what is pinned."""


class TrainingError(KdcheckError):
    """Training cannot go on: a loss that is not finite, or memory that does not suffice."""


class CheckpointError(KdcheckError):
    """A checkpoint cannot be written or read."""


class EvidenceError(KdcheckError):
    """Evidence cannot be stored or read back, or does not match its digest."""


class BusyError(EvidenceError):
    """Another process, here or on another machine, is training that recipe."""


class FailedBeforeError(EvidenceError):
    """A recipe was recorded as failed, and is not tried again unless that is asked for."""


class ClaimError(KdcheckError):
    """A claim is declared wrongly, or its criterion changed after the first run."""


class ConformError(KdcheckError):
    """A loss or trainer of others could not be run, so nothing is said of it.

    Likely causes: an argument under a name that cannot be guessed (map it); a setting that has no
    default (give it); outputs that are no tensor; a package that is not installed.
    """
