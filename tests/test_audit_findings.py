"""Figures that the audit reports, each against another route."""

import math

import pytest
import scipy.stats

from kdcheck.paper import load_tables
from kdcheck.paper.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD, accuracy, tuned
from kdcheck.paper.audit import FAILS, HOLDS, SUSPICIOUS, find
from kdcheck.paper.audit.comparing import Source, compare
from kdcheck.paper.audit.finding import signed
from kdcheck.paper.audit.sampling import (
    LEAST_DISCORDANT,
    beyond_paired_least,
    beyond_unpaired,
    unpaired_half_width,
)
from kdcheck.paper.audit.splits import GLUE as GLUE_SIZES
from kdcheck.paper.publication import PAPER
from kdcheck.paper.statements.entropies import fitted_ls_keeps_its_floor, tuned_ls_keeps_its_floor
from kdcheck.tasks.glue import GLUE as GLUE_TASKS


def finding(name):
    return find(name, load_tables())


def gap(task, contrast, tables=None):
    """Points of accuracy on one task."""
    found = compare(contrast, Source.of(tables or load_tables()), "points")
    return next(seen for seen in found if seen.task == task)


def test_floors_are_entropies_of_the_smoothed_labels():
    seen = 0
    for said in (fitted_ls_keeps_its_floor, tuned_ls_keeps_its_floor):
        for contrast in said.contrasts().values():
            for task, (entropy, floor) in (
                (task, row.values()) for task, row in PAPER.cells(contrast).items()
            ):
                alpha, classes = (
                    float(floor.text.removeprefix("alpha ")),
                    3 if task == "mnli" else 2,
                )
                target = [1 - alpha + alpha / classes] + [alpha / classes] * (classes - 1)
                # Entropies below 1.1 in double precision: a few units of 2e-16 each.
                assert floor.value == pytest.approx(scipy.stats.entropy(target), abs=1e-14)
                assert (floor.experiment, floor.task) == (entropy.experiment, task)
                seen += 1
    assert seen == 16


def test_one_cell_of_label_smoothing_lies_below_its_floor():
    found = finding("fitted_ls_keeps_its_floor")
    assert found.outcome == SUSPICIOUS
    assert [str(cell) for cell in found.cells] == [
        "Table 2 LS MNLI .8103",
        "Table 7 MNLI DistilBERT LS alpha .8",
    ]
    # H(1/3 * .8 + .2, .8/3, .8/3) by hand is 1.0606; the cell is .8103 with half a digit of .00005.
    assert found.margin == pytest.approx(0.81035 - 1.0606, abs=1e-4)
    assert "7 of 8" in found.by_how_much
    assert "not impossible" in found.by_how_much.lower()


def test_the_cells_far_above_their_floor_are_those_of_bert_on_mnli():
    cells = {str(cell) for cell in finding("ls_entropy_near_floor").cells}
    assert {"Table 4 LS MNLI .4770", "Table 10 LS MNLI .4770"} < cells
    assert len(cells) == 4


def test_ratios_of_label_smoothing_are_those_of_the_cells():
    # The least, on MNLI, and the greatest, on MRPC, at the digits that print like these.
    low, high = 0.81035 / 0.26975, 0.68955 / 0.11235
    assert finding("ls_triples_entropy").margin == pytest.approx(low - 2.5, abs=1e-6)
    found = finding("ls_multiplies_entropy_by_six_at_most")
    assert found.margin == pytest.approx(6.5 - high, abs=1e-6)
    assert "Table 2 MRPC -0.14 (LS .6896, ERM .1123)" in found.by_how_much


def test_the_one_cell_that_differs_between_experiments_is_found():
    found = finding("same_settings_same_figures")
    assert [str(c) for c in found.cells] == ["Table 10 ERM MNLI .1844", "Table 4 ERM MNLI .1845"]
    assert found.margin == pytest.approx(-0.0001)
    # 8 ERM models and label smoothing of BERT on MNLI, an entropy and an accuracy each.
    assert "17 of 18" in found.by_how_much


def test_the_exception_that_the_introduction_forgets_is_found():
    found = finding("only_larger_students_gain_entropy")
    assert found.outcome == FAILS
    # Two half-widths in its favour.
    assert found.margin == pytest.approx(0.2698 - 0.2758 + 0.0001)


def test_self_kd_students_lie_outside_what_they_could_inherit():
    details = finding("student_follows_teacher").details
    assert len(details) == 15
    assert sum("self-KD" in line for line in details) == 8
    assert any(
        "QNLI -.0384 (Table 4 reverse KD .0834, Table 4 ERM .1218, Table 2 ERM .1419)" in line
        for line in details
    )
    # Teachers and own kind of appendix A.3 are its own: BERT on MNLI is .1844 there.
    assert any("MNLI" in line and "Table 10 ERM .1844" in line for line in details)


def test_three_counts_of_section_4_are_lost_when_temperature_is_tuned():
    found = finding("a3_findings_hold")
    assert [line.partition(":")[0] for line in found.details] == [
        "standard_kd_is_surer_than_self_kd",
        "ls_lags_erm",
        "self_kd_beats_standard_kd",
    ]


def test_published_sizes_are_those_that_the_tasks_are_read_with():
    for name, task in GLUE_TASKS.items():
        for split, source in task.read_from.items():
            if split != task.cut_into:
                assert GLUE_SIZES[name][source.partition("_")[0]] == task.published[split]
    assert finding("table_6_fits_glue").outcome == HOLDS


def test_the_least_number_of_discordant_examples_is_that_of_the_exact_test():
    p_values = [
        scipy.stats.binomtest(n, n).pvalue for n in (LEAST_DISCORDANT - 1, LEAST_DISCORDANT)
    ]
    assert p_values[0] >= 0.05 > p_values[1]


def test_the_unpaired_half_width_is_that_of_two_binomials():
    seen = gap("sst2", tuned(accuracy(REVERSE_KD) - accuracy(LS("larger"))))
    errors = [scipy.stats.binom(1800, p).std() / 1800 for p in (0.949, 0.945)]
    half_width = 100 * scipy.stats.norm.ppf(0.975) * math.hypot(*errors)
    # z is kept to seven digits.
    assert unpaired_half_width(seen, load_tables()) == pytest.approx(half_width, rel=1e-6)


def test_no_gain_of_table_11_exceeds_the_unpaired_bound():
    found = finding("reverse_kd_clearly_beats_ls")
    assert found.outcome == SUSPICIOUS
    assert found.margin == -4


@pytest.mark.parametrize(
    ("task", "contrast", "unpaired", "paired"),
    [
        ("mnli", tuned(accuracy(STANDARD_KD) - accuracy(LS("smaller"))), True, True),
        ("mnli", accuracy(STANDARD_KD) - accuracy(ERM("smaller")), False, True),
        ("sst2", accuracy(SELF_KD) - accuracy(STANDARD_KD), False, False),
    ],
    ids=["clear", "between", "never"],
)
def test_gains_are_sorted_by_the_two_bounds(task, contrast, unpaired, paired):
    found = gap(task, contrast)
    assert beyond_unpaired(found, load_tables()) is unpaired
    assert beyond_paired_least(found, load_tables()) is paired


def test_differences_print_with_sign_and_without_noise():
    assert [signed(value, unit) for value, unit in ((0.3, "points"), (-0.05, "nats"), (1.25, "nats"), (0.0, "points"), (-0.125, "times"))] == ["+0.3", "-.0500", "+1.2500", "0.0", "-0.12"]  # fmt: skip
    assert gap("mnli", accuracy(LS("larger")) - accuracy(ERM("larger"))).value == 0


def test_rounding_can_have_moved_a_gap_by_the_half_widths_of_its_cells():
    seen = gap("mrpc", accuracy(LS("larger")) - accuracy(ERM("larger")))
    assert (seen.low, seen.value, seen.high) == pytest.approx((0.0, 0.1, 0.2))


def test_an_entropy_that_two_unlike_models_share_is_found():
    found = finding("unlike_models_differ")
    assert found.outcome == SUSPICIOUS
    assert [str(cell) for cell in found.cells] == [
        "Table 4 reverse KD MRPC .0954",
        "Table 4 reverse KD SST-2 .0954",
    ]
    # 56 cells less 8 of ERM and 1 of label smoothing that both experiments share: 47 models.
    assert f"1 of {math.comb(47, 2)} pairs" in found.by_how_much
    # Counted apart from this package, over cells typed anew: 30 pairs within .005 nats, 4 of them in one row,
    # each alike in 1 of 101 cases.
    assert f"{30 / 101:.2f} over all tables and {4 / 101:.2f} within a row" in found.by_how_much


def test_a_sentence_about_a_figure_that_our_copy_lacks_is_never_failed_by_a_table():
    found = finding("kd_stays_surer_throughout")
    assert found.outcome == SUSPICIOUS
    assert found.margin == pytest.approx(0.2698 - 0.2758)
    assert "our copy lacks the figure" in found.by_how_much


def test_a_gain_exceeds_its_sampling_error_only_if_rounding_cannot_have_made_it_do_so():
    # Self-KD on MNLI is .9 points above ERM, the half-width is 1.1 and both figures are rounded.
    tables, contrast = load_tables(), accuracy(SELF_KD) - accuracy(ERM("smaller"))
    half_width = unpaired_half_width(gap("mnli", contrast), tables)
    for gain, exceeds in ((half_width + 0.05, False), (half_width + 0.15, True)):
        altered = tables.changed(3, "self_kd", "mnli", 81.3 + gain)
        assert beyond_unpaired(gap("mnli", contrast, altered), altered) is exceeds
