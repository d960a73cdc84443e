"""The bench of trainers: its rows, its teachers and its jobs, and what student and teacher write down."""

from __future__ import annotations

import copy
import hashlib
import math
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kdcheck.conform.results import Status
from kdcheck.conform.trainer import adapter_hugging_face, check_trainer, plain_loop, relations
from kdcheck.conform.trainer.bench import Bench, Run, bench_of, farthest
from kdcheck.conform.trainer.probes import (
    STRANGER,
    UNKNOWN,
    Asked,
    Log,
    Student,
    Teacher,
    digest_of,
)
from kdcheck.conform.trainer.tiny_rows import (
    CLASSES,
    NEUTRAL_WORDS,
    PADDING,
    SIZES,
    VOCABULARY,
    WORDS_PER_CLASS,
    Collate,
    tiny_rows,
)
from kdcheck.errors import ParameterError

# Rows


@pytest.mark.parametrize("seed", range(3))
def test_tiny_rows_are_two_texts_of_known_words(seed):
    splits = tiny_rows(seed)
    assert {name: len(rows) for name, rows in splits.items()} == SIZES
    lengths, firsts, places = set(), set(), set()
    for rows in splits.values():
        assert set(rows.labels) <= set(range(CLASSES))
        for content, label in zip(rows.contents, rows.labels, strict=True):
            texts = [[token for token, kind in content if kind == each] for each in (0, 1)]
            assert [kind for _, kind in content] == [0] * len(texts[0]) + [1] * len(texts[1])
            of_class = [[(t - 1) // WORDS_PER_CLASS for t in text] for text in texts]
            known = [[k for k in text if k < CLASSES] for text in of_class]
            assert (len(known[0]), known[1]) == (1, [label] * 2)
            neutral = [len(text) - len(k) for text, k in zip(texts, known, strict=True)]
            assert set(neutral) <= {1, 2, 3}
            lengths.update(neutral)
            firsts.add(known[0][0])
            places.add(of_class[1].index(label))
    assert lengths == {1, 2, 3}
    assert firsts == set(range(CLASSES))
    assert places >= {0, 1, 2}
    tokens = {t for rows in splits.values() for content in rows.contents for t, _ in content}
    assert tokens == set(range(1, VOCABULARY))
    assert PADDING not in tokens
    assert VOCABULARY == 1 + CLASSES * WORDS_PER_CLASS + NEUTRAL_WORDS


def test_a_seed_decides_the_rows():
    first, again, other = tiny_rows(4), tiny_rows(4), tiny_rows(5)
    for name in SIZES:
        assert first[name].contents == again[name].contents
        assert first[name].labels == again[name].labels
        assert first[name].contents != other[name].contents


def test_a_row_is_what_a_tokenizer_gives():
    rows = tiny_rows(0)["train"]
    row = rows[3]
    assert row["input_ids"].tolist() == [token for token, _ in rows.contents[3]]
    assert row["token_type_ids"].tolist() == [kind for _, kind in rows.contents[3]]
    assert row["attention_mask"].tolist() == [1] * len(rows.contents[3])
    assert (row["labels"].item(), row["labels"].shape) == (rows.labels[3], ())
    assert {each.dtype for each in row.values()} == {torch.int64}
    changed = rows.relabelled([2, 0, 1])
    assert list(changed.labels) == [[2, 0, 1][label] for label in rows.labels]
    assert changed.contents == rows.contents


def test_a_batch_is_padded_to_its_longest_row_or_further():
    rows = tiny_rows(0)["train"]
    picked = [rows[0], rows[1], rows[2]]
    longest = max(len(row["input_ids"]) for row in picked)
    for pad_to, length in ((0, longest), (longest - 1, longest), (20, 20)):
        batch = Collate(pad_to)(picked)
        assert list(batch) == ["labels", "input_ids", "attention_mask", "token_type_ids"]
        assert batch["labels"].tolist() == list(rows.labels[:3])
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            assert batch[name].shape == (3, length)
            for got, row in zip(batch[name], picked, strict=True):
                own = row[name].tolist()
                assert got.tolist() == own + [0] * (length - len(own))
    assert Collate() == Collate(0)


# What is written down


@pytest.fixture
def log():
    return Log(tiny_rows(0))


def whole_batch(rows, *at, pad_to=0):
    return Collate(pad_to)([rows[each] for each in at])


def test_a_pass_is_written_down_as_it_was(log):
    rows = tiny_rows(0)["test"]
    student = Student(log, dropout=0.0)
    batch = whole_batch(rows, 4, 2, pad_to=24)
    output = student(**batch)
    student.eval()
    with torch.no_grad():
        student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        student(batch["input_ids"], batch["attention_mask"])
    student.double()(**batch)
    first, second, third, fourth = log.student
    places = (("test", 4), ("test", 2))
    assert (first.places_N, first.training, first.learns, first.tokens) == (places, True, True, 24)
    assert (second.places_N, second.training, second.learns) == (places, False, False)
    assert third.places_N == (UNKNOWN, UNKNOWN) == (("unknown", -1),) * 2
    assert [each.weight_bytes for each in log.student] == [4, 4, 4, 8]
    assert not first.logits_NK.requires_grad
    torch.testing.assert_close(first.logits_NK, output.logits.detach())
    assert log.lessons == [first, fourth]
    assert log.teacher == []
    assert STRANGER not in (0, 1)


def test_a_row_that_was_altered_is_of_no_split(log):
    rows = tiny_rows(0)["train"]
    student = Student(log, dropout=0.0)
    batch = whole_batch(rows, 0)
    batch["token_type_ids"] = 1 - batch["token_type_ids"]
    student(**batch)
    assert log.student[0].places_N == (UNKNOWN,)


def test_a_student_is_a_bag_of_words_under_its_mask(log):
    torch.manual_seed(1)
    student = Student(log, dropout=0.5).eval()
    torch.nn.init.normal_(student.head.weight)
    torch.nn.init.normal_(student.head.bias)
    rows = tiny_rows(0)["train"]
    batch = whole_batch(rows, 0, 1, 2)
    output = student(**batch)
    for at in range(3):
        row = rows[at]
        typed = student.words.weight[row["input_ids"]] * student.types.weight[row["token_type_ids"]]
        wanted = student.head(torch.tanh(student.hidden(typed.mean(dim=0))))
        torch.testing.assert_close(output.logits[at], wanted)
        plain = student.words.weight[row["input_ids"]].mean(dim=0)
        wanted = student.head(torch.tanh(student.hidden(plain)))
        torch.testing.assert_close(student(row["input_ids"][None]).logits[0], wanted)
    loss = torch.nn.functional.cross_entropy(output.logits, batch["labels"])
    assert output.loss.item() == pytest.approx(loss.item())
    assert output["loss"] is output.loss
    assert list(student(batch["input_ids"])) == ["logits"]
    padded = student(**whole_batch(rows, 0, 1, 2, pad_to=24))
    torch.testing.assert_close(padded.logits, output.logits)
    student.train()
    assert not torch.equal(student(**batch).logits, output.logits)


def test_a_new_student_favours_no_class_and_leaves_the_digest_of_its_weights(log):
    torch.manual_seed(2)
    student = Student(log, dropout=0.2)
    assert log.born == digest_of(student)
    born = log.born
    Student(log, dropout=0.2)
    assert log.born != born
    assert student(**whole_batch(tiny_rows(0)["train"], 0)).logits.tolist() == [[0.0] * CLASSES]
    assert (student.dropout.p, student.config.problem_type) == (0.2, None)


def test_a_teacher_says_what_it_was_given_for_each_word_of_the_second_text(log):
    says_KK = torch.tensor([[3.0, 0.5, 0.0], [0.0, 2.0, 0.25], [1.0, 0.0, 4.0]])
    teacher = Teacher(log, says_KK).eval()
    rows = tiny_rows(0)["train"]
    batch = whole_batch(rows, *range(6), pad_to=24)
    output = teacher(**batch)
    # The running statistics of a new norm are mean 0 and variance 1, up to its epsilon of 1e-5.
    wanted = torch.stack([2 * says_KK[rows.labels[at]] for at in range(6)])
    torch.testing.assert_close(output.logits, wanted, rtol=1e-4, atol=1e-6)
    assert list(output) == ["logits"]
    assert log.teacher[0].places_N == tuple(("train", at) for at in range(6))
    assert log.student == []
    both = teacher(batch["input_ids"], batch["attention_mask"]).logits
    first = [
        next((t - 1) // WORDS_PER_CLASS for t, kind in rows.contents[at] if not kind and t <= 12)
        for at in range(6)
    ]
    torch.testing.assert_close(both, wanted + says_KK[first], rtol=1e-4, atol=1e-6)
    half = batch["attention_mask"].clone()
    half[:] = 0
    assert teacher(batch["input_ids"], half, batch["token_type_ids"]).logits.abs().max() == 0
    no_mask = teacher(batch["input_ids"], token_type_ids=batch["token_type_ids"]).logits
    torch.testing.assert_close(no_mask, output.logits)
    assert teacher.dropout.p == 0.5
    assert teacher.head.bias.abs().max() == 0


def test_a_teacher_in_train_mode_moves_its_buffers(log):
    teacher = Teacher(log, torch.eye(CLASSES))
    before = digest_of(teacher)
    teacher.eval()(**whole_batch(tiny_rows(0)["train"], 0, 1))
    assert digest_of(teacher) == before
    teacher.train()(**whole_batch(tiny_rows(0)["train"], 0, 1))
    assert digest_of(teacher) != before


def test_a_digest_is_of_names_and_bytes():
    module = torch.nn.Linear(2, 1)
    wanted = hashlib.sha256()
    for name in ("weight", "bias"):
        wanted.update(name.encode() + getattr(module, name).detach().numpy().tobytes())
    assert digest_of(module) == wanted.hexdigest()


def test_a_copy_of_a_module_writes_into_the_same_log(log):
    assert copy.deepcopy(log) is log


# The bench


def keeping(jobs):
    """A trainer that trains nothing and keeps the jobs it was given."""

    def trainer(job):
        job.make_student()
        jobs.append(job)
        return torch.full((len(job.test), CLASSES), 1 / CLASSES)

    return trainer


@pytest.fixture
def jobs():
    return []


@pytest.fixture
def bench(jobs, tmp_path):
    return Bench(keeping(jobs), tmp_path, seed=3)


def test_a_job_has_what_was_asked_for_and_the_usual_rest(bench, jobs, tmp_path):
    plain = bench.run()
    assert (plain.job.method, plain.job.alpha, plain.job.temperature) == ("kd", bench.alpha, 2.0)
    assert (plain.job.seed, plain.job.collate) == (bench.seeds[0], Collate(0))
    assert plain.job.folder == tmp_path / "1"
    assert plain.job.folder.is_dir()
    assert isinstance(plain.job.teacher, Teacher)
    assert plain.teacher_before == digest_of(plain.job.teacher)
    assert plain.job.make_student().dropout.p == 0.0
    assert plain.job.train.contents == bench.splits["train"].contents
    erm, ls = bench.run(method="erm"), bench.run(method="ls", dropout=0.2, pad_to=24)
    assert (erm.job.alpha, erm.job.temperature, erm.job.teacher) == (0.0, 1.0, None)
    assert (ls.job.alpha, ls.job.temperature, ls.job.teacher) == (bench.alpha, 1.0, None)
    assert (erm.teacher_before, ls.job.collate) == ("", Collate(24))
    assert ls.job.make_student().dropout.p == 0.2
    assert ls.job.folder == tmp_path / "3"
    given = bench.run(alpha=0.25, temperature=5.0, seed=7, parts=2, folder=tmp_path / "own").job
    assert (given.alpha, given.temperature, given.seed, given.parts) == (0.25, 5.0, 7, 2)
    assert given.folder == tmp_path / "own"


def test_equal_jobs_are_run_once_unless_they_are_asked_for_anew(bench, jobs):
    first = bench.run(parts=2, epochs=1)
    assert bench.run(epochs=1, parts=2) is first
    for changes in (
        {"teacher": "uniform"},
        {"dropout": 0.2},
        {"permuted": True},
        {"parts": 4},
        {"epochs": 2},
    ):
        assert bench.run(**{"parts": 2, **changes}) is not first
    assert len(jobs) == 6
    assert bench.run_anew(parts=2, epochs=1) is not first
    assert len(jobs) == 7


def test_the_bench_is_decided_by_its_seed(tmp_path):
    benches = [Bench(keeping([]), tmp_path, seed) for seed in range(40)]
    for each in benches:
        assert 0.3 <= each.alpha <= 0.7
        assert round(each.alpha, 2) == each.alpha
        assert len(set(each.seeds)) == 2
        assert all(0 <= seed < 10**6 for seed in each.seeds)
        assert sorted(each.new_class) == list(range(CLASSES))
        assert each.new_class in ((1, 2, 0), (2, 0, 1))
    assert len({each.alpha for each in benches}) > 20
    assert min(each.alpha for each in benches) < 0.34
    assert max(each.alpha for each in benches) > 0.66
    assert {each.new_class for each in benches} == {(1, 2, 0), (2, 0, 1)}
    assert len({each.seeds for each in benches}) == 40
    assert benches[3].alpha == Bench(keeping([]), tmp_path, 3).alpha


def test_teachers_know_their_classes_or_nothing_or_everything(bench):
    soft, another = bench.teachers["soft"], bench.teachers["another"]
    unsure = soft - 2 * torch.eye(CLASSES)
    assert 0 < unsure.abs().max() < 1.6
    assert unsure.std() == pytest.approx(0.4, abs=0.3)
    moved = another - unsure
    for k, row in enumerate(moved):
        assert row[bench.new_class[k]] == pytest.approx(2.0)
        assert row.sum() == pytest.approx(2.0, abs=1e-6)
    assert bench.teachers["uniform"].abs().max() == 0
    assert torch.equal(bench.teachers["one-hot"], 400 * torch.eye(CLASSES))
    assert {each.dtype for each in bench.teachers.values()} == {torch.float32}
    assert list(bench.teachers) == ["soft", "uniform", "one-hot", "another"]


def test_permuted_labels_come_with_a_teacher_that_is_permuted_alike(bench):
    plain, permuted = bench.run().job, bench.run(permuted=True).job
    new = bench.new_class
    assert list(permuted.train.labels) == [new[label] for label in plain.train.labels]
    assert list(permuted.test.labels) == [new[label] for label in plain.test.labels]
    says, says_anew = plain.teacher.head.weight.T, permuted.teacher.head.weight.T
    torch.testing.assert_close(says, bench.teachers["soft"])
    for k in range(CLASSES):
        torch.testing.assert_close(says_anew[:, new[k]], says[:, k])


def test_who_sets_no_seed_finds_another_state_each_time(tmp_path):
    found = []

    def draws(job):
        found.append((torch.rand(()).item(), np.random.rand(), random.random()))  # noqa: NPY002, S311
        return torch.full((len(job.test), CLASSES), 1 / CLASSES)

    for _ in range(2):
        with bench_of(draws, 0) as bench:
            bench.run()
            bench.run_anew()
    for column in zip(*found, strict=True):
        assert column[0] == column[2] != column[1] == column[3]


def test_generators_threads_and_folder_are_put_back_also_after_a_failure():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    folders = []

    def fails():
        with bench_of(keeping([]), 0) as bench:
            folders.append((bench.run().job.folder, torch.get_num_threads()))
            raise KeyError("x")

    try:
        with pytest.raises(KeyError):
            fails()
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(threads)
    ((folder, within),) = folders
    assert (within, after) == (1, 2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002
    assert not folder.exists()
    assert folder.parent.name.startswith("kdcheck-")


def test_posteriors_are_taken_as_they_come_and_kept_at_double_precision(tmp_path):
    weight = torch.ones((), requires_grad=True)

    def as_list(job):
        return (torch.full((len(job.test), CLASSES), 0.25, dtype=torch.float16) * weight).half()

    run = Bench(as_list, tmp_path, 0).run()
    assert (run.posteriors_MK.dtype, run.posteriors_MK.requires_grad) == (torch.float64, False)
    assert run.posteriors_MK.shape == (15, 3)


def test_the_farthest_of_posteriors_is_told_and_infinite_where_one_is_not_finite():
    first = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    second = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    assert farthest(first, second) == farthest(second, first) == 0.25
    assert farthest(first, first) == 0.0
    for value in (math.nan, math.inf):
        broken = second.clone()
        broken[0, 0] = value
        assert farthest(first, broken) == math.inf


def test_the_order_of_rows_is_that_of_the_lessons_alone(log):
    def asked(*places, learns):
        return Asked(tuple(("train", p) for p in places), True, learns, 9, torch.zeros(1, 3), 4)

    log.student += [asked(3, 1, learns=True), asked(0, learns=False), asked(2, learns=True)]
    run = Run(SimpleNamespace(), torch.zeros(1, 3), log, "")
    assert run.order == [("train", 3), ("train", 1), ("train", 2)]


# Adapters and results


def test_a_plain_loop_gets_a_seeded_student_and_shuffled_batches(jobs, bench):
    bench.run()
    job = jobs[0]
    seen = {}

    def loop(job, student, batches):
        seen["first"] = [batch["labels"].tolist() for batch in batches]
        seen["second"] = [batch["labels"].tolist() for batch in batches]
        seen["weight"] = student.hidden.weight.detach().clone()
        torch.nn.init.normal_(student.head.weight)
        seen["student"] = student

    trainer = plain_loop(loop)
    assert trainer.__name__ == "loop"
    posteriors_MK = trainer(job)
    first, second = seen["first"], seen["second"]
    assert [len(labels) for labels in first] == [8] * 5 + [6]
    assert first != second
    for batches in (first, second):
        labels = [label for batch in batches for label in batch]
        assert sorted(labels) == sorted(job.train.labels)
        assert labels != list(job.train.labels)
    torch.manual_seed(job.seed)
    assert torch.equal(job.make_student().hidden.weight, seen["weight"])
    assert not seen["student"].training
    batch = job.collate([job.test[at] for at in range(len(job.test))])
    labels = batch.pop("labels")
    assert len(labels) == 15
    with torch.no_grad():
        wanted = seen["student"](**batch).logits.softmax(-1)
    torch.testing.assert_close(posteriors_MK, wanted)
    assert not posteriors_MK.requires_grad
    assert seen["student"].log.student[-1].places_N[-1] == ("test", 14)
    weights = seen["weight"]
    trainer(job)
    assert torch.equal(seen["weight"], weights)
    assert seen["first"] == first


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {"label_smoothing_factor": 0.0, "bf16": False, "eval_strategy": "no"}),
        ({"method": "ls"}, {"label_smoothing_factor": "alpha"}),
        ({"method": "erm"}, {"label_smoothing_factor": 0.0}),
        (
            {"parts": 2},
            {
                "per_device_train_batch_size": 4,
                "gradient_accumulation_steps": 2,
                "per_device_eval_batch_size": 8,
            },
        ),
        ({"precision": "bfloat16"}, {"bf16": True}),
        ({"evaluate_every": 4}, {"eval_strategy": "steps", "eval_steps": 4}),
        ({"seed": 11, "epochs": 2, "learning_rate": 0.5}, {"seed": 11, "num_train_epochs": 2}),
        ({"learning_rate": 0.5}, {"learning_rate": 0.5}),
    ],
)
def test_a_trainer_of_the_library_is_told_all_that_the_job_says(bench, changes, settings):
    job = bench.run(**changes).job
    usual = adapter_hugging_face._usual(job, {"weight_decay": 0.25})
    args = usual.pop("args")
    wanted = {
        "output_dir": str(job.folder),
        "seed": job.seed,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "use_cpu": True,
        "remove_unused_columns": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "logging_strategy": "no",
        "weight_decay": 0.25,
        **settings,
    }
    got = {name: getattr(args, name) for name in wanted}
    if wanted.get("label_smoothing_factor") == "alpha":
        wanted["label_smoothing_factor"] = job.alpha
    assert got == wanted
    assert list(usual) == ["model_init", "train_dataset", "eval_dataset", "data_collator"]
    assert usual["model_init"] is job.make_student
    assert (usual["train_dataset"], usual["eval_dataset"]) == (job.train, job.validation)
    assert usual["data_collator"] is job.collate


def test_a_run_is_stopped_with_a_checkpoint_after_its_steps():
    stopping = adapter_hugging_face._stopping_after(8)
    for step, stops in ((7, None), (8, True), (9, True)):
        control = SimpleNamespace(should_save=None, should_training_stop=None)
        stopping.on_step_end(None, SimpleNamespace(global_step=step), control)
        assert (control.should_save, control.should_training_stop) == (stops, stops)


def checked(relation, **told):
    return check_trainer(lambda job: torch.full((len(job.test), 3), 1 / 3), only=[relation], **told)


def fails(bench):
    """It never holds.

    More of it.
    """
    return "it does not hold"


def holds(bench):
    """It holds."""


def waits(bench):
    """It is not tried."""
    raise relations.NotTried("it was passed over")


def refuses(bench):
    raise NotImplementedError


def leaves(bench):
    """It leaves."""
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("relation", "status", "says", "detail"),
    [
        (fails, Status.FAILED, "It never holds.", "it does not hold."),
        (holds, Status.PASSED, "It holds.", ""),
        (waits, Status.NOT_RUN, "It is not tried.", "it was passed over."),
        (refuses, Status.NOT_RUN, "", "The trainer says: not implemented."),
        (leaves, Status.FAILED, "It leaves.", "It ended in SystemExit: 0"),
    ],
)
def test_what_came_of_a_relation_is_told(relation, status, says, detail):
    (found,) = checked(relation).results
    assert (found.name, found.status, found.says, found.detail) == (
        relation.__name__,
        status,
        says,
        detail,
    )


class Callable:
    def __call__(self, job):
        return torch.full((len(job.test), 3), 1 / 3)


@pytest.mark.parametrize(
    ("only", "verdict"),
    [
        ([holds], "nothing fails"),
        ([holds, waits, refuses], "nothing fails; not run: waits, refuses"),
        ([holds, fails, waits], "1 check fails: fails"),
        ([fails, leaves], "2 checks fail: fails, leaves"),
    ],
)
def test_the_verdict_counts_what_fails_or_names_what_was_not_run(only, verdict):
    report = check_trainer(Callable(), only=only)
    assert (report.subject, report.verdict) == ("Callable", verdict)


def test_an_expected_failure_is_no_failure_of_the_verdict():
    report = checked(fails, expected_failures={"fails": "as known"})
    assert (report.verdict, report.exit_code) == ("nothing fails", 0)
    assert report.results[0].detail == "as known (it does not hold.)"
    with pytest.raises(ParameterError) as caught:
        checked(fails, expected_failures={"x": "y"})
    assert str(caught.value).startswith("check_trainer: got an expected failure of 'x'")


def test_the_seed_of_a_check_is_that_of_its_bench():
    alphas = []

    def keeps(bench):
        alphas.append(bench.alpha)

    for seed in (0, 0, 1):
        check_trainer(Callable(), only=[keeps], seed=seed)
    with bench_of(Callable(), 1) as bench:
        assert alphas == [alphas[0], alphas[0], bench.alpha]
    assert alphas[0] != alphas[2]
    assert Path(bench._folder).exists() is False
