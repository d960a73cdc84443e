"""What recipes are trained on: found by name, checked by content, and made ready once a process."""

from __future__ import annotations

import dataclasses

import pytest

import kdcheck.encoders
import kdcheck.study.resources as room
from kdcheck.encoders import Encoder
from kdcheck.errors import EncoderError, RecipeError, TaskError
from kdcheck.places import Places
from kdcheck.study.resources import Resources, ScaleDigests, check_unchanged
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests.refusal import refused
from tests.study_doubles import scale
from tests.tiny_files import write_encoder

LAYERS = {"tiny-1": 1, "tiny-2": 2}


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Resources of a task and two encoders, and how many texts were tokenised."""

    def load_encoder(name: str, **_) -> Encoder:
        return dataclasses.replace(tiny_encoder(layers=LAYERS[name]), name=name)

    tokenize, texts_seen = Encoder.tokenize, []

    def counted(self, texts, max_length):
        texts_seen.append(len(texts))
        return tokenize(self, texts, max_length)

    monkeypatch.setattr(room, "load_task", lambda name, **_: tiny_task(train=40, seed=len(name)))
    monkeypatch.setattr(kdcheck.encoders, "load_encoder", load_encoder)
    monkeypatch.setattr(Encoder, "tokenize", counted)
    resources = Resources(Places.resolve(work=tmp_path / "none yet", environment={}))

    def recipe(encoder: str = "tiny-1", task: str = "a", **changes):
        found = resources.load_task(task), resources.load_encoder(encoder)
        made = tiny_recipe(*found, train_rows=12, max_length=32)
        return dataclasses.replace(made, **{"task": task} | changes)

    return resources, recipe, texts_seen


def test_inputs_are_the_whole_tasks_cut_to_the_rows_of_the_recipe(made):
    resources, recipe, _ = made
    for seed in (0, 7):
        inputs = resources.inputs_of(recipe(seed=seed, test_rows=5))
        whole = resources.load_task("a")
        assert inputs.task.train.ids == whole.subset(train=12, seed=seed).train.ids
        assert inputs.task.test.ids == whole.subset(test=5).test.ids
        assert inputs.task_digest == whole.digest
        assert inputs.encoder.name == "tiny-1"


def test_texts_are_tokenised_once_for_all_seeds_and_for_both_encoders_of_a_pair(made):
    resources, recipe, texts_seen = made
    for seed in range(5):
        for encoder in LAYERS:
            assert resources.inputs_of(recipe(encoder, seed=seed)).encoder.name == encoder
    assert texts_seen == [40, 16, 24]
    resources.inputs_of(recipe(max_length=16))
    resources.inputs_of(recipe(task="bb"))
    assert texts_seen == [40, 16, 24] * 3


def test_what_another_run_on_the_same_rows_used_is_used_again(made):
    resources, recipe, _ = made
    first, again = (resources.inputs_of(recipe(seed=3, epochs=n)) for n in (1, 2))
    other = resources.inputs_of(recipe(seed=4))
    assert first is again is not other


def test_another_content_than_the_recipes_is_refused(made):
    resources, recipe, _ = made
    with refused(RecipeError, "task 'a'", "content ffffffffffff", "kdcheck data verify"):
        resources.inputs_of(recipe(task_digest="f" * 64))
    part = resources.load_task("a").subset(train=12)
    with refused(RecipeError, "task 'a'", part.digest[:12]):
        resources.inputs_of(recipe(task_digest=part.digest))


def test_the_digest_that_a_scale_names_is_that_of_the_whole_task(made):
    resources, _, _ = made
    digests = ScaleDigests(scale(rows={"a": {"train": 12, "test": 5}}), resources)
    assert digests.task("a") == resources.load_task("a").digest
    assert digests.classes("a") == 2


def test_a_scale_that_asks_for_more_rows_than_there_are_is_refused_before_training(made):
    digests = ScaleDigests(scale(rows={"a": {"train": 12, "validation": 17}}), made[0])
    with refused(TaskError, "subset of validation", "size 17", "1 to 16"):
        digests.task("a")


@pytest.mark.parametrize(("changed", "size"), [("my-bert", "larger"), ("my-small-bert", "smaller")])
def test_a_changed_weight_file_in_a_model_folder_is_an_error_that_names_the_encoder(
    tmp_path, changed, size
):
    names = ("my-bert", "my-small-bert")
    for name, layers in zip(names, (2, 1), strict=True):
        write_encoder(tmp_path / name, layers)
    places = Places.resolve(model_dir=tmp_path, environment={})

    def found():
        return ScaleDigests(scale(pair=names, tasks=()), Resources(places))

    before = found()
    stored = {
        name: {before.encoder(size)}
        for name, size in zip(names, ("larger", "smaller"), strict=True)
    }
    check_unchanged(found(), stored)
    check_unchanged(found(), {})
    file = tmp_path / changed / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # the last bit of the last weight
    file.write_bytes(content)
    old, new = before.encoder(size)[:8], found().encoder(size)[:8]
    with refused(
        EncoderError,
        f"encoder {changed!r}",
        old,
        new,
        "put the old one back",
        "another name",
        "--store",
    ):
        check_unchanged(found(), stored)
