"""The paper as data: arms, printed figures, statements and their contrasts on the tables."""

import json
from dataclasses import replace

import pytest

from kdcheck.claims import Arm, Margin, Paper, Reading, apply, claim_of, nats, reading
from kdcheck.errors import ClaimError
from kdcheck.paper import PAPER, all_statements, claim, load_tables, statement
from kdcheck.paper.arms import (
    ERM,
    LS,
    REVERSE_KD,
    SELF_KD,
    STANDARD_KD,
    TUNED_LS,
    TUNED_REVERSE_KD,
    TUNED_SELF_KD,
    TUNED_STANDARD_KD,
    accuracy,
    entropy,
    shuffled,
    tuned,
)
from kdcheck.paper.audit import DRAWN
from kdcheck.paper.margins import reason, smallest_gap
from kdcheck.paper.statements.statement import stated
from tests.test_claims import CLAIMS
from tests.test_imports import loaded_after

TASKS = ("mrpc", "qnli", "sst2", "mnli")
# Statement and case: what Tables 2 to 5 and 8 to 11 give for MRPC, QNLI, SST-2 and MNLI, taken from
# the paper by hand. Entropies in nats, accuracies in points, the claimed direction positive.
PRINTED = {
    "ls_raises_entropy[smaller]": (0.5773, 0.5333, 0.3346, 0.5405),
    "ls_raises_entropy[larger]": (0.4484, 0.5310, 0.4252, 0.2925),
    "tuned_ls_raises_entropy[smaller]": (0.5793, 0.1530, 0.5701, 0.2397),
    "tuned_ls_raises_entropy[larger]": (0.3100, 0.5294, 0.4767, 0.2926),
    "standard_kd_lowers_entropy": (0.0575, 0.0209, 0.0507, 0.0811),
    "self_kd_lowers_entropy": (0.0385, 0.0078, 0.0124, -0.0060),
    "tuned_standard_kd_lowers_entropy": (0.0056, 0.0395, 0.0994, 0.1217),
    "tuned_self_kd_lowers_entropy": (0.0196, 0.0240, 0.0248, 0.0222),
    "kd_lowers_entropy_somewhere": (0.0056, 0.0395, 0.0994, 0.1217),
    "only_larger_students_gain_entropy": (0.0385, 0.0078, 0.0124, -0.0060),
    "kd_and_ls_move_apart[standard]": (0.0575, 0.0209, 0.0507, 0.0811),
    "kd_and_ls_move_apart[self]": (0.0385, 0.0078, 0.0124, -0.0060),
    "kd_and_ls_move_apart[reverse]": (-0.0276, 0.0384, -0.0830, -0.0196),
    "student_ends_near_its_teacher[standard]": (-0.0130, -0.0008, 0.0470, 0.0042),
    "student_ends_near_its_teacher[self]": (-0.0385, -0.0078, -0.0124, 0.0060),
    "student_ends_near_its_teacher[reverse]": (-0.0169, -0.0585, -0.0147, -0.0657),
    "larger_model_is_surer": (0.0445, 0.0201, 0.0977, 0.0853),
    "standard_kd_is_surer_than_self_kd": (0.0190, 0.0131, 0.0383, 0.0871),
    "standard_kd_is_surer_when_tuned": (-0.0140, 0.0155, 0.0746, 0.0995),
    "reverse_kd_raises_entropy": (0.0276, -0.0384, 0.0830, 0.0196),
    "tuned_reverse_kd_raises_entropy": (0.0380, -0.0078, 0.0871, 0.0319),
    "reverse_kd_stays_far_below_ls": (0.3932, 0.6078, 0.2592, 0.2533),
    "tuned_reverse_kd_stays_far_below_ls": (0.2340, 0.5450, 0.3025, 0.2288),
    "ls_triples_entropy": (0.6896 / 0.1123 - 3, 0.6752 / 0.1419 - 3, 0.4447 / 0.1101 - 3, 0.8103 / 0.2698 - 3),
    "student_follows_teacher[standard]": (-0.0130, -0.0008, 0.0470, 0.0042),
    "student_follows_teacher[self]": (-0.0385, -0.0078, -0.0124, -0.0060),
    "student_follows_teacher[tuned standard]": (0.0056, -0.0194, -0.0017, -0.0363),
    "kd_beats_ls": (1.85, 0.7, -0.35, 1.0),
    "tuned_kd_beats_ls": (2.75, 0.75, -0.5, 1.85),
    "kd_beats_erm": (1.15, 0.6, 0.85, 0.7),
    "ls_lags_erm": (0.7, 0.1, -1.2, 0.3),
    "self_kd_beats_standard_kd": (0.3, -0.2, 0.1, 0.4),
    "reverse_gain_is_smaller[erm]": (1.75, 0.3, 0.45, 0.5),
    "reverse_gain_is_smaller[ls]": (2.55, -0.8, -0.65, 0.8),
    "reverse_student_beats_its_teacher": (2.4, 2.8, 1.1, 2.6),
    "tuned_reverse_student_beats_its_teacher": (3.3, 2.8, 1.1, 2.7),
    "reverse_kd_clearly_beats_ls": (0.4, 0.5, 0.4, 0.3),
}  # fmt: skip


def h(arm, **how):
    return reading("mean_entropy_nats", arm, **how)


def curve(arm, split="test_sample"):
    return h(arm, split=split, point="every")


def below(student, smoothed):
    others = [arm.on_budget_of(student) for arm in (ERM("smaller"), smoothed)]
    gaps = [
        curve(o, split) - curve(student, split)
        for split in ("train_sample", "test_sample")
        for o in others
    ]
    return apply("least", apply("minimum", *gaps))


def between(student, smoothed):
    bounds = [curve(arm.on_budget_of(student)) for arm in (ERM("larger"), smoothed)]
    return apply("least", apply("between", curve(student), *bounds))


def drop(student):
    plain = ERM("smaller").on_budget_of(student)
    return apply("first", curve(plain) - curve(student))


def likeness(student):
    ours, shuffled = (
        reading("entropy_correlation", student.taught_by(student.teacher, shuffled=how))
        for how in (False, True)
    )
    return apply("fisher z", ours) - apply("fisher z", shuffled)


def beside_floor(size):
    return h(LS(size)) - reading("smoothing_floor_nats", LS(size))


def fitted(size):
    largest = reading("largest_entropy_nats", ERM(size), split="train_sample")
    return 0.5 * largest - h(ERM(size), split="train_sample")


def lead(size):
    return reading("accuracy_over_majority", ERM(size)) * 100.0


PLAIN, VIRTUAL = ERM("smaller"), Arm("virtual_teacher", "smaller")
BADLY_TAUGHT = STANDARD_KD.taught_by(Arm("erm_poorly_trained", "larger"))
# Claims that no table prints: the contrast, written out by hand.
UNPRINTED = {
    "fitted_ls_keeps_its_floor[smaller]": beside_floor("smaller"),
    "fitted_ls_keeps_its_floor[larger]": beside_floor("larger"),
    "plain_models_are_fitted[smaller]": fitted("smaller"),
    "plain_models_are_fitted[larger]": fitted("larger"),
    "plain_models_have_learned[smaller]": lead("smaller"),
    "plain_models_have_learned[larger]": lead("larger"),
    "erm_leaves_room_to_triple": reading("largest_entropy_nats", PLAIN) / h(PLAIN) - 3.0,
    "kd_drops_entropy_early[standard]": drop(STANDARD_KD),
    "kd_drops_entropy_early[self]": drop(SELF_KD),
    "kd_stays_surer_throughout[standard]": below(STANDARD_KD, LS("smaller")),
    "kd_stays_surer_throughout[self]": below(SELF_KD, LS("smaller")),
    "tuned_kd_stays_surer_throughout[standard]": below(TUNED_STANDARD_KD, TUNED_LS("smaller")),
    "tuned_kd_stays_surer_throughout[self]": below(TUNED_SELF_KD, TUNED_LS("smaller")),
    "reverse_kd_runs_between_throughout": between(REVERSE_KD, LS("larger")),
    "tuned_reverse_kd_runs_between_throughout": between(TUNED_REVERSE_KD, TUNED_LS("larger")),
    "smoothing_shows_on_seen_text": h(LS("smaller"), split="train_sample") - h(PLAIN, split="train_sample"),
    "longer_training_lowers_entropy": h(PLAIN) - h(Arm("erm_longer", "smaller")),
    "confidence_follows_the_teacher": likeness(STANDARD_KD),
    "softened_teacher_softens_student": h(STANDARD_KD.taught_by(ERM("larger"), temperature=2)) - h(STANDARD_KD),
    "smoothed_teacher_softens_student": h(STANDARD_KD.taught_by(LS("larger"))) - h(STANDARD_KD),
    "virtual_teacher_raises_entropy": h(VIRTUAL) - h(PLAIN),
    "virtual_teacher_is_as_accurate_as_kd": accuracy(VIRTUAL) - accuracy(STANDARD_KD),
    "weak_teacher_still_helps": accuracy(BADLY_TAUGHT) - accuracy(PLAIN),
}  # fmt: skip


def contrast_of(name):
    said, _, case = name.rstrip("]").partition("[")
    return statement(said).contrasts()[case]


@pytest.mark.parametrize("name", PRINTED)
def test_a_statement_has_on_the_tables_the_gaps_that_they_print(name):
    found = PAPER.values(contrast_of(name))
    # Figures of at most four decimals: exact but for binary fractions.
    assert found == pytest.approx(dict(zip(TASKS, PRINTED[name], strict=True)), abs=1e-9)


@pytest.mark.parametrize("name", UNPRINTED)
def test_a_statement_that_no_table_prints_is_the_contrast_written_by_hand(name):
    assert contrast_of(name) == UNPRINTED[name]


def test_every_case_of_every_claim_is_written_here_by_hand():
    cases = {
        f"{each.id}[{case}]" if case else each.id
        for _, _, each in CLAIMS
        for case in statement(each.id).contrasts()
    }
    assert cases <= set(PRINTED) | set(UNPRINTED)
    assert not set(PRINTED) & set(UNPRINTED)


def test_a_shuffled_control_differs_from_its_arm_by_the_shuffling_alone():
    for arm in (STANDARD_KD, SELF_KD):
        assert shuffled(arm) == replace(arm, teacher_shuffled=True) != arm


def test_the_arms_are_taught_as_section_4_says():
    keys = [arm.key for arm in (STANDARD_KD, SELF_KD, REVERSE_KD)]
    assert keys == [
        "standard_kd/smaller<-erm/larger",
        "self_kd/smaller<-erm/smaller",
        "reverse_kd/larger<-erm/smaller",
    ]
    for plain, other in ((STANDARD_KD, TUNED_STANDARD_KD), (SELF_KD, TUNED_SELF_KD), (REVERSE_KD, TUNED_REVERSE_KD)):  # fmt: skip
        assert other == replace(plain, method=f"tuned_{plain.method}")


def test_a_tuned_contrast_has_the_arms_of_the_appendix_and_the_same_erm():
    assert tuned(2.0 * entropy(LS("larger")) - entropy(ERM("larger"))) == (
        2.0 * entropy(TUNED_LS("larger")) - entropy(ERM("larger"))
    )


def test_accuracy_is_read_in_points_and_printed_as_a_fraction():
    cell = PAPER.find(Reading("accuracy", SELF_KD), "qnli")
    assert (cell.table, cell.text) == ("3", "89.0")
    assert (cell.value, cell.half_width) == pytest.approx((0.89, 0.0005))
    assert PAPER.values(accuracy(SELF_KD))["qnli"] == pytest.approx(89.0)


@pytest.mark.parametrize(
    ("arm", "metric", "task", "table", "text"),
    [
        (LS("smaller"), "mean_entropy_nats", "qnli", "2", ".6752"),
        (TUNED_LS("smaller"), "mean_entropy_nats", "qnli", "8", ".2949"),
        (TUNED_LS("larger"), "accuracy", "mrpc", "11", "83.9"),
        (TUNED_REVERSE_KD, "mean_entropy_nats", "mrpc", "10", ".1058"),
        (TUNED_SELF_KD, "accuracy", "mnli", "9", "82.6"),
        (LS("smaller"), "smoothing_floor_nats", "mnli", "7", "alpha .8"),
        (TUNED_LS("larger"), "smoothing_floor_nats", "sst2", "12", "alpha .3664"),
    ],
)
def test_a_figure_is_found_in_the_table_of_its_arm(arm, metric, task, table, text):
    found = PAPER.find(Reading(metric, arm), task)
    assert (found.table, found.text) == (table, text)


def test_every_cell_of_the_eight_result_tables_is_printed_once():
    numbers = [str(n) for n in (2, 3, 4, 5, 8, 9, 10, 11)]
    for number in numbers:
        rows = load_tables().table(number).cells.values()
        cells = sorted(cell.printed for row in rows for cell in row)
        assert sorted(p.text for p in PAPER.printed if p.table == number) == cells


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("reverse_kd_raises_entropy", {"4"}),
        ("tuned_reverse_kd_raises_entropy", {"10"}),
        ("larger_model_is_surer", {"2", "4"}),
        ("tuned_reverse_student_beats_its_teacher", {"9", "11"}),
        ("student_follows_teacher[tuned standard]", {"8", "10"}),
    ],
)
def test_a_contrast_takes_all_its_figures_from_one_experiment(name, tables):
    # ERM stands in both: BERT on MNLI is .1845 in Table 4 and .1844 in Table 10.
    for row in PAPER.cells(contrast_of(name)).values():
        assert {cell.table for cell in row.values()} == tables


def test_a_contrast_over_two_experiments_takes_each_figure_from_where_it_stands():
    rows = PAPER.cells(entropy(TUNED_LS("larger")) - entropy(LS("larger")))
    assert {tuple(cell.table for cell in row.values()) for row in rows.values()} == {("10", "4")}


def test_the_paper_survives_the_way_through_json():
    copy = Paper.from_dict(json.loads(json.dumps(PAPER.to_dict())))
    assert set(copy.printed) == set(PAPER.printed)
    assert (copy.figures, copy.labels, copy.arms) == (PAPER.figures, PAPER.labels, PAPER.arms)


def test_every_arm_of_the_paper_has_a_label_and_those_of_its_figures_a_colour():
    assert {arm.method for arm in PAPER.arms} == set(PAPER.labels)
    assert {arm.method for figure in PAPER.figures for arm in figure.arms} <= set(PAPER.colours)
    assert [PAPER.label(arm) for arm in (STANDARD_KD, TUNED_LS("larger"))] == ["Standard KD", "LS, tuned α"]  # fmt: skip
    assert PAPER.label(STANDARD_KD.on_budget_of(SELF_KD)).endswith("budget of Self-KD (smaller)")


def test_statements_are_sentences_with_a_place():
    for said in all_statements():
        assert said.says.endswith("."), said.id
        assert said.where, said.id


def test_decided_statements_have_figures_on_every_task():
    for said in all_statements():
        if said.kind != "ours" and not said.undecidable and said.id not in DRAWN:
            for case, contrast in said.contrasts().items():
                assert tuple(PAPER.values(contrast)) == TASKS, (said.id, case)


def test_the_reason_of_a_margin_is_its_share_of_the_smallest_gap_of_the_claimed_sign():
    # QNLI +.0078 is the smallest fall; MNLI rises by .0060, which is no gap of the claimed sign.
    text = reason(nats(0.004), [statement("self_kd_lowers_entropy")])
    assert text == "51 % of the smallest gap that the tables print (0.0078 nats, QNLI, Table 2)"
    both = [statement("ls_raises_entropy"), statement("tuned_ls_raises_entropy")]
    gap = smallest_gap(both)
    assert (gap.size, gap.task, gap.tables) == (pytest.approx(0.153), "qnli", ("8",))
    assert "Tables 2 and 4" in reason(nats(0.01), [statement("larger_model_is_surer")])


def test_a_margin_without_a_reason_is_refused_where_no_table_prints_a_gap():
    with pytest.raises(ClaimError, match="chosen after the fact"):
        claim(statement("softened_teacher_softens_student"), margin=nats(0.02))


def test_a_claim_takes_sentence_place_quantifier_and_direction_from_its_statement():
    @stated("section 9", holds="on most tasks", direction="not_below")
    def it_is_so():
        """It is
        so."""
        return entropy(ERM("smaller"))

    def test(study): ...

    found = claim_of(claim(it_is_so, margin=Margin(1.0, "nats"), because="b")(test))
    assert (found.id, found.says, found.where) == ("it_is_so", "It is so.", "section 9")
    assert (found.holds, found.direction, found.paper) == ("most", "not_below", PAPER)


def test_importing_the_paper_loads_no_torch():
    assert not loaded_after("import kdcheck.paper") & {"torch", "scipy", "mlflow", "transformers"}
