"""Faulty trainers, each as it is met in training scripts, with the check that kills it."""

from __future__ import annotations

from kdcheck.conform.trainer import Trainer, check_trainer, relations
from kdcheck.zoo.entry import Control, Fault, alarms_of
from kdcheck.zoo.faulty_loops import (
    AlphaOfTheHardTerm,
    AnswersInTrainMode,
    BestOnTest,
    CachedByBatchOrder,
    ClassZeroIgnored,
    DistillationInAnotherOrder,
    EvaluationDraws,
    LabelMapPermuted,
    MeanOfMeans,
    MeanOverClasses,
    PaddedDuplicates,
    PaddingInTheMean,
    ResumeForgetsTheGenerator,
    ResumeForgetsTheOptimiser,
    ResumeSkipsABatch,
    ScheduleNotReset,
    SeedAfterTheStudent,
    SeedIgnored,
    SoftenedAgainstItself,
    SortedByLength,
    StaysInEvalMode,
    StepsForEachPart,
    TeacherInTrainMode,
    TeacherIsTheStudent,
    TeacherLearns,
    TestIsTrain,
    TokenTypesDropped,
    TrainsOnValidation,
    WeightsInHalfPrecision,
)
from kdcheck.zoo.sound_loop import SoundLoop


def _fault(cls: type[SoundLoop], name: str, defect: str, check: relations.Relation) -> Fault:
    def alarms(seed: int) -> tuple[str, ...]:
        return alarms_of(check_trainer(_trainer(cls), seed=seed, only=(check,)))

    return Fault(name, "trainer", defect, check.__name__, alarms)


def _trainer(cls: type[SoundLoop]) -> Trainer:
    return cls.train


FAULTS: tuple[Fault, ...] = tuple(
    _fault(*row)
    for row in (
        (
            TeacherInTrainMode,
            "teacher in train mode",
            "dropout noise as targets",
            relations.teacher_in_eval_mode,
        ),
        (
            TeacherLearns,
            "teacher in the optimiser",
            "teacher and student drift together",
            relations.teacher_left_as_it_was,
        ),
        (
            TeacherIsTheStudent,
            "teacher is the student",
            "two names for one object",
            relations.teacher_is_not_the_student,
        ),
        (
            SoftenedAgainstItself,
            "student's logits taken for the teacher's",
            "softened against itself",
            relations.teacher_is_not_the_student,
        ),
        (
            CachedByBatchOrder,
            "cached logits joined by batch order",
            "targets of other rows",
            relations.one_hot_teacher_equals_erm,
        ),
        (
            LabelMapPermuted,
            "label map permuted",
            "teacher and student number classes differently",
            relations.one_hot_teacher_equals_erm,
        ),
        (
            TokenTypesDropped,
            "token types dropped for the teacher",
            "inputs that differ for one of the pair",
            relations.teacher_and_student_see_the_rows_as_they_are,
        ),
        (SeedIgnored, "seed ignored", "one seed for all runs", relations.seed_matters),
        (
            SeedAfterTheStudent,
            "seed set after the student was made",
            "first weights by accident",
            relations.same_seed_repeats,
        ),
        (
            EvaluationDraws,
            "evaluation draws from the training stream",
            "looking changes the run",
            relations.evaluating_changes_nothing,
        ),
        (
            StaysInEvalMode,
            "student left in eval mode",
            "no dropout after the first evaluation",
            relations.learns_in_train_mode_and_answers_in_eval_mode,
        ),
        (
            PaddedDuplicates,
            "loss averaged over padded duplicates",
            "rows that count twice",
            relations.no_row_counts_twice_in_an_epoch,
        ),
        (
            ScheduleNotReset,
            "schedule not reset",
            "a run depends on those before it",
            relations.same_seed_repeats,
        ),
        (
            ResumeSkipsABatch,
            "resume skips a batch",
            "resumed is not uninterrupted",
            relations.resume_equals_uninterrupted,
        ),
        (
            ResumeForgetsTheOptimiser,
            "resume without the optimiser's state",
            "resumed is not uninterrupted",
            relations.resume_equals_uninterrupted,
        ),
        (
            ResumeForgetsTheGenerator,
            "resume without the generator's state",
            "resumed is not uninterrupted",
            relations.resume_equals_uninterrupted,
        ),
        (
            TestIsTrain,
            "test = train",
            "accuracy on rows that were learned",
            relations.test_is_read_once,
        ),
        (
            BestOnTest,
            "best step chosen on the test",
            "selection on the test split",
            relations.test_is_read_once,
        ),
        (
            TrainsOnValidation,
            "trained on validation rows",
            "leakage between splits",
            relations.trains_on_training_rows_alone,
        ),
        (
            MeanOfMeans,
            "mean of unequal parts' means",
            "accumulation changes the loss",
            relations.accumulation_equals_one_batch,
        ),
        (
            StepsForEachPart,
            "a step for each part",
            "accumulation that is none",
            relations.accumulation_equals_one_batch,
        ),
        (
            WeightsInHalfPrecision,
            "weights in half precision",
            "small updates are lost",
            relations.mixed_precision_is_close,
        ),
        (
            PaddingInTheMean,
            "padding in the mean",
            "attention mask not passed on",
            relations.padding_does_not_matter,
        ),
        (
            ClassZeroIgnored,
            "class 0 taken for padding",
            "ignored index is a class",
            relations.permuted_labels_permute_posteriors,
        ),
        (
            DistillationInAnotherOrder,
            "distillation in another order",
            "arms see different data",
            relations.all_arms_see_the_same_data,
        ),
        (
            MeanOverClasses,
            "divergence averaged over classes",
            "reduction='mean'",
            relations.uniform_teacher_equals_label_smoothing,
        ),
        (
            AlphaOfTheHardTerm,
            "alpha weighs the hard term",
            "alpha means its opposite",
            relations.alpha_0_equals_erm,
        ),
        (
            AnswersInTrainMode,
            "test read with dropout on",
            "posteriors by chance",
            relations.learns_in_train_mode_and_answers_in_eval_mode,
        ),
        (
            SortedByLength,
            "posteriors in another order than the rows",
            "joined by position",
            relations.posteriors_are_the_students,
        ),
    )
)
CONTROLS = (
    Control(
        "a plain loop",
        "trainer",
        lambda seed: alarms_of(check_trainer(SoundLoop.train, seed=seed)),
    ),
)
