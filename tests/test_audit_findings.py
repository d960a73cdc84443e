"""Figures that the audit reports, each against another route."""

import math

import pytest
import scipy.stats

from kdcheck.paper import load_tables
from kdcheck.paper.audit import FAILS, HOLDS, SUSPICIOUS, find
from kdcheck.paper.audit.finding import Gap, signed
from kdcheck.paper.audit.sampling import (
    LEAST_DISCORDANT,
    beyond_paired_least,
    beyond_unpaired,
    unpaired_half_width,
)
from kdcheck.paper.audit.splits import GLUE as GLUE_SIZES
from kdcheck.paper.audit.theory import floors
from kdcheck.tasks.glue import GLUE as GLUE_TASKS


def finding(name):
    return find(name, load_tables())


def accuracy_gap(task, first, second, size, *, tuned=False):
    look_up = load_tables().accuracy
    return Gap(
        first=look_up(task, first, size, tuned=tuned),
        second=look_up(task, second, size, tuned=tuned),
    )


def test_floors_are_entropies_of_the_smoothed_labels():
    for floor in floors(load_tables()):
        alpha, classes = floor.alpha.low, floor.classes
        target = [1 - alpha + alpha / classes] + [alpha / classes] * (classes - 1)
        # Entropies below 1.1 in double precision: a few units of 2e-16 each.
        assert floor.nats == pytest.approx(scipy.stats.entropy(target), abs=1e-14)


def test_one_cell_of_label_smoothing_lies_below_its_floor():
    found = finding("ls_entropy_floor")
    assert found.outcome == SUSPICIOUS
    assert [str(cell) for cell in found.cells] == [
        "Table 2 LS MNLI .8103",
        "Table 7 MNLI DistilBERT LS alpha .8",
    ]
    # H(1/3 * .8 + .2, .8/3, .8/3) by hand is 1.0606; the cell is .8103 with half a digit of .00005.
    assert found.margin == pytest.approx(0.81035 - 1.06060, abs=5e-5)
    assert "15 of 16" in found.by_how_much
    assert "not impossible" in found.by_how_much.lower()


def test_the_cells_far_above_their_floor_are_those_of_bert_on_mnli():
    cells = {str(cell) for cell in finding("ls_entropy_near_floor").cells}
    assert {"Table 4 LS MNLI .4770", "Table 10 LS MNLI .4770"} < cells
    assert len(cells) == 4


def test_ratios_of_label_smoothing_are_those_of_the_cells():
    text = finding("ls_multiplies_entropy").by_how_much
    for ratio in (0.6896 / 0.1123, 0.6752 / 0.1419, 0.4447 / 0.1101, 0.8103 / 0.2698):
        assert f"{ratio:.2f}" in text
    assert "Outside 3 to 6 taken to the letter: MRPC 6.14" in text


def test_the_one_cell_that_differs_between_experiments_is_found():
    found = finding("same_settings_same_figures")
    assert [str(c) for c in found.cells] == ["Table 10 ERM MNLI .1844", "Table 4 ERM MNLI .1845"]
    assert found.margin == pytest.approx(-0.0001)
    # 8 ERM models and label smoothing of BERT on MNLI, an entropy and an accuracy each.
    assert "17 of 18" in found.by_how_much


def test_the_exception_that_the_introduction_forgets_is_found():
    found = finding("only_larger_students_gain_entropy")
    assert found.outcome == FAILS
    assert found.margin == pytest.approx(0.2698 - 0.2758)


def test_self_kd_students_lie_outside_what_they_could_inherit():
    details = finding("student_follows_teacher").details
    assert sum("self-KD" in line for line in details) == 8
    assert any("Table 4 QNLI reverse KD .0834" in line and "-.0384" in line for line in details)


def test_four_counts_of_section_4_are_lost_when_temperature_is_tuned():
    found = finding("a3_findings_hold")
    assert [line.partition(":")[0] for line in found.details] == [
        "standard KD surer than self-KD on all",
        "LS less accurate than ERM on three",
        "self-KD more accurate than standard KD on three",
        "KD more accurate than ERM on all",
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
    gap = accuracy_gap("sst2", "reverse_kd", "ls", "larger", tuned=True)
    errors = [scipy.stats.binom(1800, p).std() / 1800 for p in (0.949, 0.945)]
    half_width = 100 * scipy.stats.norm.ppf(0.975) * math.hypot(*errors)
    # z is kept to seven digits.
    assert unpaired_half_width(gap, load_tables()) == pytest.approx(half_width, rel=1e-6)


def test_no_gain_of_table_11_exceeds_the_unpaired_bound():
    found = finding("reverse_kd_clearly_beats_ls")
    assert found.outcome == SUSPICIOUS
    assert found.margin == -4


@pytest.mark.parametrize(
    ("gap", "unpaired", "paired"),
    [
        (("mnli", "standard_kd", "ls", "smaller", True), True, True),
        (("mnli", "standard_kd", "erm", "smaller", False), False, True),
        (("sst2", "self_kd", "standard_kd", "smaller", False), False, False),
    ],
)
def test_gains_are_sorted_by_the_two_bounds(gap, unpaired, paired):
    *names, tuned = gap
    found = accuracy_gap(*names, tuned=tuned)
    assert beyond_unpaired(found, load_tables()) is unpaired
    assert beyond_paired_least(found, load_tables()) is paired


def test_differences_print_with_sign_and_without_noise():
    assert (signed(0.3, "%"), signed(-0.05, "nats"), signed(1.25, "nats")) == ("+0.3", "-.0500", "+1.2500")  # fmt: skip
    assert accuracy_gap("mnli", "ls", "erm", "larger").value == 0


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
    found = finding("kd_stays_below_throughout")
    assert found.outcome == SUSPICIOUS
    assert found.margin == pytest.approx(0.2698 - 0.2758)
    assert "our copy lacks the figure" in found.by_how_much


def test_a_gain_exceeds_its_sampling_error_only_if_rounding_cannot_have_made_it_do_so():
    # Self-KD on MNLI is .9 points above ERM, the half-width is 1.1 and both figures are rounded.
    tables = load_tables()
    half_width = unpaired_half_width(accuracy_gap("mnli", "self_kd", "erm", "smaller"), tables)
    for gain, exceeds in ((half_width + 0.05, False), (half_width + 0.15, True)):
        altered = tables.changed(3, "self_kd", "mnli", 81.3 + gain)
        gap = Gap(
            first=altered.accuracy("mnli", "self_kd", "smaller"),
            second=altered.accuracy("mnli", "erm", "smaller"),
        )
        assert beyond_unpaired(gap, altered) is exceeds
