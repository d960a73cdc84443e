"""How a claim is declared: a sentence, its place in the paper, and the margin it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from kdcheck.claims.contrast import Contrast
from kdcheck.claims.paper import OWN, Paper
from kdcheck.errors import ClaimError

Holds = Literal["every", "most", "some", "average"]
Direction = Literal["above", "not_below", "within"]
Test = TypeVar("Test", bound=Callable[..., Any])

QUANTIFIERS: dict[str, Holds] = {
    "on every task": "every",
    "on most tasks": "most",
    "on some task": "some",
    "on average over tasks": "average",
}
WORDINGS: dict[Holds, str] = {holds: wording for wording, holds in QUANTIFIERS.items()}
"""How people read a claim's quantifier, wherever it is shown."""
DIRECTIONS = ("above", "not_below", "within")
ATTRIBUTE = "__kdcheck_claim__"


@dataclass(frozen=True)
class Margin:
    """The smallest effect that would matter, with its unit.

    Source: fixed before the first run, with a reason.

    >>> nats(0.05)
    Margin(size=0.05, unit='nats')
    """

    size: float
    unit: str


def nats(size: float) -> Margin:
    """A margin of entropy, in nats.

    Source: the unit of the metric.

    >>> nats(0.01).unit
    'nats'
    """
    return Margin(size, "nats")


def points(size: float) -> Margin:
    """A margin of accuracy, in percentage points.

    Source: the unit of the metric, times a hundred.

    >>> points(0.5).unit
    'points'
    """
    return Margin(size, "points")


def plain(size: float, unit: str = "") -> Margin:
    """A margin of a ratio, slope or correlation, which has no unit of its own.

    Source: the unit of the contrast.

    >>> plain(0.1, "times").unit
    'times'
    """
    return Margin(size, unit)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of a paper in our words, its contrast, and how it is judged.

    Source: the section and tables in ``where``.

    >>> Claim(id="c", says="S.", where="here", holds="every", margin=nats(0), because="b").id
    'c'
    """

    id: str
    """Unique name; parametrised tests add theirs in brackets."""
    says: str
    """The claim, one sentence in our words."""
    where: str
    """Section and tables of the paper."""
    holds: Holds
    """Quantifier over the tasks of the scale."""
    margin: Margin
    """Smallest effect that would matter."""
    because: str
    """Why that margin."""
    direction: Direction = "above"
    """``above``: the effect exceeds the margin; ``not_below``: it is not below minus the margin;
    ``within``: it lies inside plus or minus the margin."""
    at_two_classes: str = ""
    """What a verdict that rests on binary tasks alone cannot say."""
    rests_on: tuple[str, ...] = ()
    """Ids of the claims that must be SUPPORTED for this one to be testable: its premises."""
    theme: str = ""
    """What it is listed under: the first line of its file."""
    paper: Paper = OWN
    """Whose claim it is."""
    contrast: Contrast | None = None
    """What decides it, its claimed direction positive; known once its test was called."""

    @property
    def measures(self) -> Contrast:
        """The contrast of a claim that was planned."""
        assert self.contrast is not None, f"claim {self.id!r} was not planned"
        return self.contrast

    def in_paper(self) -> dict[str, float]:
        """The contrast evaluated on the paper's own tables, by task, in the claim's unit."""
        return self.paper.values(self.measures)

    @property
    def paper_text(self) -> str:
        """What the paper's own tables give for the contrast, and where; empty where they do not."""
        cells = self.paper.cells(self.measures)
        if not cells:
            return ""
        shown = ", ".join(f"{task} {value:+.3g}" for task, value in self.in_paper().items())
        numbers = dict.fromkeys(each.table for row in cells.values() for each in row.values())
        tables = f"Table{'s' if len(numbers) > 1 else ''} {' and '.join(numbers)}"
        return f"{shown} {self.margin.unit} ({tables})"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the paper stands there by its name."""
        contrast = self.contrast and self.contrast.to_dict()
        changed = {"margin": asdict(self.margin), "contrast": contrast, "paper": self.paper.name}
        return vars(self) | changed | {"rests_on": list(self.rests_on)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], paper: Paper) -> Claim:
        """The claim that :meth:`to_dict` wrote, of that paper."""
        contrast = values["contrast"] and Contrast.from_dict(values["contrast"])
        changed = {"margin": Margin(**values["margin"]), "contrast": contrast, "paper": paper}
        return cls(**{**values, **changed, "rests_on": tuple(values["rests_on"])})


def claim(
    id: str,  # noqa: A002 - the word users know
    *,
    says: str,
    where: str,
    holds: str,
    margin: Margin,
    because: str,
    direction: Direction = "above",
    at_two_classes: str = "",
    rests_on: Sequence[str] = (),
    paper: Paper = OWN,
) -> Callable[[Test], Test]:
    """Declare that a test checks a claim of a paper.

    The test takes the ``study`` fixture and calls ``study.judge`` once, with a contrast whose
    claimed direction is positive.

    Args:
        id: unique name.
        says: the claim, one sentence in our words.
        where: section and tables.
        holds: ``on every task``, ``on most tasks``, ``on some task`` or ``on average over tasks``.
        margin: smallest effect that would matter: :func:`nats`, :func:`points`, :func:`plain`.
        because: why that margin.
        direction: ``above``, ``not_below`` or ``within`` the margin.
        at_two_classes: what a verdict from binary tasks alone cannot say.
        rests_on: ids of claims of the same family without which this one says nothing.
        paper: whose claim it is; claims of one paper at one scale are one family.

    Returns:
        A decorator that leaves the test as it is, but for the declaration.

    Raises:
        ClaimError: an unknown quantifier or direction, a margin without a unit, or an empty reason.

    Source: docs/guides/add-a-claim.md.

    >>> @claim("ls_raises_entropy", says="LS makes a classifier less sure.", where="its table",
    ...        holds="on every task", margin=nats(0.05), because="the gaps are six times as large")
    ... def test_ls_raises_entropy(study): ...
    >>> claim_of(test_ls_raises_entropy).where
    'its table'
    """
    _check(id, holds, direction, margin, (says, where, because))
    declared = Claim(
        id=id,
        says=says,
        where=where,
        holds=QUANTIFIERS[holds],
        margin=margin,
        because=because,
        direction=direction,
        at_two_classes=at_two_classes,
        rests_on=tuple(rests_on),
        paper=paper,
    )
    return lambda test: _marked(test, declared)


def _marked(test: Test, declared: Claim) -> Test:
    theme = (test.__globals__.get("__doc__") or "").strip().partition("\n")[0].rstrip(".")
    setattr(test, ATTRIBUTE, replace(declared, theme=theme))
    return test


def _check(
    claim_id: str, holds: str, direction: str, margin: object, texts: tuple[str, ...]
) -> None:
    if holds not in QUANTIFIERS or direction not in DIRECTIONS:
        got = f"holds={holds!r}, direction={direction!r}"
        wanted = f"holds one of {', '.join(QUANTIFIERS)}; direction one of {', '.join(DIRECTIONS)}"
        step = "Name the claim's own quantifier over tasks."
        raise ClaimError(f"claim {claim_id!r}", got, wanted, step)
    if not isinstance(margin, Margin):
        wanted = "a margin with its unit"
        step = f"Write nats({margin!r}), points({margin!r}) or plain({margin!r}, unit)."
        raise ClaimError(f"claim {claim_id!r}", f"margin={margin!r}", wanted, step)
    if not all(text.strip() for text in texts):
        wanted = "a sentence, its place and a reason for the margin"
        step = "A margin without a reason is a margin chosen after the fact."
        raise ClaimError(f"claim {claim_id!r}", "an empty says, where or because", wanted, step)


def claim_of(test: object, parameters: str = "") -> Claim | None:
    """The claim that a test declares, if any; the id of a parametrised one carries its parameters.

    >>> def test_of_no_claim(study): ...
    >>> claim_of(test_of_no_claim) is None
    True
    """
    declared = getattr(test, ATTRIBUTE, None)
    if not isinstance(declared, Claim):
        return None
    return replace(declared, id=f"{declared.id}[{parameters}]") if parameters else declared
