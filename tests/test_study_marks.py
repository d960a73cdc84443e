"""What a reader of a figure must know of the rows behind it."""

from __future__ import annotations

from dataclasses import replace

from kdcheck.study.marks import facts_of_rows
from kdcheck.testing import tiny_task


def test_whole_data_have_no_mark():
    facts = facts_of_rows(tiny_task(train=40), {}, [0, 0], 32)
    assert facts == {"rows": {"train": 40, "validation": 16, "test": 24}, "marks": {}}


def test_each_thing_that_is_not_whole_has_its_mark_and_its_numbers():
    task = tiny_task(train=40)
    part = replace(task, origin=replace(task.origin, subsets=("train: 40 of 9,000 rows",)))
    facts = facts_of_rows(part, {"train": 40, "test": 7}, [0, 5, 3], 12)
    assert facts["marks"] == {
        "subset": "A subset was read, train: 40 of 9,000 rows.",
        "cut": "Each run is tested on 7 of 24 rows.",
        "truncated": "3 to 5 texts of a run were cut to 12 tokens.",
    }


def test_one_number_of_truncated_texts_is_no_range():
    facts = facts_of_rows(tiny_task(train=40), {}, [4, 4], 12)
    assert facts["marks"] == {"truncated": "4 texts of a run were cut to 12 tokens."}
