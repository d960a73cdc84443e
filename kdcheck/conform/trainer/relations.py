"""What must hold of every trainer: one small function each, on runs that differ in one thing.

Each takes a bench and returns what is wrong, or None. It raises ``NotTried`` where the trainer passed over what
was asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from kdcheck.conform.trainer.bench import DROPOUT, Bench, Run, farthest
from kdcheck.conform.trainer.probes import UNKNOWN, digest_of

SAME = 1e-4
"""Posteriors of two trainings that are one in exact arithmetic: float32, some twenty adaptive steps."""
CLOSE = 0.05
"""Posteriors of trainings in 8 and in 24 significant bits."""
STOP_AFTER = 8
"""Steps until a training is stopped: in the midst of its second epoch."""
LONG = 24
"""Tokens of a padded batch: more than any row has."""

Relation = Callable[[Bench], str | None]


class NotTried(Exception):  # noqa: N818 - it is no error: the reason why a check was not run
    """The trainer passed over what it was asked, so nothing can be said of it."""


def _unlike(first: Run, second: Run, tolerance: float = SAME) -> str | None:
    apart = farthest(first.posteriors_MK, second.posteriors_MK)
    return (
        None if apart <= tolerance else f"posteriors differ by up to {apart:.2g}, not {tolerance:g}"
    )


def uniform_teacher_equals_label_smoothing(bench: Bench) -> str | None:
    """A teacher that knows nothing teaches label smoothing of the same alpha."""
    taught = bench.run(teacher="uniform", temperature=1.0)
    return _unlike(taught, bench.run(method="ls"))


def one_hot_teacher_equals_erm(bench: Bench) -> str | None:
    """A teacher that is certain of each label teaches what the labels teach."""
    taught = bench.run(teacher="one-hot", temperature=1.0)
    return _unlike(taught, bench.run(method="erm"))


def alpha_0_equals_erm(bench: Bench) -> str | None:
    """With alpha = 0 the teacher has no say."""
    return _unlike(bench.run(alpha=0.0), bench.run(method="erm"))


def permuted_labels_permute_posteriors(bench: Bench) -> str | None:
    """Classes under other numbers are the same classes: posteriors are permuted, and nothing else."""
    plain, permuted = bench.run(), bench.run(permuted=True)
    apart = farthest(plain.posteriors_MK, permuted.posteriors_MK[:, list(bench.new_class)])
    return (
        None if apart <= SAME else f"posteriors differ by up to {apart:.2g} from the permuted ones"
    )


def teacher_in_eval_mode(bench: Bench) -> str | None:
    """The teacher is asked in eval mode, without dropout and with the statistics that it learned."""
    asked = bench.run().log.teacher
    if not asked:
        return "the teacher was never asked"
    wrong = sum(each.training for each in asked)
    return f"in {wrong} of {len(asked)} passes it was in train mode" if wrong else None


def teacher_left_as_it_was(bench: Bench) -> str | None:
    """Parameters and buffers of the teacher are those from before, and no gradient reached them."""
    run = bench.run()
    teacher = run.job.teacher
    assert teacher is not None  # a distillation has one
    found = []
    if digest_of(teacher) != run.teacher_before:
        found.append("its parameters or buffers changed")
    if any(weight.grad is not None for weight in teacher.parameters()):
        found.append("gradients reached its parameters")
    return " and ".join(found) or None


def teacher_is_not_the_student(bench: Bench) -> str | None:
    """The student is a model of its own, and another teacher makes another student."""
    run = bench.run()
    if not run.log.lessons:
        return "the student was never trained"
    apart = farthest(run.posteriors_MK, bench.run(teacher="another").posteriors_MK)
    return (
        None if apart > SAME else f"two teachers made one student (posteriors within {apart:.2g})"
    )


def teacher_and_student_see_the_rows_as_they_are(bench: Bench) -> str | None:
    """Both get every column that a row has, token types included, and nothing that no split holds."""
    log = bench.run().log
    for who, asked in (("the student", log.student), ("the teacher", log.teacher)):
        wrong = sum(place == UNKNOWN for each in asked for place in each.places_N)
        if wrong:
            return f"{who} was shown {wrong} rows that no split holds, as when a column is dropped"
    return None


def all_arms_see_the_same_data(bench: Bench) -> str | None:
    """ERM, LS and KD with one seed begin with the same weights and go through the same rows in one order."""
    first = bench.run()
    for method in ("erm", "ls"):
        other = bench.run(method=method)
        if other.order != first.order:
            return f"kd and {method} went through the rows in different orders"
        if other.log.born != first.log.born:
            return f"kd and {method} began with different weights"
    return None


def trains_on_training_rows_alone(bench: Bench) -> str | None:
    """No row of validation or test is trained on."""
    splits = Counter(split for split, _ in bench.run().order if split != "train")
    return f"trained on rows of {dict(splits)}" if splits else None


def no_row_counts_twice_in_an_epoch(bench: Bench) -> str | None:
    """Each training row counts once an epoch, also where the last batch is filled up."""
    run = bench.run()
    often = [row for row, count in Counter(run.order).items() if count > run.job.epochs]
    return f"{len(often)} rows counted more than {run.job.epochs} times" if often else None


def test_is_read_once(bench: Bench) -> str | None:
    """Each test row is shown to the student once, when training is over."""
    run = bench.run()
    passes = run.log.student
    last_lesson = max((at for at, each in enumerate(passes) if each.learns), default=-1)
    read = Counter(row for each in passes for row in each.places_N if row[0] == "test")
    early = any(row[0] == "test" for each in passes[:last_lesson] for row in each.places_N)
    times = [read[("test", at)] for at in range(len(run.job.test))]
    if early:
        return "test rows were read before training was over"
    return None if set(times) == {1} else f"test rows were read {min(times)} to {max(times)} times"


def posteriors_are_the_students(bench: Bench) -> str | None:
    """What is handed back are the posteriors that the student gave of the test rows, in their order."""
    run = bench.run()
    said = {
        row: logits_K.double().softmax(-1)
        for each in run.log.student
        for row, logits_K in zip(each.places_N, each.logits_NK, strict=True)
        if row[0] == "test"
    }
    for at, posteriors_K in enumerate(run.posteriors_MK):
        row = ("test", at)
        if row not in said or farthest(said[row], posteriors_K) > SAME:
            return f"those of test row {at} are not what the student said of it"
    return None


def learns_in_train_mode_and_answers_in_eval_mode(bench: Bench) -> str | None:
    """The student has its dropout on while it learns, also after an evaluation, and off on the test."""
    runs = [bench.run(dropout=DROPOUT)]
    with suppress(NotImplementedError):  # who never evaluates cannot forget to go back
        runs.append(bench.run(dropout=DROPOUT, evaluate_every=4))
    for run in runs:
        lessons = run.log.lessons
        asleep = sum(not each.training for each in lessons)
        if asleep:
            return f"{asleep} of {len(lessons)} lessons were in eval mode"
        if any(each.training for each in run.log.student if not each.learns):
            return "it was asked in train mode"
    return None


def evaluating_changes_nothing(bench: Bench) -> str | None:
    """Reading the validation split more often leaves order and posteriors as they are."""
    evaluated = bench.run(dropout=DROPOUT, evaluate_every=4)
    if not any(row[0] == "validation" for each in evaluated.log.student for row in each.places_N):
        raise NotTried("evaluate_every was passed over: the validation split was not read")
    plain = bench.run(dropout=DROPOUT)
    if evaluated.order != plain.order:
        return "the rows came in another order"
    return _unlike(evaluated, plain)


def accumulation_equals_one_batch(bench: Bench) -> str | None:
    """A step that is taken in two parts is the same step, also where the parts are of unequal size."""
    whole, parts = bench.run(), bench.run(parts=2)
    if len(parts.log.lessons) <= len(whole.log.lessons):
        raise NotTried(f"parts was passed over: {len(parts.log.lessons)} lessons with 1 and with 2")
    return _unlike(whole, parts)


def mixed_precision_is_close(bench: Bench) -> str | None:
    """In bfloat16 posteriors are those of float32 but for its few digits; weights keep all of theirs."""
    half = bench.run(precision="bfloat16")
    if all(each.logits_NK.element_size() > 2 for each in half.log.lessons):
        raise NotTried("precision was passed over: all logits had 4 bytes or more")
    if any(each.weight_bytes < 4 for each in half.log.lessons):
        return "the weights themselves were in half precision, where small updates are lost"
    return _unlike(half, bench.run(), CLOSE)


def resume_equals_uninterrupted(bench: Bench) -> str | None:
    """Stopped in an epoch and gone on, it sees the rows that are left and ends where it would have."""
    whole = bench.run(dropout=DROPOUT)
    first = bench.run(dropout=DROPOUT, stop_after=STOP_AFTER)
    if len(first.log.lessons) >= len(whole.log.lessons):
        raise NotTried("stop_after was passed over: it trained to the end")
    second = bench.run(dropout=DROPOUT, resume=True, folder=first.job.folder)
    if second.order == whole.order:
        raise NotTried("resume was passed over: it began anew")
    if first.order + second.order != whole.order:
        got, wanted = len(first.order + second.order), len(whole.order)
        return f"the rows are not those of the uninterrupted run: {got} were seen, {wanted} there"
    return _unlike(second, whole)


def same_seed_repeats(bench: Bench) -> str | None:
    """The same job again, after others, gives the same posteriors."""
    return _unlike(bench.run(), bench.run_anew())


def seed_matters(bench: Bench) -> str | None:
    """Another seed gives other first weights, another order and other posteriors."""
    first, second = bench.run(), bench.run(seed=bench.seeds[1])
    same = {
        "first weights": first.log.born == second.log.born,
        "order": first.order == second.order,
        "posteriors": farthest(first.posteriors_MK, second.posteriors_MK) == 0.0,
    }
    found = [name for name, is_same in same.items() if is_same]
    return f"two seeds gave the same {' and '.join(found)}" if found else None


def padding_does_not_matter(bench: Bench) -> str | None:
    """Batches padded to more tokens give the same posteriors."""
    padded = bench.run(pad_to=LONG)
    if not all(each.tokens >= LONG for each in padded.log.lessons):
        raise NotTried("job.collate was passed over: batches were not padded as it pads them")
    return _unlike(padded, bench.run())


RELATIONS: tuple[Relation, ...] = (
    uniform_teacher_equals_label_smoothing,
    one_hot_teacher_equals_erm,
    alpha_0_equals_erm,
    permuted_labels_permute_posteriors,
    teacher_in_eval_mode,
    teacher_left_as_it_was,
    teacher_is_not_the_student,
    teacher_and_student_see_the_rows_as_they_are,
    all_arms_see_the_same_data,
    trains_on_training_rows_alone,
    no_row_counts_twice_in_an_epoch,
    test_is_read_once,
    posteriors_are_the_students,
    learns_in_train_mode_and_answers_in_eval_mode,
    evaluating_changes_nothing,
    accumulation_equals_one_batch,
    mixed_precision_is_close,
    resume_equals_uninterrupted,
    same_seed_repeats,
    seed_matters,
    padding_does_not_matter,
)
