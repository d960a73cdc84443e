"""``kdcheck train``: what it reads, what it prints before and after, what it leaves behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

import kdcheck.encoders
import kdcheck.study.resources
from kdcheck import places
from kdcheck.cli import build_parser, main, train
from kdcheck.cli._recipe import fields_of, resolve
from kdcheck.engine import loop as engine
from kdcheck.errors import RecipeError
from kdcheck.evidence import bundle
from kdcheck.evidence.bundle import Bundle
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.resources import Resources
from kdcheck.testing import tiny_encoder, tiny_task
from tests.evidence_doubles import memory_store

NAMES = {"small": ("bert", 1), "large": ("bert", 2), "other": ("distilbert", 1)}
FLAGS = ("--task", "tiny", "--encoder", "small", "--epochs", "2", "--learning-rate", "0.01")
SHORT = ("--set", "batch_size=8", "--set", "max_length=32")


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """The command on a task and encoders of its own, in a folder of its own, on the CPU."""

    def load_encoder(name: str, **_):
        kind, layers = NAMES[name]
        return dataclasses.replace(tiny_encoder(kind, layers=layers), name=name)

    monkeypatch.setattr(
        kdcheck.study.resources, "load_task", lambda _name, **_: tiny_task(train=40)
    )
    monkeypatch.setattr(kdcheck.encoders, "load_encoder", load_encoder)

    stores = {}
    monkeypatch.setattr(
        Store, "create", lambda place: stores.setdefault(place, memory_store(place.folder))
    )

    def run(*arguments):
        where = ("--device", "cpu", "--store", str(tmp_path / "store"))
        status = main(["train", *where, *map(str, arguments)])
        run.stores = {place.folder.name: store for place, store in stores.items()}
        return status, capsys.readouterr()

    return run


def recipe_of(*arguments) -> Recipe:
    args = build_parser().parse_args(["train", *map(str, arguments)])
    return resolve(fields_of(args), Resources(Places.resolve(environment={})))


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / "work" / "runs").glob("*/*"))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_decides_the_run_is_printed_before_it_and_the_metrics_after(command):
    status, printed = command(*FLAGS, *SHORT, "--objective", "ls", "--alpha", "0.1")
    assert status == 0
    before, after = printed.out.split("test_sample\n", 1)
    for fact in (
        *("tiny small ls alpha=0.1", "lr=0.01", "epochs=2", "seed=0", "8 a step", "float32"),
        *("40 / 16 / 24 rows", "c0, c1", "tokens in use", "10, 2 evaluations", "cpu"),
        *("1 thread", "deterministic"),
    ):
        assert fact in before
    head, *rows = [line.split() for line in after.splitlines() if line]
    names = ["mean_entropy_nats", "accuracy", "nll_nats", "brier", "ece"]
    assert head == ["epoch", "loss_nats", *names]
    (digest,) = command.stores["store"].digests()
    points = command.stores["store"].get(digest).points
    for row, point in zip(rows, points, strict=False):
        values = [point.values[f"test_sample/{name}"] for name in names]
        values = [point.values["train/loss_nats"], *values]
        assert row == [f"{point.epoch:g}", *(f"{value:.4f}" for value in values)]
    last = points[-1]
    values = [*(last.values[f"test/{name}"] for name in names), last.values["validation/accuracy"]]
    assert rows[2:5] == [
        ["test", "validation"],
        ["epoch", *names, "accuracy"],
        ["2", *(f"{value:.4f}" for value in values)],
    ]
    assert "training rows a second" in after


def test_a_teacher_is_trained_first_and_the_store_keeps_it_for_the_next_student(command, tmp_path):
    taught = ("--objective", "kd", "--alpha", "0.5", "--teacher-encoder", "large")
    _, printed = command(*FLAGS, *SHORT, *taught)
    first, second = (printed.out.index(text) for text in ("tiny large erm", "tiny small kd"))
    assert first < second
    assert "trained before" not in printed.out
    assert not checkpoints(tmp_path)
    kept = command.stores["store"]
    teacher, student = sorted(map(kept.get, kept.digests()), key=lambda run: run.recipe.encoder)
    assert (teacher.recipe.encoder, student.recipe.teacher) == ("large", teacher.recipe)
    assert len(teacher.final.predictions["train"].ids) == 40
    taught = ("--objective", "kd", "--alpha", "0.9", "--teacher-encoder", "large")
    other = ("--output", tmp_path / "out")
    _, printed = command(*FLAGS, *SHORT, *taught, *other)
    assert printed.out.count("trained before") == 1
    (exported,) = map(Bundle(tmp_path / "out").get, Bundle(tmp_path / "out").digests())
    assert exported.recipe.objective.alpha == 0.9
    assert "kd alpha=0.9" in printed.out
    assert len(kept.digests()) == 3


def test_a_recipe_in_the_store_is_not_trained_again_but_its_metrics_are_printed(
    command, monkeypatch, tmp_path
):
    _, first = command(*FLAGS, *SHORT)
    monkeypatch.setattr(engine, "train", None)
    status, second = command(*FLAGS, *SHORT, "--output", tmp_path / "out")
    assert status == 0
    first_table, second_table = (p.out.split("test_sample\n")[1] for p in (first, second))
    assert second_table.startswith(first_table)
    assert f"trained before: store {tmp_path / 'store'}" in second.out
    assert len(Bundle(tmp_path / "out").digests()) == 1


def test_a_model_whose_run_is_in_the_store_cannot_be_exported_and_the_message_says_what_can(
    command, tmp_path
):
    command(*FLAGS, *SHORT)
    status, printed = command(*FLAGS, *SHORT, "--export", tmp_path / "model")
    assert (status, printed.out) == (2, "")
    assert "has without its weights" in printed.err
    status, _ = command(*FLAGS, *SHORT, "--export", tmp_path / "model", "--store", tmp_path / "new")
    assert status == 0
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert set(command.stores) == {"store", "new"}


def test_output_is_a_bundle_with_metrics_and_logits_and_export_a_model(command, tmp_path):
    places = ("--output", tmp_path / "out", "--export", tmp_path / "model")
    status, printed = command(*FLAGS, *SHORT, *places)
    assert status == 0
    assert f"metrics and logits: {tmp_path / 'out'}" in printed.out
    left = Bundle(tmp_path / "out")
    evidence = left.get(*left.digests(), trajectory=True)
    seen = [{name: len(part.ids) for name, part in p.predictions.items()} for p in evidence.points]
    assert seen[0] == {"train_sample": 40, "test_sample": 24}
    assert seen[1] == {**seen[0], "validation": 16, "test": 24, "train": 40}
    assert evidence.recipe.learning_rate == 0.01
    assert f"{evidence.final.values['test/accuracy']:.4f}" in printed.out
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    status, _ = command(*FLAGS, *SHORT, "--output", tmp_path / "out")
    assert status == 0  # an older bundle may be replaced


@pytest.mark.parametrize("option", ["--output", "--export"])
def test_a_place_that_is_taken_is_refused_before_training(command, tmp_path, option):
    write(tmp_path / "notes.txt", "mine")
    status, printed = command(*FLAGS, *SHORT, option, tmp_path)
    assert status == 2
    assert str(tmp_path) in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("option", ["--output", "--export"])
@pytest.mark.parametrize("error", [NotADirectoryError, PermissionError])
def test_a_place_that_cannot_be_written_is_refused_before_training(
    command, tmp_path, monkeypatch, option, error
):
    place = write(tmp_path / "file", "mine") / "out"
    if error is PermissionError:  # root may write everywhere, so it is made up
        place = tmp_path / "read-only" / "out"
        monkeypatch.setattr(places.tempfile, "TemporaryDirectory", raising(error("not yours")))
    status, printed = command(*FLAGS, *SHORT, option, place)
    assert status == 2
    assert f"{option} {place}" in printed.err
    assert "Name one in a folder that you may write to" in printed.err
    assert printed.out == ""


def raising(error: Exception):
    def stand_in(*_, **__):
        raise error

    return stand_in


def test_results_that_cannot_be_written_are_in_the_store_and_the_same_command_writes_them(
    command, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "write_evidence", raising(OSError(28, "No space left on device")))
        status, printed = command(*FLAGS, *SHORT, "--output", tmp_path / "out")
    assert status == 2
    assert "No space left on device" in printed.err
    monkeypatch.setattr(engine, "train", None)
    status, _ = command(*FLAGS, *SHORT, "--output", tmp_path / "out")
    assert status == 0
    assert len(Bundle(tmp_path / "out").digests()) == 1


def test_a_file_names_the_recipe_and_flags_change_single_fields(command, tmp_path):
    path = write(
        tmp_path / "recipe.toml",
        """
        task = "tiny"
        encoder = "small"
        learning_rate = 1e-2
        epochs = 3
        batch_size = 16
        seed = 5
        [objective]
        name = "kd"
        alpha = 0.5
        [teacher]
        encoder = "large"
        epochs = 7
        """,
    )
    made = recipe_of(path)
    assert (made.epochs, made.seed, made.objective.name, made.encoder) == (3, 5, "kd", "small")
    assert made.task_digest == tiny_task(train=40).digest
    assert (made.teacher.encoder, made.teacher.epochs, made.teacher.batch_size) == ("large", 7, 16)
    assert made.teacher.objective.name == "erm"
    changed = recipe_of(path, "--seed", 6, "--alpha", 0.25, "--set", "teacher.epochs=2")
    assert (changed.seed, changed.objective.alpha, changed.teacher.epochs) == (6, 0.25, 2)
    assert changed.teacher.seed == 6
    assert recipe_of(path, "--set", "schedule=constant").schedule == "constant"


def test_what_a_recipe_writes_of_itself_names_the_same_recipe(command):
    made = recipe_of(*FLAGS, "--objective", "kd", "--alpha", 0.5, "--teacher-encoder", "large")
    resources = Resources(Places.resolve(environment={}))
    assert resolve(made.to_dict(), resources).digest == made.digest


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (("--task", "tiny"), ("no encoder", "Give --encoder or a recipe file")),
        ((*FLAGS, "--alpha", "0.1"), ("objective 'erm'", "'alpha'", "it would have no effect")),
        ((*FLAGS, "--objective", "kd", "--alpha", "0.5"), ("recipe, teacher", "'kd' needs")),
        ((*FLAGS, "--teacher-encoder", "large"), ("recipe, teacher", "no effect")),
        ((*FLAGS, "--set", "batchsize=3"), ("the field 'batchsize'", "kdcheck train --help")),
        ((*FLAGS, "--set", "batch_size"), ("--set", "'batch_size'", "FIELD=VALUE")),
        ((*FLAGS, "--set", "batch_size=many"), ("recipe, batch_size", "'many'", "int")),
        ((*FLAGS, "--set", "train_rows=41"), ("subset of train", "size 41", "1 to 40")),
        (("nowhere.toml",), ("recipe nowhere.toml", "No such file", "--help")),
        ((*FLAGS, "--set", "task_digest=ffff"), ("task 'tiny'", "content ffff", "data verify")),
        (("bad.toml",), ("bad.toml", "line 1")),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_that_says_what_to_do(
    command, monkeypatch, tmp_path, arguments, facts
):
    monkeypatch.chdir(write(tmp_path / "bad.toml", "task = tiny").parent)
    status, printed = command(*arguments)
    assert status == 2
    assert printed.err.count("\n") == 1
    for fact in facts:
        assert fact in printed.err


def test_a_pair_that_tells_texts_apart_differently_is_noted(command):
    taught = ("--objective", "kd", "--alpha", "0.5", "--teacher-encoder", "other")
    _, printed = command(*FLAGS, *SHORT, *taught)
    assert "note: other does not read token types" in printed.out


def test_ctrl_c_says_how_to_go_on_and_the_same_command_resumes(command, monkeypatch, tmp_path):
    real, calls = engine.train, []

    def interrupted(*args, progress, **kwargs):
        def stop(step, total):
            progress(step, total)
            if step == 6 and not calls:
                calls.append(step)
                raise KeyboardInterrupt

        return real(*args, progress=stop, **kwargs | {"checkpoint_seconds": 0.0})

    monkeypatch.setattr(engine, "train", interrupted)
    status, printed = command(*FLAGS, *SHORT)
    assert status == 130
    assert f"the same command resumes from {tmp_path / 'work'}" in printed.err
    assert checkpoints(tmp_path)
    status, printed = command(*FLAGS, *SHORT)
    assert status == 0
    assert "note: resumed at step 6" in printed.out
    assert not checkpoints(tmp_path)


def test_the_help_names_every_field_of_a_recipe_and_no_other():
    listed = train.__doc__.split("Fields: ")[1].split("\n\n")[0].split()
    assert sorted(listed) == sorted(field.name for field in dataclasses.fields(Recipe))


def test_a_recipe_that_names_other_content_than_its_own_teacher_is_refused(command):
    with pytest.raises(RecipeError, match="a teacher of the same task content"):
        recipe_of(
            *(*FLAGS, "--objective", "kd", "--alpha", 0.5, "--teacher-encoder", "large"),
            *("--set", "teacher.task_digest=ffff"),
        )
