"""The paper's splits of GLUE: Table 6, whichever source serves the files."""

import pytest

from kdcheck.errors import TaskError
from kdcheck.tasks import Split
from kdcheck.tasks.columns import split_from_columns
from kdcheck.tasks.glue import GLUE, assemble

# Written from Table 6, not from the code.
TABLE_6 = {
    "mrpc": (3668, 408, 1725),
    "qnli": (99743, 5000, 5463),
    "sst2": (65549, 872, 1800),
    "mnli": (382887, 9815, 9815),
}


# Written from the label maps that GLUE publishes, not from the code: 0, 1, 2, ...
LABELS = {
    "mrpc": ("not_equivalent", "equivalent"),
    "qnli": ("entailment", "not_entailment"),
    "sst2": ("negative", "positive"),
    "mnli": ("entailment", "neutral", "contradiction"),
}


class MadeUp:
    """A source whose splits have the given number of rows."""

    def __init__(self, **rows):
        self.rows = rows

    def check(self, name):
        return ""

    def describe(self, name):
        return f"made up {name}"

    def read(self, layout, split):
        rows = range(self.rows[split])
        return Split(
            ids=tuple(f"{split}-{row}" for row in rows),
            texts=tuple(tuple(f"{split} {row}" for _ in layout.text_columns) for row in rows),
            labels=tuple(row % len(layout.classes) for row in rows),
        )


def sizes(task):
    return (len(task.train), len(task.validation), len(task.test))


@pytest.mark.parametrize("name", LABELS)
def test_a_class_has_the_number_that_glue_gives_it(name):
    assert GLUE[name].layout.classes == LABELS[name]
    columns = {
        column: ["some text"] * len(LABELS[name]) for column in GLUE[name].layout.text_columns
    }
    split = split_from_columns(columns | {"label": LABELS[name]}, GLUE[name].layout, "train", "x")
    assert split.labels == tuple(range(len(LABELS[name])))


@pytest.mark.parametrize("name", TABLE_6)
def test_declared_sizes_are_those_of_table_6(name):
    assert tuple(GLUE[name].sizes.values()) == TABLE_6[name]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("mrpc", {"train": 3668, "validation": 408, "test": 1725}),
        ("qnli", {"train": 104743, "validation": 5463}),
        ("sst2", {"train": 67349, "validation": 872}),
    ],
)
def test_full_files_give_the_sizes_of_table_6_and_no_subset_note(name, published):
    # MNLI's 392,702 rows take 3 s; the same rule is tried on a part of it below.
    task = assemble(GLUE[name], MadeUp(**published))
    assert sizes(task) == TABLE_6[name]
    assert not any("subset" in note for note in task.origin.notes)


@pytest.mark.parametrize(
    ("name", "cut_into", "published_test"),
    [("qnli", "validation", "validation"), ("mnli", "validation", "validation_matched")],
)
def test_published_validation_is_the_blind_test_where_glue_hides_the_test(
    name, cut_into, published_test
):
    task = assemble(GLUE[name], MadeUp(train=2000, **{published_test: 30}))
    assert task.test.ids == tuple(f"{published_test}-{row}" for row in range(30))
    assert all(example.startswith("train-") for example in task.split(cut_into).ids)


def test_sst2_selects_on_published_validation_and_tests_on_a_cut_of_train():
    task = assemble(GLUE["sst2"], MadeUp(train=4000, validation=30))
    assert task.validation.ids[0] == "validation-0"
    assert len(task.test) == 1800
    assert set(task.test.ids).isdisjoint(task.train.ids)
    assert all(example.startswith("train-") for example in task.test.ids)


def test_a_subset_is_cut_to_the_paper_size_and_says_what_it_is():
    task = assemble(GLUE["qnli"], MadeUp(train=28657, validation=5463))
    assert sizes(task) == (23657, 5000, 5463)
    assert task.origin.notes[0].startswith("train: a subset, 28,657 of 104,743 rows")
    assert "validation: 5,000 rows cut from train by content, seed 0" in task.origin.notes


def test_of_a_small_subset_the_share_of_the_paper_is_cut():
    task = assemble(GLUE["qnli"], MadeUp(train=1000, validation=10))
    assert len(task.validation) == round(1000 * 5000 / 104743)


def test_the_cut_does_not_depend_on_the_order_of_the_file():
    class Backwards(MadeUp):
        def read(self, layout, split):
            whole = super().read(layout, split)
            return whole.take(range(len(whole))[::-1])

    rows = {"train": 500, "validation": 10}
    forwards = assemble(GLUE["qnli"], MadeUp(**rows))
    backwards = assemble(GLUE["qnli"], Backwards(**rows))
    assert set(forwards.validation.ids) == set(backwards.validation.ids)


def test_rows_that_train_shares_with_test_are_counted_and_kept():
    class Leaky(MadeUp):
        def read(self, layout, split):
            whole = super().read(layout, split)
            texts = tuple(
                tuple(t.replace("validation", "train") for t in row) for row in whole.texts
            )
            return Split(ids=whole.ids, texts=texts, labels=whole.labels)

    task = assemble(GLUE["sst2"], Leaky(train=200, validation=40))
    # 40 rows are shared; of those, the cut moved some into test.
    shared = sum(int(example.split("-")[1]) < 40 for example in task.train.ids)
    assert sum(sizes(task)) == 240
    assert f"rows of train whose text is also in validation: {shared} " in task.origin.notes[-1]


def test_a_train_file_of_one_row_cannot_be_cut():
    with pytest.raises(TaskError, match="1 row in train; wanted enough rows to cut test"):
        assemble(GLUE["sst2"], MadeUp(train=1, validation=10))
