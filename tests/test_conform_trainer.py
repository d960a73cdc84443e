"""Checks of a trainer: what each says of a sound one, and of one that passes over what it is asked."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import kdcheck as kd
from kdcheck.conform.results import Status
from kdcheck.conform.trainer import hugging_face, plain_loop, relations
from kdcheck.conform.trainer.bench import bench_of, farthest
from kdcheck.conform.trainer.tiny_rows import CLASSES, SIZES, WORDS_PER_CLASS, tiny_rows
from kdcheck.errors import InputError, ParameterError
from kdcheck.zoo import faulty_loops
from kdcheck.zoo.sound_loop import SoundLoop

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "guides" / "check-your-trainer.md").read_text(encoding="utf-8")


def by_name(report):
    return {each.name: each for each in report.results}


def guide(*, until):
    """What the first blocks of the guide define, run one after the other, and what they print."""
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[:until]:
            exec(compile(block, "check-your-trainer.md", "exec"), names)  # noqa: S102 - our own page
    return names, printed.getvalue()


def test_a_sound_trainer_passes_every_check():
    report = kd.check_trainer(SoundLoop.train)
    assert {each.name: each.detail for each in report.results if each.detail} == {}
    assert (report.exit_code, report.verdict, len(report.results)) == (0, "nothing fails", 21)


def test_what_a_loop_passes_over_in_silence_is_not_run_with_the_reason_and_never_passed():
    names, printed = guide(until=1)
    assert printed == re.search(r"```\n(nothing fails.*?)```", GUIDE, re.DOTALL)[1]
    report = names["report"]
    left = {name: each.detail for name, each in by_name(report).items() if each.detail}
    assert {each.status for each in report.results} == {Status.PASSED, Status.NOT_RUN}
    assert left == {
        "evaluating_changes_nothing": "evaluate_every was passed over: the validation split was not read.",
        "accumulation_equals_one_batch": "parts was passed over: 18 lessons with 1 and with 2.",
        "mixed_precision_is_close": "precision was passed over: all logits had 4 bytes or more.",
        "resume_equals_uninterrupted": "stop_after was passed over: it trained to the end.",
    }
    assert report.subject == "my_loop"


def test_what_a_trainer_refuses_is_not_run_with_its_own_words():
    def refuses(job):
        if job.resume or job.stop_after:
            raise NotImplementedError("we keep no checkpoints")
        return SoundLoop.train(job)

    found = by_name(kd.check_trainer(refuses, only=[relations.resume_equals_uninterrupted]))
    only = found["resume_equals_uninterrupted"]
    assert (only.status, only.detail) == (
        Status.NOT_RUN,
        "The trainer says: we keep no checkpoints.",
    )


def test_a_trainer_that_resumes_from_the_start_has_not_resumed():
    class Anew(SoundLoop):
        def load(self, path):
            pass

    found = kd.check_trainer(Anew.train, only=[relations.resume_equals_uninterrupted]).results[0]
    told = "resume was passed over: it began anew."
    assert (found.status, found.detail) == (Status.NOT_RUN, told)


def test_a_trainer_that_pads_by_itself_is_not_said_to_ignore_padding():
    class OwnPadding(SoundLoop):
        def batch(self, rows, indices):
            return type(self.job.collate)(12)([rows[at] for at in indices])

    found = kd.check_trainer(OwnPadding.train, only=[relations.padding_does_not_matter]).results[0]
    told = "job.collate was passed over: batches were not padded as it pads them."
    assert (found.status, found.detail) == (Status.NOT_RUN, told)


APART = "posteriors differ by up to X, not 0.0001."
TOLD = {
    faulty_loops.TeacherInTrainMode: (
        relations.teacher_in_eval_mode,
        "in 18 of 18 passes it was in train mode.",
    ),
    faulty_loops.TeacherLearns: (
        relations.teacher_left_as_it_was,
        "its parameters or buffers changed and gradients reached its parameters.",
    ),
    faulty_loops.TeacherIsTheStudent: (
        relations.teacher_is_not_the_student,
        "the student was never trained.",
    ),
    faulty_loops.SoftenedAgainstItself: (
        relations.teacher_is_not_the_student,
        "two teachers made one student (posteriors within 0).",
    ),
    faulty_loops.LabelMapPermuted: (relations.one_hot_teacher_equals_erm, APART),
    faulty_loops.TokenTypesDropped: (
        relations.teacher_and_student_see_the_rows_as_they_are,
        "the teacher was shown 138 rows that no split holds, as when a column is dropped.",
    ),
    faulty_loops.SeedIgnored: (
        relations.seed_matters,
        "two seeds gave the same first weights and order and posteriors.",
    ),
    faulty_loops.SeedAfterTheStudent: (relations.same_seed_repeats, APART),
    faulty_loops.EvaluationDraws: (relations.evaluating_changes_nothing, APART),
    faulty_loops.StaysInEvalMode: (
        relations.learns_in_train_mode_and_answers_in_eval_mode,
        "14 of 18 lessons were in eval mode.",
    ),
    faulty_loops.PaddedDuplicates: (
        relations.no_row_counts_twice_in_an_epoch,
        "6 rows counted more than 3 times.",
    ),
    faulty_loops.ResumeSkipsABatch: (
        relations.resume_equals_uninterrupted,
        "the rows are not those of the uninterrupted run: 130 were seen, 138 there.",
    ),
    faulty_loops.ResumeForgetsTheGenerator: (relations.resume_equals_uninterrupted, APART),
    faulty_loops.TestIsTrain: (relations.test_is_read_once, "test rows were read 0 to 0 times."),
    faulty_loops.BestOnTest: (
        relations.test_is_read_once,
        "test rows were read before training was over.",
    ),
    faulty_loops.TrainsOnValidation: (
        relations.trains_on_training_rows_alone,
        "trained on rows of {'validation': 3}.",
    ),
    faulty_loops.MeanOfMeans: (relations.accumulation_equals_one_batch, APART),
    faulty_loops.WeightsInHalfPrecision: (
        relations.mixed_precision_is_close,
        "the weights themselves were in half precision, where small updates are lost.",
    ),
    faulty_loops.PaddingInTheMean: (relations.padding_does_not_matter, APART),
    faulty_loops.ClassZeroIgnored: (
        relations.permuted_labels_permute_posteriors,
        "posteriors differ by up to X from the permuted ones.",
    ),
    faulty_loops.DistillationInAnotherOrder: (
        relations.all_arms_see_the_same_data,
        "kd and erm went through the rows in different orders.",
    ),
    faulty_loops.MeanOverClasses: (relations.uniform_teacher_equals_label_smoothing, APART),
    faulty_loops.AlphaOfTheHardTerm: (relations.alpha_0_equals_erm, APART),
    faulty_loops.AnswersInTrainMode: (
        relations.learns_in_train_mode_and_answers_in_eval_mode,
        "it was asked in train mode.",
    ),
    faulty_loops.SortedByLength: (
        relations.posteriors_are_the_students,
        "those of test row 0 are not what the student said of it.",
    ),
}


@pytest.mark.parametrize("loop", TOLD, ids=lambda loop: loop.__name__)
def test_what_is_wrong_with_a_trainer_is_told_in_whole_words(loop):
    check, told = TOLD[loop]
    found = kd.check_trainer(loop.train, only=[check]).results[0].detail
    assert re.sub(r"(up to) [\d.e-]+\d", r"\1 X", found) == told


def test_a_job_has_what_its_method_needs_and_nothing_besides():
    jobs = []

    def keeps(job):
        jobs.append(job)
        return SoundLoop.train(job)

    kd.check_trainer(
        keeps, only=[relations.uniform_teacher_equals_label_smoothing, relations.alpha_0_equals_erm]
    )
    told = [(job.method, job.temperature, job.teacher is None, job.alpha > 0) for job in jobs]
    assert told == [
        ("kd", 1.0, False, True),
        ("ls", 1.0, True, True),
        ("kd", 2.0, False, False),
        ("erm", 1.0, True, False),
    ]
    assert len({job.alpha for job in jobs if job.alpha}) == 1
    assert len({job.seed for job in jobs}) == 1
    assert len({job.folder for job in jobs}) == 4


class NeverAsks(SoundLoop):
    """Says that it distils, and learns from labels."""

    def loss(self, batch, rows):
        return torch.nn.functional.cross_entropy(
            self.ask(self.student, batch).float(), batch["labels"], reduction="none"
        )


class ReordersToEvaluate(SoundLoop):
    def steps(self):
        yield from reversed([*super().steps()]) if self.job.evaluate_every else super().steps()


class WeightsOfTheMethod(SoundLoop):
    def begin(self):
        torch.manual_seed(self.job.seed + len(self.job.method))
        return self.make_student()


class ReadsTheTestTwice(SoundLoop):
    def predict(self, rows):
        super().predict(rows)
        return super().predict(rows)


@pytest.mark.parametrize(
    ("loop", "check", "told"),
    [
        (NeverAsks, relations.teacher_in_eval_mode, "the teacher was never asked."),
        (
            ReordersToEvaluate,
            relations.evaluating_changes_nothing,
            "the rows came in another order.",
        ),
        (
            WeightsOfTheMethod,
            relations.all_arms_see_the_same_data,
            "kd and erm began with different weights.",
        ),
        (
            ReadsTheTestTwice,
            relations.test_is_read_once,
            "test rows were read 2 to 2 times.",
        ),
    ],
)
def test_what_no_fault_of_the_zoo_does_is_told_as_well(loop, check, told):
    assert kd.check_trainer(loop.train, only=[check]).results[0].detail == told


def test_whatever_a_trainer_raises_is_its_failure_by_name():
    def breaks(job):
        raise RuntimeError("out of memory")

    report = kd.check_trainer(breaks, only=[relations.seed_matters])
    assert report.results[0].detail == "It ended in RuntimeError: out of memory"
    assert report.exit_code == 1


def test_posteriors_of_another_shape_are_refused_with_what_to_return():
    report = kd.check_trainer(lambda job: torch.zeros(2, 3), only=[relations.seed_matters])
    assert report.results[0].detail == (
        "It ended in ShapeError: check_trainer: got posteriors of shape (2, 3); wanted (15, 3). "
        "Return softmax(logits) of the test rows, in the order of job.test."
    )


def test_a_failure_that_is_expected_is_kept_apart_and_a_stale_one_is_told():
    one = [relations.teacher_in_eval_mode]
    teaches = plain_loop(lambda job, student, batches: None)
    expected = kd.check_trainer(
        teaches, only=one, expected_failures={"teacher_in_eval_mode": "no teacher yet"}
    )
    stale = kd.check_trainer(
        SoundLoop.train, only=one, expected_failures={"teacher_in_eval_mode": "no teacher yet"}
    )
    assert [each.results[0].status for each in (expected, stale)] == [
        Status.EXPECTED,
        Status.STALE,
    ]
    with pytest.raises(ParameterError, match="a check's name"):
        kd.check_trainer(teaches, only=one, expected_failures={"teacher_eval": "misspelt"})


def test_generators_and_threads_are_left_as_they_were():
    states = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    numpys = np.random.get_state()[1].tolist()  # noqa: NPY002
    kd.check_trainer(SoundLoop.train, only=[relations.seed_matters])
    assert torch.equal(states[0], torch.get_rng_state())
    assert (random.getstate(), torch.get_num_threads()) == states[1:]
    assert np.random.get_state()[1].tolist() == numpys  # noqa: NPY002


def test_only_a_reader_of_token_types_can_tell_the_class_of_a_tiny_row():
    splits = tiny_rows(3)
    contents = [content for rows in splits.values() for content in rows.contents]
    assert len(set(contents)) == len(contents) == sum(SIZES.values())
    for rows in splits.values():
        for content, label in zip(rows.contents, rows.labels, strict=True):
            words = [(token - 1) // WORDS_PER_CLASS for token, kind in content if kind == 1]
            assert [k for k in words if k < CLASSES] == [label, label]


def test_a_copy_of_the_teacher_writes_into_the_log_of_the_first():
    def copies(job):
        if job.teacher is not None:
            copy.deepcopy(job.teacher).train()(**job.collate([job.train[0], job.train[1]]))
        return SoundLoop.train(job)

    found = kd.check_trainer(copies, only=[relations.teacher_in_eval_mode]).results[0]
    assert found.detail == "in 1 of 19 passes it was in train mode."


def test_the_guide_names_every_check_and_no_other():
    named = re.findall(r"^\| `(\w+)` \|", GUIDE.partition("## What is checked")[2], re.MULTILINE)
    assert named == [relation.__name__ for relation in relations.RELATIONS]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_told_apart_lies_far_from_the_tolerance_on_both_sides(seed):
    # Without this a check could pass because nothing was learned.
    with bench_of(SoundLoop.train, seed) as bench:
        plain, smooth = bench.run(method="erm"), bench.run(method="ls")
        soft, another = bench.run(), bench.run(teacher="another")
        again = bench.run(parts=2)
    assert farthest(plain.posteriors_MK, smooth.posteriors_MK) > 30 * relations.SAME
    assert farthest(soft.posteriors_MK, another.posteriors_MK) > 30 * relations.SAME
    assert farthest(soft.posteriors_MK, again.posteriors_MK) < relations.SAME / 30


@pytest.fixture(scope="module")
def build():
    """What the guide hands to ``hugging_face``."""
    return guide(until=2)[0]["build"]


class TestHuggingFace:
    """The library's own Trainer, with the loss of the guide in a subclass."""

    CHECKS = (
        relations.uniform_teacher_equals_label_smoothing,
        relations.test_is_read_once,
        relations.accumulation_equals_one_batch,
        relations.mixed_precision_is_close,
        relations.resume_equals_uninterrupted,
    )

    def test_the_subclass_of_the_guide_passes(self, build):
        report = kd.check_trainer(hugging_face(build), only=self.CHECKS)
        assert {each.name: each.detail for each in report.results if each.detail} == {}

    def test_without_the_line_that_the_guide_explains_parts_are_averaged_and_it_is_caught(
        self, build
    ):
        def forgetful(job, **usual):
            made = build(job, **usual)
            made.model_accepts_loss_kwargs = False
            return made

        only = [relations.accumulation_equals_one_batch]
        assert kd.check_trainer(hugging_face(forgetful), only=only).exit_code == 1

    def test_its_evaluation_moves_the_dropout_masks_as_the_guide_says(self, build):
        report = kd.check_trainer(
            hugging_face(build),
            only=[relations.evaluating_changes_nothing],
            expected_failures={"evaluating_changes_nothing": "see the guide"},
        )
        assert report.results[0].status is Status.EXPECTED
        assert "posteriors differ" in report.results[0].detail

    def test_without_accelerate_it_says_what_to_install_and_accuses_nobody(
        self, build, monkeypatch
    ):
        monkeypatch.setattr(
            "kdcheck.conform.trainer.adapter_hugging_face.find_spec", lambda name: None
        )
        with pytest.raises(InputError, match=r"pip install 'transformers\[torch\]'"):
            hugging_face(build)
