"""Checks of what the paper says about its accuracy tables."""

from __future__ import annotations

from statistics import fmean

from kdcheck.paper.audit.entropy import TUNED
from kdcheck.paper.audit.finding import (
    FAILS,
    HOLDS,
    SUSPICIOUS,
    Gap,
    Judgement,
    cells_of,
    decides,
    listed,
)
from kdcheck.paper.audit.sampling import beyond_paired_least, beyond_unpaired
from kdcheck.paper.tables import TASKS, Cell, Tables

METHODS = ("standard_kd", "self_kd")


def accuracy_gaps(tables: Tables, first: str, second: str, size: str, *, tuned: bool) -> list[Gap]:
    """Accuracy of one method minus another in points, one gap per task.

    Source: Tables 3, 5, 9 and 11.

    >>> from kdcheck.paper import load_tables
    >>> str(accuracy_gaps(load_tables(), "ls", "erm", "smaller", tuned=False)[2])
    'SST-2 LS - ERM +1.2'
    """
    return [
        Gap(
            first=tables.accuracy(task, first, size, tuned=tuned),
            second=tables.accuracy(task, second, size, tuned=tuned),
        )
        for task in TASKS
    ]


def _both(tables: Tables, baseline: str, *, tuned: bool) -> list[Gap]:
    return [
        gap
        for method in METHODS
        for gap in accuracy_gaps(tables, method, baseline, "smaller", tuned=tuned)
    ]


@decides("ls_lags_erm")
def _ls_lags_erm(tables: Tables) -> Judgement:
    gaps = accuracy_gaps(tables, "ls", "erm", "smaller", tuned=False)
    tuned = [g for g in accuracy_gaps(tables, "ls", "erm", "smaller", tuned=True) if g.value < 0]
    lags = [g for g in gaps if g.value < 0]
    least = max(lags, key=lambda g: g.value, default=gaps[0])
    return Judgement(
        outcome=HOLDS if len(lags) == 3 else FAILS,
        by_how_much=f"{len(lags)} of {len(gaps)}: {listed(gaps)}; least lag: {least} with "
        f"rounding of {least.rounding:.1f}. Table 9, of which it is not said: {len(tuned)} of 4",
        margin=0.0 - abs(len(lags) - 3),
        unit="tasks off three",
        cells=cells_of(gaps),
    )


@decides("kd_beats_ls")
def _kd_beats_ls(tables: Tables) -> Judgement:
    texts, shares = [], []
    cells: list[Cell] = []
    for tuned in TUNED:
        gaps = _both(tables, "ls", tuned=tuned)
        broken = [g for g in gaps if g.value <= 0]
        shares.append(len(gaps) / 2 - len(broken))
        texts.append(
            f"Table {gaps[0].first.table}: {len(gaps) - len(broken)} of {len(gaps)}, "
            f"mean {fmean(g.value for g in gaps):+.2f}, not {listed(broken)}"
        )
        cells += cells_of(broken)
    # "Generally" is read as in more than half of the comparisons.
    return Judgement(
        outcome=HOLDS if min(shares) > 0 else FAILS,
        by_how_much=". ".join(texts),
        margin=min(shares),
        unit="comparisons beyond half",
        cells=tuple(cells),
    )


@decides("self_kd_beats_standard_kd")
def _self_kd_beats_standard_kd(tables: Tables) -> Judgement:
    gaps = accuracy_gaps(tables, "self_kd", "standard_kd", "smaller", tuned=False)
    tuned = accuracy_gaps(tables, "self_kd", "standard_kd", "smaller", tuned=True)
    wins = sum(g.value > 0 for g in gaps)
    return Judgement(
        outcome=HOLDS if 2 * wins > len(gaps) else FAILS,
        by_how_much=f"{wins} of {len(gaps)}: {listed(gaps)}. Table 9: "
        f"{sum(g.value > 0 for g in tuned)} of {len(tuned)}: {listed(tuned)}",
        margin=wins - len(gaps) / 2,
        unit="tasks beyond half",
        cells=cells_of(gaps),
    )


@decides("kd_improves_accuracy")
def _kd_improves_accuracy(tables: Tables) -> Judgement:
    gaps, tuned = _both(tables, "erm", tuned=False), _both(tables, "erm", tuned=True)
    wins = sum(g.value > 0 for g in gaps)
    broken = [g for g in [*gaps, *tuned] if g.value <= 0]
    least = min(gaps, key=lambda g: g.value)
    return Judgement(
        outcome=HOLDS if wins == len(gaps) else FAILS,
        by_how_much=f"Table 3: {wins} of {len(gaps)}, least {least}. Table 9: "
        f"{sum(g.value > 0 for g in tuned)} of {len(tuned)}; exceptions: {listed(broken)}",
        margin=least.value,
        unit="points",
        cells=cells_of([*broken, least]),
    )


@decides("reverse_gain_is_smaller")
def _reverse_gain_is_smaller(tables: Tables) -> Judgement:
    texts, margins = [], []
    cells: list[Cell] = []
    for baseline in ("erm", "ls"):
        reverse = accuracy_gaps(tables, "reverse_kd", baseline, "larger", tuned=False)
        ours = fmean(g.value for g in reverse)
        before = [
            fmean(g.value for g in accuracy_gaps(tables, m, baseline, "smaller", tuned=False))
            for m in METHODS
        ]
        margins.append(min(before) - ours)
        cells += cells_of(reverse)
        texts.append(
            f"over {baseline.upper()} mean {ours:+.3f} after {before[0]:+.3f} (standard) and "
            f"{before[1]:+.3f} (self); {listed(reverse)}"
        )
    # "Overall" is read as the mean over tasks.
    return Judgement(
        outcome=HOLDS if min(margins) > 0 else FAILS,
        by_how_much=". ".join(texts),
        margin=min(margins),
        unit="points",
        cells=tuple(dict.fromkeys(cells)),
    )


@decides("reverse_student_beats_teacher")
def _reverse_student_beats_teacher(tables: Tables) -> Judgement:
    gaps, plain = [], []
    for tuned in TUNED:
        for task in TASKS:
            teacher = tables.accuracy(task, "erm", "smaller", tuned=tuned)
            student = tables.accuracy(task, "reverse_kd", "larger", tuned=tuned)
            gaps.append(Gap(first=student, second=teacher))
            plain.append(tables.accuracy(task, "erm", "larger", tuned=tuned).value - teacher.value)
    broken, least = [g for g in gaps if g.value <= 0], min(gaps, key=lambda g: g.value)
    return Judgement(
        outcome=FAILS if broken else HOLDS,
        by_how_much=f"{len(gaps) - len(broken)} of {len(gaps)}, least {least}. BERT without a "
        f"teacher beats it too, by {min(plain):.1f} or more: the size may explain it",
        margin=least.value,
        unit="points",
        cells=cells_of(broken or [least]),
    )


@decides("reverse_kd_clearly_beats_ls")
def _reverse_kd_clearly_beats_ls(tables: Tables) -> Judgement:
    gaps = accuracy_gaps(tables, "reverse_kd", "ls", "larger", tuned=True)
    ahead = [g for g in gaps if g.value > 0]
    clear = [g for g in ahead if beyond_unpaired(g, tables)]
    possible = [g for g in ahead if beyond_paired_least(g, tables)]
    seen = HOLDS if len(clear) == len(gaps) else SUSPICIOUS
    return Judgement(
        outcome=seen if len(ahead) == len(gaps) else FAILS,
        by_how_much=f"ahead on {len(ahead)} of {len(gaps)}: {listed(gaps)}; {len(clear)} exceed the "
        f"unpaired 95 % bound of their test set, {len(possible)} the least that pairing could ask",
        margin=float(len(clear) - len(gaps)),
        unit="tasks short of all",
        cells=cells_of(gaps),
    )
