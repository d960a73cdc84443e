"""What each relation between trainings asks for, and what it says, on runs that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kdcheck.conform.trainer import relations
from kdcheck.conform.trainer.bench import Run
from kdcheck.conform.trainer.probes import UNKNOWN, Asked, digest_of
from kdcheck.conform.trainer.relations import CLOSE, LONG, SAME, NotTried

EVEN = ((0.25, 0.75), (0.5, 0.5))
"""Logits whose softmax is the posterior that a run hands back."""


def asked(
    *places, split="train", training=True, learns=True, tokens=9, logits=None, weight_bytes=4
):
    rows = torch.tensor(logits if logits is not None else [[0.0, 0.0]] * len(places))
    named = tuple(place if isinstance(place, tuple) else (split, place) for place in places)
    return Asked(named, training, learns, tokens, rows, weight_bytes)


def read(*places, split="test", training=False, learns=False, **more):
    return asked(*places, split=split, training=training, learns=learns, **more)


def run_of(
    *student, posteriors=EVEN, teacher=(), born="weights", before="", epochs=2, model=None, rows=2
):
    """A run in which the student was asked this, and came to these posteriors."""
    log = SimpleNamespace(
        student=list(student),
        teacher=list(teacher),
        born=born,
        lessons=[each for each in student if each.learns],
    )
    job = SimpleNamespace(epochs=epochs, teacher=model, folder="its folder", test=range(rows))
    return Run(job, torch.tensor(posteriors, dtype=torch.float64), log, before)


class Bench:
    """Gives the runs that a test says for the changes that are asked for, and no others."""

    new_class = (1, 0)
    seeds = (5, 6)

    def __init__(self, *runs, anew=None):
        self._runs, self._anew = [(changes, run) for changes, run in runs], anew

    def run(self, **changes):
        found = [run for asked_for, run in self._runs if asked_for == changes]
        assert found, f"nobody said what comes of {changes}"
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def run_anew(self, **changes):
        assert changes == {}
        return self._anew


def moved(by):
    return ((0.25 + by, 0.75 - by), (0.5, 0.5))


APART = "posteriors differ by up to 0.00011, not 0.0001"
PAIRS = {
    relations.uniform_teacher_equals_label_smoothing: (
        {"teacher": "uniform", "temperature": 1.0},
        {"method": "ls"},
    ),
    relations.one_hot_teacher_equals_erm: (
        {"teacher": "one-hot", "temperature": 1.0},
        {"method": "erm"},
    ),
    relations.alpha_0_equals_erm: ({"alpha": 0.0}, {"method": "erm"}),
}


@pytest.mark.parametrize("relation", PAIRS)
def test_two_trainings_that_are_one_have_one_posterior(relation):
    first, second = PAIRS[relation]
    for by, told in ((0.0, None), (0.9e-4, None), (1.1e-4, APART)):
        bench = Bench((first, run_of()), (second, run_of(posteriors=moved(by))))
        assert relation(bench) == told


def test_permuted_labels_permute_posteriors():
    turned = tuple(row[::-1] for row in EVEN)
    for by, told in (
        (0.9e-4, None),
        (1.1e-4, "posteriors differ by up to 0.00011 from the permuted ones"),
    ):
        permuted = (turned[0], (0.5 + by, 0.5 - by))
        bench = Bench(({}, run_of()), ({"permuted": True}, run_of(posteriors=permuted)))
        assert relations.permuted_labels_permute_posteriors(bench) == told


def test_the_teacher_is_asked_in_eval_mode():
    def told(*training):
        passes = [asked(0, training=each) for each in training]
        return relations.teacher_in_eval_mode(Bench(({}, run_of(teacher=passes))))

    assert told() == "the teacher was never asked"
    assert told(False, False) is None
    assert told(False, True, True) == "in 2 of 3 passes it was in train mode"


def test_the_teacher_is_left_as_it_was():
    def told(before, gradient):
        teacher = nn.Linear(2, 2)
        teacher.bias.grad = torch.zeros(2) if gradient else None
        digest = digest_of(teacher) if before else "another"
        return relations.teacher_left_as_it_was(Bench(({}, run_of(model=teacher, before=digest))))

    changed, reached = "its parameters or buffers changed", "gradients reached its parameters"
    assert told(True, False) is None
    assert told(False, False) == changed
    assert told(True, True) == reached
    assert told(False, True) == f"{changed} and {reached}"


def test_the_teacher_is_not_the_student():
    def told(by, lesson=None):
        runs = (
            ({}, run_of(lesson or asked(0))),
            ({"teacher": "another"}, run_of(posteriors=moved(by))),
        )
        return relations.teacher_is_not_the_student(Bench(*runs))

    assert told(1.1e-4) is None
    assert told(0.9e-4) == "two teachers made one student (posteriors within 9e-05)"
    assert told(0.1, lesson=read(0)) == "the student was never trained"


def test_rows_that_no_split_holds_are_counted_for_both():
    def told(student, teacher):
        return relations.teacher_and_student_see_the_rows_as_they_are(
            Bench(({}, run_of(*student, teacher=teacher)))
        )

    lost = "rows that no split holds, as when a column is dropped"
    sound, wrong = [asked(0, 1)], [asked(0, UNKNOWN), asked(UNKNOWN)]
    assert told(sound, sound) is None
    assert told(wrong, wrong) == f"the student was shown 2 {lost}"
    assert told(sound, wrong) == f"the teacher was shown 2 {lost}"


def test_all_arms_see_the_same_data():
    def told(erm, ls):
        first = run_of(asked(0, 1))
        return relations.all_arms_see_the_same_data(
            Bench(({}, first), ({"method": "erm"}, erm), ({"method": "ls"}, ls))
        )

    same, other, born = run_of(asked(0, 1)), run_of(asked(1, 0)), run_of(asked(0, 1), born="other")
    assert told(same, same) is None
    assert told(other, same) == "kd and erm went through the rows in different orders"
    assert told(same, other) == "kd and ls went through the rows in different orders"
    assert told(born, same) == "kd and erm began with different weights"
    assert told(same, born) == "kd and ls began with different weights"


def test_only_training_rows_are_trained_on_and_each_once_an_epoch():
    def told(relation, *student):
        return relation(Bench(({}, run_of(*student))))

    alone, once = relations.trains_on_training_rows_alone, relations.no_row_counts_twice_in_an_epoch
    sound = asked(0, 1), asked(1, 0), read(0), read(0, split="validation")
    assert told(alone, *sound) is None
    wrong = asked(0, ("test", 1)), asked(("validation", 0), ("test", 1))
    assert told(alone, *wrong) == "trained on rows of {'test': 2, 'validation': 1}"
    assert told(once, *sound) is None
    assert told(once, *sound, asked(0, 1)) == "2 rows counted more than 2 times"
    assert told(once, asked(0, 0), asked(0, 1)) == "1 rows counted more than 2 times"


def test_test_rows_are_read_once_when_training_is_over():
    def told(*student):
        return relations.test_is_read_once(Bench(({}, run_of(*student))))

    assert told(asked(0), read(0), read(1)) is None
    assert told(read(0, 1)) is None
    early = "test rows were read before training was over"
    assert told(read(0), asked(0), read(1)) == early
    assert told(asked(0), read(0), asked(1), read(1)) == early
    assert told(read(0, split="validation"), asked(0), read(0, 1)) is None
    assert told(asked(0), read(0, 1), read(1)) == "test rows were read 1 to 2 times"
    assert told(asked(0), read(0)) == "test rows were read 0 to 1 times"
    assert told(asked(0), read(0, 0, 1, 1)) == "test rows were read 2 to 2 times"
    # A row of the last lesson itself is no row that was read before it.
    assert told(asked(0, ("test", 0)), read(1)) is None


def test_posteriors_are_those_that_the_student_gave():
    logits = torch.tensor(EVEN, dtype=torch.float64).log().float().tolist()

    def told(*student, posteriors=EVEN):
        return relations.posteriors_are_the_students(
            Bench(({}, run_of(*student, posteriors=posteriors)))
        )

    sound = read(0, 1, logits=logits)
    wrong = "those of test row {} are not what the student said of it"
    assert told(sound) is None
    assert told(read(1, 0, logits=logits[::-1])) is None
    assert told(sound, posteriors=moved(0.9e-4)) is None
    assert told(sound, posteriors=moved(1.1e-4)) == wrong.format(0)
    assert told(sound, posteriors=EVEN[::-1]) == wrong.format(0)
    assert told(read(0, logits=logits[:1])) == wrong.format(1)
    assert told(sound, read(0, split="train", logits=[[9.0, 0.0]])) is None


DROPOUT = {"dropout": 0.2}
EVALUATED = {**DROPOUT, "evaluate_every": 4}


def test_the_student_learns_in_train_mode_and_answers_in_eval_mode():
    relation = relations.learns_in_train_mode_and_answers_in_eval_mode
    sound = run_of(asked(0), asked(1), read(0))
    asleep = run_of(asked(0), asked(1, training=False), read(0))
    awake = run_of(asked(0), read(0, training=True))
    refused = NotImplementedError()
    told = "1 of 2 lessons were in eval mode"
    for plain, evaluated, wanted in (
        (sound, sound, None),
        (sound, refused, None),
        (asleep, refused, told),
        (sound, asleep, told),
        (awake, sound, "it was asked in train mode"),
        (sound, awake, "it was asked in train mode"),
    ):
        assert relation(Bench((DROPOUT, plain), (EVALUATED, evaluated))) == wanted


def test_reading_the_validation_split_changes_nothing():
    relation = relations.evaluating_changes_nothing

    def told(*student, posteriors=EVEN):
        evaluated = run_of(*student, posteriors=posteriors)
        return relation(Bench((EVALUATED, evaluated), (DROPOUT, run_of(asked(0), asked(1)))))

    seen = read(0, split="validation")
    assert told(asked(0), seen, asked(1)) is None
    assert told(asked(1), seen, asked(0)) == "the rows came in another order"
    assert told(asked(0), seen, asked(1), posteriors=moved(1.1e-4)) == APART
    with pytest.raises(NotTried) as caught:
        told(asked(0), read(0), asked(1))
    assert str(caught.value) == "evaluate_every was passed over: the validation split was not read"


def test_a_step_in_parts_is_the_same_step():
    def told(lessons, by=0.0):
        parts = run_of(*[asked(0)] * lessons, posteriors=moved(by))
        return relations.accumulation_equals_one_batch(
            Bench(({}, run_of(asked(0), asked(1))), ({"parts": 2}, parts))
        )

    assert told(3) is None
    assert told(3, by=1.1e-4) == APART
    for lessons in (1, 2):
        with pytest.raises(NotTried) as caught:
            told(lessons)
        assert str(caught.value) == f"parts was passed over: {lessons} lessons with 1 and with 2"


def test_mixed_precision_is_close_and_keeps_the_weights_whole():
    half = torch.zeros(1, 2, dtype=torch.bfloat16)

    def told(*lessons, by=0.0):
        made = [
            Asked((("train", 0),), True, True, 9, half if short else half.float(), weight_bytes)
            for short, weight_bytes in lessons
        ]
        return relations.mixed_precision_is_close(
            Bench(({"precision": "bfloat16"}, run_of(*made, posteriors=moved(by))), ({}, run_of()))
        )

    assert told((True, 4), (False, 4), by=0.049) is None
    assert told((True, 8)) is None
    assert told((True, 4), by=0.051) == "posteriors differ by up to 0.051, not 0.05"
    assert told((True, 4), (True, 2)) == (
        "the weights themselves were in half precision, where small updates are lost"
    )
    with pytest.raises(NotTried) as caught:
        told((False, 4), (False, 2))
    assert str(caught.value) == "precision was passed over: all logits had 4 bytes or more"


def test_a_run_that_is_resumed_ends_where_it_would_have():
    whole = run_of(asked(0), asked(1), asked(2))

    def told(first, second, by=0.0):
        return relations.resume_equals_uninterrupted(
            Bench(
                (DROPOUT, whole),
                ({**DROPOUT, "stop_after": 8}, run_of(*first)),
                (
                    {**DROPOUT, "resume": True, "folder": "its folder"},
                    run_of(*second, posteriors=moved(by)),
                ),
            )
        )

    assert told([asked(0)], [asked(1), asked(2)]) is None
    assert told([asked(0)], [asked(1), asked(2)], by=1.1e-4) == APART
    assert told([asked(0)], [asked(2)]) == (
        "the rows are not those of the uninterrupted run: 2 were seen, 3 there"
    )
    for first, second, why in (
        ([asked(0), asked(1), asked(2)], [], "stop_after was passed over: it trained to the end"),
        ([asked(0)], [asked(0), asked(1), asked(2)], "resume was passed over: it began anew"),
    ):
        with pytest.raises(NotTried) as caught:
            told(first, second)
        assert str(caught.value) == why


def test_the_same_seed_repeats():
    for by, told in ((0.0, None), (1.1e-4, APART)):
        bench = Bench(({}, run_of()), anew=run_of(posteriors=moved(by)))
        assert relations.same_seed_repeats(bench) == told


def test_another_seed_gives_other_weights_order_and_posteriors():
    def told(*, born="weights", order=(0, 1), by=0.0):
        other = run_of(asked(*order), born=born, posteriors=moved(by))
        return relations.seed_matters(Bench(({}, run_of(asked(0, 1))), ({"seed": 6}, other)))

    assert told(born="other", order=(1, 0), by=1e-9) is None
    assert told() == "two seeds gave the same first weights and order and posteriors"
    assert told(born="other", by=0.1) == "two seeds gave the same order"
    assert told(order=(1, 0), by=0.1) == "two seeds gave the same first weights"
    assert told(born="other", order=(1, 0)) == "two seeds gave the same posteriors"


def test_padding_does_not_matter():
    def told(*tokens, by=0.0):
        padded = run_of(*[asked(0, tokens=each) for each in tokens], posteriors=moved(by))
        return relations.padding_does_not_matter(
            Bench(({"pad_to": 24}, padded), ({}, run_of(asked(0))))
        )

    assert told(24, 25) is None
    assert told(24, by=1.1e-4) == APART
    with pytest.raises(NotTried) as caught:
        told(24, 23)
    assert (
        str(caught.value) == "job.collate was passed over: batches were not padded as it pads them"
    )


def test_tolerances_are_those_that_the_guide_names():
    assert (SAME, CLOSE, LONG) == (1e-4, 0.05, 24)
