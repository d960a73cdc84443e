"""Checks of the selected settings of Tables 7 and 12, and of figures that they should repeat."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product

from kdcheck.paper import grids
from kdcheck.paper.audit.comparing import Source
from kdcheck.paper.audit.finding import FAILS, HOLDS, SUSPICIOUS, Outcome, listed
from kdcheck.paper.tables import ENTROPY_TABLES, LABELS, SETTING_TABLES, TASKS, Cell, Table, Tables

KD = ("standard_kd", "self_kd", "reverse_kd")
NEAR_NATS = 0.005
"""How near two entropies must be for the estimate of how often chance makes them print alike."""
LIMITS = {"alpha": 1.0, "temperature": 1.0, "epochs": 1.0}
"""Ends of a grid that are no choice: alpha cannot pass 1, nor epochs fall below 1; a temperature
below 1 would sharpen, which the paper does not set out to do."""


def _domain(tables: Tables, cell: Cell) -> list[float]:
    """Values of the grid that the cell's setting was chosen from."""
    if cell.table == "7":
        return [c.value for c in tables.table("1").row(cell.column)]
    if cell.column == "alpha" and cell.row.endswith("/ls"):
        return list(grids.tuned_ls_alphas())
    return [c.value for c in tables.table("A.3").row(cell.column)]


def _selected(table: Table) -> list[Cell]:
    return [cell for row in table.cells for cell in table.row(row)]


def _distance(tables: Tables, cell: Cell) -> float:
    return min(abs(cell.value - value) for value in _domain(tables, cell))


def on_grid(source: Source, number: int) -> Outcome:
    """Does every selected setting of a table lie on its grid?"""
    tables = source.tables
    cells = _selected(tables.table(number))
    off = [c for c in cells if _distance(tables, c) > c.half_width + 1e-9]
    worst = max(_distance(tables, c) for c in cells)
    return Outcome(
        outcome=FAILS if off else HOLDS,
        by_how_much=f"{len(cells) - len(off)} of {len(cells)} values; off the grid: {listed(off)}",
        margin=0.0 - worst if off else 0.0,
        unit="in the setting's unit",
        cells=tuple(off),
    )


def selected_inside_grid(source: Source) -> Outcome:
    """Does any setting lie at an end that could have been extended?"""
    tables = source.tables
    cells = [*_selected(tables.table(7)), *_selected(tables.table(12))]
    edge = [
        c
        for c in cells
        if c.value in {min(_domain(tables, c)), max(_domain(tables, c))}
        and c.value != LIMITS.get(c.column)
    ]
    counts = {
        f"{LABELS.get(name, name)} {value:g}": sum(
            c.column == name and c.value == value for c in edge
        )
        for name, value in sorted({(c.column, c.value) for c in edge})
    }
    return Outcome(
        outcome=SUSPICIOUS if edge else HOLDS,
        by_how_much=f"{len(edge)} of {len(cells)} values lie at an end that could have been "
        "extended",
        margin=float(-len(edge)),
        unit="values at an end",
        cells=tuple(edge),
        details=tuple(f"{what} in {n}" for what, n in counts.items()),
    )


def erm_settings_agree(source: Source) -> Outcome:
    """Has ERM the same settings in both experiments?"""
    tables = source.tables
    pairs = [
        (tables.table(7).cell(row, name), tables.table(12).cell(row, name))
        for row in tables.table(7).cells
        if row.endswith("/erm")
        for name in ("learning_rate", "epochs")
    ]
    differ = [(a, b) for a, b in pairs if a.value != b.value]
    return Outcome(
        outcome=SUSPICIOUS if differ else HOLDS,
        by_how_much=f"{len(pairs) - len(differ)} of {len(pairs)} pairs agree; "
        f"others: {listed(f'{a}, {b}' for a, b in differ)}",
        margin=float(-len(differ)),
        unit="pairs that differ",
        cells=tuple(c for pair in differ for c in pair),
    )


def _settings(table: Table, row: str) -> tuple[float, ...]:
    """Alpha, temperature (1 where not searched), rate and epochs of a row; no alpha counts as 0."""
    defaults = {"alpha": 0.0, "temperature": 1.0, "learning_rate": 0.0, "epochs": 0.0}
    found = defaults | {cell.column: cell.value for cell in table.row(row)}
    return tuple(found[name] for name in defaults)


def _twins(tables: Tables) -> Iterable[tuple[Cell, Cell]]:
    """Figures of models that both experiments trained with one and the same setting."""
    before, after = tables.table(7), tables.table(12)
    for row in before.cells:
        if row in after.cells and _settings(before, row) == _settings(after, row):
            task, size, method = row.split("/")
            for figure in (tables.entropy, tables.accuracy):
                yield figure(task, method, size, tuned=True), figure(task, method, size)


def same_settings_same_figures(source: Source) -> Outcome:
    """Do models of one setting have one figure?"""
    tables = source.tables
    pairs = list(_twins(tables))
    differ = [(after, before) for after, before in pairs if after.value != before.value]
    texts = (f"{before} but {after}" for after, before in differ)
    return Outcome(
        outcome=SUSPICIOUS if differ else HOLDS,
        by_how_much=f"{len(pairs) - len(differ)} of {len(pairs)} pairs are equal; "
        f"others: {listed(texts)}. One figure rounded once cannot print as two: those models were "
        "trained or evaluated twice, so repeated runs need not agree, or a digit was mistyped"
        if differ
        else f"{len(pairs)} of {len(pairs)} pairs are equal",
        margin=0.0 - max((abs(a.value - b.value) for a, b in differ), default=0.0),
        unit="nats or points",
        cells=tuple(cell for pair in differ for cell in pair),
    )


def _entropies_of_unlike_models(tables: Tables) -> Iterable[Cell]:
    """One entropy per model: a model that both experiments trained counts once."""
    found: dict[tuple[object, ...], Cell] = {}
    for (size, tuned), number in ENTROPY_TABLES.items():
        settings = tables.table(SETTING_TABLES[tuned])
        for method, task in product(tables.table(number).cells, TASKS):
            row = f"{task}/{size}/{method}"
            known = row not in settings.missing
            # Unknown settings are taken to be unlike those of the other experiment.
            key = row, _settings(settings, row) if known else tuned
            found.setdefault(key, tables.entropy(task, method, size, tuned=tuned))
    return found.values()


def unlike_models_differ(source: Source) -> Outcome:
    """Do models of unlike settings have unlike entropies?"""
    tables = source.tables
    cells = list(_entropies_of_unlike_models(tables))
    pairs = list(combinations(cells, 2))
    same = [(a, b) for a, b in pairs if a.value == b.value]
    # A pair at most NEAR_NATS apart prints alike in 1 of that many steps of the last digit, so
    # the number of such pairs says how many repeats chance alone would bring.
    steps = 2 * NEAR_NATS / (2 * cells[0].half_width) + 1
    near = [(a, b) for a, b in pairs if abs(round(a.value - b.value, 6)) <= NEAR_NATS]
    rows = [(a, b) for a, b in near if (a.row, a.table) == (b.row, b.table)]
    return Outcome(
        outcome=SUSPICIOUS if same else HOLDS,
        by_how_much=f"{len(same)} of {len(pairs)} pairs are equal: "
        f"{listed(f'{a} and {b}' for a, b in same)}. Chance alone would bring "
        f"{len(near) / steps:.2f} over all tables and {len(rows) / steps:.2f} within a row (from "
        f"the pairs within {NEAR_NATS} nats), so it may be chance or a figure copied by mistake",
        margin=float(-len(same)),
        unit="pairs that are equal",
        cells=tuple(dict.fromkeys(cell for pair in same for cell in pair)),
    )


def budgets_match(source: Source) -> Outcome:
    """Is KD trained for as many epochs as ERM?"""
    tables = source.tables
    texts, cells, longer = [], [], 0
    for number in (7, 12):
        table = tables.table(number)
        pairs = [
            (table.cell(row, "epochs"), table.cell(f"{row.rpartition('/')[0]}/erm", "epochs"))
            for row in table.cells
            if row.rpartition("/")[2] in KD
        ]
        more, fewer = ([p for p in pairs if (p[0].value - p[1].value) * s > 0] for s in (1, -1))
        longer += len(more)
        cells += [c for p in [*more, *fewer] for c in p]
        texts.append(
            f"Table {number}: KD trained for more epochs than ERM in {len(more)} of {len(pairs)}, "
            f"fewer in {len(fewer)} (in all {sum(a.value for a, _ in pairs):.0f} against "
            f"{sum(b.value for _, b in pairs):.0f})"
        )
    return Outcome(
        outcome=SUSPICIOUS if cells else HOLDS,
        by_how_much=f"{'. '.join(texts)}. More epochs tend to lower entropy by themselves, so part "
        "of KD's fall may be theirs",
        margin=float(-longer),
        unit="KD models trained longer",
        cells=tuple(dict.fromkeys(cells)),
    )
