"""The paper's grids of hyper-parameters, generated from the ranges that it prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from kdcheck.paper.tables import Tables, load_tables

ERM_POINTS = 70
SOFT_POINTS = 630
TUNED_POINTS = 1960
TUNED_LS_ALPHAS = 28
TUNED_LS_STEP = 0.0333
"""(.9991 - .1) / 27."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a grid.

    Source: Table 1 and appendix A.3.

    >>> Point(learning_rate=5e-5, epochs=4).alpha is None
    True
    """

    learning_rate: float
    epochs: int
    alpha: float | None = None
    """Weight of the soft term, 0 to 1; none for ERM."""
    temperature: float | None = None
    """tau; none where it is not searched."""


def erm_grid(source: Tables | None = None) -> Iterator[Point]:
    """Learning rates and epochs: 70 points.

    Source: Table 1.

    >>> len(list(erm_grid()))
    70
    """
    rates, epochs = (_values(source, "1", name) for name in ("learning_rate", "epochs"))
    for rate, count in product(rates, epochs):
        yield Point(learning_rate=rate, epochs=int(count))


def soft_grid(source: Tables | None = None) -> Iterator[Point]:
    """The grid of LS and of KD at temperature 1: 630 points.

    Source: Table 1.

    >>> len(list(soft_grid()))
    630
    """
    for alpha, point in product(_values(source, "1", "alpha"), list(erm_grid(source))):
        yield Point(learning_rate=point.learning_rate, epochs=point.epochs, alpha=alpha)


def tuned_kd_grid(source: Tables | None = None) -> Iterator[Point]:
    """The grid of KD with temperature: 1,960 points.

    Source: appendix A.3.

    >>> len(list(tuned_kd_grid()))
    1960
    """
    names = ("temperature", "alpha", "learning_rate", "epochs")
    for tau, alpha, rate, epochs in product(*(_values(source, "A.3", name) for name in names)):
        yield Point(learning_rate=rate, epochs=int(epochs), alpha=alpha, temperature=tau)


def tuned_ls_alphas() -> tuple[float, ...]:
    """28 equally spaced alphas from .1 to .9991, exact to four decimals.

    Source: appendix A.3; the step of .0333 follows from the ends and the count.

    >>> tuned_ls_alphas()[:2], tuned_ls_alphas()[-1], len(tuned_ls_alphas())
    ((0.1, 0.1333), 0.9991, 28)
    """
    return tuple(round(0.1 + TUNED_LS_STEP * step, 4) for step in range(TUNED_LS_ALPHAS))


def tuned_ls_grid(source: Tables | None = None) -> Iterator[Point]:
    """The grid of LS that is as large as that of KD: 1,960 points.

    Source: appendix A.3.

    >>> len(list(tuned_ls_grid()))
    1960
    """
    for alpha, point in product(tuned_ls_alphas(), list(erm_grid(source))):
        yield Point(learning_rate=point.learning_rate, epochs=point.epochs, alpha=alpha)


def _values(source: Tables | None, number: str, name: str) -> list[float]:
    return [cell.value for cell in (source or load_tables()).table(number).row(name)]
