"""Task, Split and the checks that every example passes."""

import hashlib
import json
import math
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdcheck.errors import LabelError, TaskError
from kdcheck.tasks import Origin, Split, Task, load_task, task_names
from tests.refusal import refused

ORIGIN = Origin(source="made here", licence="CC0", citation="none")


def split(start, count, classes=2, prefix="e"):
    rows = range(start, start + count)
    return Split(
        ids=tuple(f"{prefix}{row}" for row in rows),
        texts=tuple((f"text number {row}",) for row in rows),
        labels=tuple(row % classes for row in rows),
    )


def toy(train=20, validation=6, test=8):
    return Task(
        name="toy",
        classes=("bad", "good"),
        text_columns=("text",),
        train=split(0, train),
        validation=split(1000, validation),
        test=split(2000, test),
        origin=ORIGIN,
    )


def with_row(task, column, row, value):
    """The task's train split with one cell changed."""
    cells = list(getattr(task.train, column))
    cells[row] = value
    return replace(task, train=replace(task.train, **{column: tuple(cells)}))


def test_a_task_knows_its_classes_and_splits():
    task = toy()
    assert task.num_classes == 2
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [20, 6, 8]


def test_a_split_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        toy().train.labels = ()


def test_a_task_survives_pickling_between_workers():
    task = toy()
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301 - our own bytes


def test_the_digest_of_a_split_is_the_sha256_of_its_columns():
    train = split(0, 2)
    text = json.dumps([list(train.ids), [list(t) for t in train.texts], list(train.labels)])
    # The oracle strips the spaces that json puts after separators; no text here holds ", " or ": ".
    assert train.digest == hashlib.sha256(text.replace(", ", ",").encode()).hexdigest()


@pytest.mark.parametrize("column", ["ids", "texts", "labels"])
def test_the_digest_of_a_task_changes_with_every_column(column):
    task = toy()
    value = {"ids": "other", "texts": ("other",), "labels": 1}[column]
    assert with_row(task, column, 0, value).digest != task.digest


def test_the_digest_changes_with_the_class_names_and_with_the_split_a_row_is_in():
    task = toy()
    assert replace(task, classes=("good", "bad")).digest != task.digest
    assert replace(task, train=task.test, test=task.train).digest != task.digest


def test_the_digest_does_not_depend_on_name_or_notes():
    task = toy()
    other = replace(task, name="other", origin=replace(ORIGIN, notes=("a note",)))
    assert other.digest == task.digest


def test_a_lone_surrogate_in_a_text_has_a_digest_and_an_order():
    task = with_row(toy(), "texts", 3, ("broken \ud800 tweet",))
    assert len(task.subset(train=20).digest) == 64


@pytest.mark.parametrize("empty", ["", "  \t\n", None, math.nan])
def test_an_empty_text_is_refused_with_column_and_row(empty):
    with refused(
        TaskError, "task 'toy', train", "empty or missing text", "'text'", "e3", "text in every row"
    ):
        with_row(toy(), "texts", 3, (empty,))


@pytest.mark.parametrize("label", [-1, 2, 1.0, "1", None, True, math.nan])
def test_a_label_outside_the_classes_is_refused_with_value_and_row(label):
    with refused(
        LabelError, "task 'toy', train", f"e4 ({label!r})", "integers from 0 to 1", "label map"
    ):
        with_row(toy(), "labels", 4, label)


def test_many_bad_rows_are_counted_not_listed():
    task = toy()
    with pytest.raises(LabelError, match=r"e4 \(5\), \.\.\. \(20 in all\)"):
        replace(task, train=replace(task.train, labels=(5,) * 20))


def test_an_id_in_two_splits_is_refused_by_name():
    task = toy()
    with pytest.raises(TaskError, match="repeated ids e0, e1") as caught:
        replace(task, test=split(0, 2))
    assert "joined by it" in caught.value.next_step


@pytest.mark.parametrize("example", ["", None, 7])
def test_an_id_that_is_no_text_is_refused(example):
    with pytest.raises(TaskError, match="an id that is no text"):
        with_row(toy(), "ids", 0, example)


def test_a_row_with_another_number_of_texts_is_refused_by_name():
    with pytest.raises(TaskError, match="another number of texts in rows e2"):
        with_row(toy(), "texts", 2, ("one", "two"))


def test_an_empty_split_is_refused():
    with pytest.raises(TaskError, match="validation: got no rows"):
        toy(validation=0)


def test_columns_of_different_length_are_refused():
    with pytest.raises(TaskError, match="2 ids, 1 texts, 0 labels"):
        Split(ids=("a", "b"), texts=(("x",),), labels=())


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"classes": ("only",)}, "1 classes"),
        ({"classes": ("same", "same")}, "each once"),
        ({"text_columns": ()}, "0 text columns"),
        ({"text_columns": ("a", "b", "c")}, "3 text columns"),
    ],
)
def test_a_task_needs_two_classes_and_one_or_two_texts(changes, fact):
    with pytest.raises(TaskError, match=fact):
        replace(toy(), **changes)


def test_an_unknown_split_name_lists_the_known_ones():
    with pytest.raises(TaskError, match="got split 'dev'; wanted one of train, validation, test"):
        toy().split("dev")


def test_a_subset_says_what_it_is_and_leaves_the_rest_alone():
    task = toy()
    small = task.subset(train=5, seed=3)
    assert len(small.train) == 5
    assert small.test is task.test
    assert small.origin.notes == ("train: a subset, 5 of 20 rows (seed 3)",)


def test_a_subset_keeps_the_order_of_its_rows():
    ids = toy().subset(train=9).train.ids
    assert sorted(ids, key=toy().train.ids.index) == list(ids)


def test_another_seed_gives_another_subset():
    picks = {toy(train=50).subset(train=10, seed=seed).train.ids for seed in range(5)}
    assert len(picks) == 5


@pytest.mark.parametrize("size", [0, -1, 21])
def test_a_subset_larger_than_the_split_is_refused(size):
    with pytest.raises(TaskError, match=rf"subset of train: got size {size}; wanted 1 to 20"):
        toy().subset(train=size)


@settings(max_examples=40)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_subset_depends_on_content_alone_and_smaller_lies_within_larger(one, two, seed, random):
    task = toy()
    rows = list(range(20))
    random.shuffle(rows)
    shuffled = replace(task, train=task.train.take(rows))
    small, large = sorted((one, two))
    kept = set(task.subset(train=large, seed=seed).train.ids)
    assert set(shuffled.subset(train=large, seed=seed).train.ids) == kept
    assert set(task.subset(train=small, seed=seed).train.ids) <= kept


def test_an_unknown_task_is_refused_with_the_known_names():
    with refused(TaskError, "Did you mean 'tweets'?", *task_names()):
        load_task("tweeets")
