"""A check of what the paper says about a figure that our copy lacks, by its last point."""

from __future__ import annotations

from kdcheck.paper.arms import ERM, LS, SELF_KD, STANDARD_KD, entropy
from kdcheck.paper.audit.comparing import Source, cells_of, compare
from kdcheck.paper.audit.finding import CANNOT_BE_DECIDED, SUSPICIOUS, Outcome, listed

ENDS = [
    entropy(plain("smaller")) - entropy(student)
    for plain in (ERM, LS)
    for student in (STANDARD_KD, SELF_KD)
]
"""Figure 1 is of both kinds of KD into the smaller model; Table 2 prints where its curves end."""


def kd_stays_surer_throughout(source: Source) -> Outcome:
    """Being below at the end is necessary, not sufficient; hence never HOLDS.

    Nor FAILS: which task and model the figure draws is not known.
    """
    ends = [seen for contrast in ENDS for seen in compare(contrast, source, "nats")]
    above, most = [e for e in ends if e.value <= 0], min(ends, key=lambda e: e.value)
    return Outcome(
        outcome=SUSPICIOUS if above else CANNOT_BE_DECIDED,
        by_how_much="the paper says so of both kinds of KD into DistilBERT, which in Table 2 end below "
        f"ERM and LS in {len(ends) - len(above)} of {len(ends)}; not {listed(above)} nats. If the "
        "figure shows that model, its curve must end above ERM's; our copy lacks the figure",
        margin=most.value,
        unit="nats",
        cells=cells_of(above or [most]),
    )
