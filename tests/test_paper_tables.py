"""The transcription of the paper's tables, against sums taken from the paper by another route."""

import pytest

from kdcheck.errors import InputError
from kdcheck.paper import load_tables, table
from kdcheck.paper.tables import ACCURACY_TABLES, ENTROPY_TABLES

# Sums of rows and of columns as printed, in the paper's order. A wrong digit changes one of each,
# two swapped cells change at least two.
SUMS = {
    2: ([0.6341, 2.6198, 0.4239, 0.5814], [0.9305, 1.0722, 0.7119, 1.5446]),
    3: ([344.6, 344.7, 347.6, 348.2], [325.6, 355.1, 378.1, 326.3]),
    4: ([0.3865, 2.0836, 0.4783], [0.6794, 0.8580, 0.5454, 0.8656]),
    5: ([353.2, 352.2, 353.5], [251.5, 272.1, 284.0, 251.3]),
    6: ([5801, 110206, 68221, 402517], [551847, 16095, 18803]),
    8: ([0.6341, 2.1762, 0.3679, 0.5435], [1.0033, 0.6571, 0.8863, 1.1750]),
    9: ([344.6, 343.2, 347.1, 349.0], [321.7, 356.4, 378.4, 327.4]),
    10: ([0.3864, 1.9951, 0.5356], [0.5514, 0.8870, 0.6010, 0.8777]),
    11: ([353.2, 352.9, 354.5], [252.2, 273.1, 283.9, 251.4]),
}
# Sums of alpha, temperature, rate and epochs: the digits of each stay apart.
SELECTED = {
    7: [
        *(4.00007, 7.40007, 5.10004, 4.00005, 4.90004, 7.10006),
        *(2.00004, 3.70002, 10.30002, 3.00003, 8.80002, 5.80003),
        *(9.00001, 3.30002, 7.70001, 2.00001, 2.30006, 2.60006),
        *(3.00003, 2.10003, 7.40003, 3.00003, 3.80003, 6.70003, 9.90003),
    ],
    12: [
        *(4.00007, 6.23327, 8.00004, 4.00005, 5.93253, 20.00003, 9.25007),
        *(2.00004, 3.69944, 66.25004, 3.00003, 4.13333, 73.75003, 72.50003),
        *(9.00001, 3.36642, 6.75001, 2.00001, 3.83265, 10.50002, 14.25005),
        *(3.00003, 2.10003, 11.50002, 3.00003, 5.16663, 15.00004, 73.75005),
    ],
}


def row_sums(number):
    return [sum(cell.value for cell in table(number).row(row)) for row in table(number).cells]


def column_sums(number):
    columns = zip(*table(number).cells.values(), strict=True)
    return [sum(cell.value for cell in column) for column in columns]


@pytest.mark.parametrize("number", SUMS)
def test_rows_and_columns_add_up_to_what_the_paper_prints(number):
    rows, columns = SUMS[number]
    # Sums of at most four figures of four decimals: exact but for binary fractions.
    assert row_sums(number) == pytest.approx(rows, abs=1e-9)
    assert column_sums(number) == pytest.approx(columns, abs=1e-9)


@pytest.mark.parametrize("number", SELECTED)
def test_selected_settings_add_up_to_what_the_paper_prints(number):
    assert row_sums(number) == pytest.approx(SELECTED[number], abs=1e-9)


def test_a_mistyped_digit_would_be_noticed():
    wrong = load_tables().changed(2, "ls", "mrpc", 0.6986).table(2)
    total = sum(cell.value for cell in wrong.row("ls"))
    assert total != pytest.approx(SUMS[2][0][1], abs=1e-9)


def test_the_rows_that_our_copy_lacks_are_missing_and_not_invented():
    missing = {f"{task}/smaller/self_kd" for task in ("mrpc", "qnli", "sst2")}
    assert set(table(7).missing) == missing
    assert load_tables().setting("mrpc", "self_kd", "smaller", "alpha") is None
    with pytest.raises(InputError) as error:
        table(7).cell("mrpc/smaller/self_kd", "alpha")
    assert "missing in our copy" in str(error.value)


def test_all_other_tables_are_whole():
    assert {n: t.missing for n, t in load_tables().tables.items() if t.missing}.keys() == {"7"}
    assert len(table(12).cells) == 28
    assert len(table(7).cells) == 25


def test_self_kd_rows_of_table_12_are_put_back_into_their_columns():
    row = [(c.column, c.value) for c in table(12).row("mrpc/smaller/self_kd")]
    assert row == [("alpha", 0.25), ("temperature", 2), ("learning_rate", 7e-5), ("epochs", 7)]


def test_units_and_half_widths_follow_the_printed_digits():
    for number in ENTROPY_TABLES.values():
        assert {(c.unit, c.half_width) for r in table(number).cells for c in table(number).row(r)} == {("nats", 5e-5)}  # fmt: skip
    for number in ACCURACY_TABLES.values():
        assert {(c.unit, c.half_width) for r in table(number).cells for c in table(number).row(r)} == {("%", 0.05)}  # fmt: skip
    assert table(12).cell("mrpc/larger/ls", "alpha").half_width == 5e-5
    assert table(6).cell("mrpc", "train").half_width == 0


@pytest.mark.parametrize(
    ("size", "tuned", "entropy", "accuracy"),
    [
        ("smaller", False, 0.6896, 80.3),
        ("larger", False, 0.5162, 84.1),
        ("smaller", True, 0.6916, 78.4),
        ("larger", True, 0.3778, 83.9),
    ],
)
def test_look_ups_find_the_table_of_size_and_experiment(size, tuned, entropy, accuracy):
    assert load_tables().entropy("mrpc", "ls", size, tuned=tuned).value == entropy
    assert load_tables().accuracy("mrpc", "ls", size, tuned=tuned).value == accuracy


@pytest.mark.parametrize(
    ("look_up", "facts"),
    [
        (lambda t: t.table(13), ("table 13", "A.3")),
        (lambda t: t.entropy("cola", "erm", "larger"), ("Table 4", "'cola'", "mrpc")),
        (lambda t: t.entropy("mrpc", "self_kd", "larger"), ("Table 4", "'self_kd'", "reverse_kd")),
        (lambda t: t.accuracy("mrpc", "erm", "huge"), ("'huge'", "smaller", "larger")),
        (lambda t: t.setting("mrpc", "ls", "larger", "dropout"), ("'dropout'", "learning_rate")),
        (lambda t: t.setting("cola", "ls", "larger", "alpha"), ("'cola/larger/ls'",)),
        (lambda t: t.table(7).cell("mrpc/larger/erm", "alpha"), ("a dash", "does not apply")),
        (lambda t: t.table(2).row("kd"), ("'kd'", "standard_kd")),
    ],
)
def test_an_unknown_cell_is_refused_with_what_there_is(look_up, facts):
    with pytest.raises(InputError) as error:
        look_up(load_tables())
    assert all(fact in str(error.value) for fact in facts)


def test_a_changed_copy_leaves_the_paper_alone():
    copy = load_tables().changed(7, "mrpc/larger/ls", "alpha", 0.5)
    assert copy.setting("mrpc", "ls", "larger", "alpha").value == 0.5
    assert load_tables().setting("mrpc", "ls", "larger", "alpha").value == 0.4


def test_cells_print_as_the_paper_prints_them():
    printed = [
        table(2).cell("ls", "mrpc"),
        table(3).cell("erm", "mrpc"),
        table(6).cell("mnli", "train"),
        table(12).cell("sst2/larger/ls", "learning_rate"),
        table(12).cell("sst2/larger/ls", "alpha"),
    ]
    assert [cell.printed for cell in printed] == [".6896", "81.0", "382,887", "2e-5", ".3664"]
