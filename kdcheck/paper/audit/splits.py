"""Checks of the sizes of splits and grids against GLUE's published counts."""

from __future__ import annotations

from kdcheck.paper import grids
from kdcheck.paper.audit.comparing import Source
from kdcheck.paper.audit.finding import FAILS, HOLDS, Outcome, listed
from kdcheck.paper.tables import LABELS

GLUE = {
    "mrpc": {"train": 3668, "validation": 408, "test": 1725},
    "qnli": {"train": 104743, "validation": 5463},
    "sst2": {"train": 67349, "validation": 872},
    "mnli": {"train": 392702, "validation": 9815},
}
"""Examples of GLUE's published splits that carry labels; for MNLI the matched validation set.

The two test sets that the paper takes from published validation sets are QNLI's and MNLI's.
"""

# Published split -> the paper's splits that make it up, appendix A.1.
MADE_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "mrpc": {"train": ("train",), "validation": ("validation",), "test": ("test",)},
    "qnli": {"train": ("train", "validation"), "validation": ("test",)},
    "sst2": {"train": ("train", "test"), "validation": ("validation",)},
    "mnli": {"train": ("train", "validation"), "validation": ("test",)},
}


def table_6_fits_glue(source: Source) -> Outcome:
    """Do the published splits add up from the paper's?"""
    table, texts, wrong, off = source.tables.table(6), [], [], 0.0
    for task, published in MADE_OF.items():
        for split, ours in published.items():
            cells = [table.cell(task, name) for name in ours]
            gap = sum(cell.value for cell in cells) - GLUE[task][split]
            if len(cells) > 1 or gap:
                sum_of = " + ".join(cell.printed for cell in cells)
                texts.append(f"{LABELS[task]} {sum_of} - {GLUE[task][split]:,} = {gap:,.0f}")
            if gap:
                wrong += cells
                off = max(off, abs(gap))
    return Outcome(
        outcome=FAILS if wrong else HOLDS,
        by_how_much=f"{listed(texts)}. MNLI's test has the size of the published matched "
        "validation set (9,815), not of the unlabelled matched test set (9,796)",
        margin=0.0 - off,
        unit="examples",
        cells=tuple(wrong) or table.row("qnli"),
    )


def grid_sizes(source: Source) -> Outcome:
    """Have the grids as many points as the paper says?"""
    tables, alphas = source.tables, grids.tuned_ls_alphas()
    counted = {
        "ERM": (len(list(grids.erm_grid(tables))), grids.ERM_POINTS),
        "LS and KD at temperature 1": (len(list(grids.soft_grid(tables))), grids.SOFT_POINTS),
        "KD, tuned": (len(list(grids.tuned_kd_grid(tables))), grids.TUNED_POINTS),
        "LS, tuned": (len(list(grids.tuned_ls_grid(tables))), grids.TUNED_POINTS),
    }
    wrong = {name: pair for name, pair in counted.items() if pair[0] != pair[1]}
    texts = [f"{name} {got:,}" for name, (got, _) in counted.items()]
    return Outcome(
        outcome=FAILS if wrong else HOLDS,
        by_how_much=f"{listed(texts)}; {len(alphas)} alphas from {alphas[0]} to {alphas[-1]}, "
        f"step {grids.TUNED_LS_STEP}; other than stated: {listed(wrong)}",
        margin=0.0 - max((abs(a - b) for a, b in counted.values()), default=0),
        unit="points",
        cells=tuple(
            c
            for n in ("1", "A.3")
            for row in tables.table(n).cells
            for c in tables.table(n).row(row)
        )
        if wrong
        else (),
    )
