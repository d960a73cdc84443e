"""A trained model as the library reads it: the same logits, the whole vocabulary, all or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from kdcheck.encoders import load_encoder
from kdcheck.engine.inputs import prepare
from kdcheck.engine.loop import train
from kdcheck.errors import EncoderError, EvidenceError
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task


@pytest.fixture(scope="module", params=["bert", "distilbert"])
def exported(request, tmp_path_factory):
    """Inputs, evidence and folder of one trained run."""
    task, encoder = tiny_task(train=24, pairs=True, classes=3), tiny_encoder(request.param)
    inputs = prepare(task, encoder, 48)
    folder = tmp_path_factory.mktemp("export") / "deep" / "model"
    recipe = tiny_recipe(task, encoder, max_length=48)
    evidence = train(recipe, inputs, model_folder=folder, device=torch.device("cpu"))
    return inputs, evidence, folder


def test_the_librarys_own_model_gives_the_logits_of_the_evidence(exported):
    inputs, evidence, folder = exported
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    want = evidence.final.predictions["test"].logits_NK
    part = inputs.tokenized["test"]
    with torch.no_grad():
        for row in range(len(want)):
            batch = {"input_ids": torch.from_numpy(part.ids[row])[None].long()}
            if inputs.encoder.reads_token_types:
                batch["token_type_ids"] = torch.from_numpy(part.types[row])[None].long()
            assert np.abs(model(**batch).logits[0].numpy() - want[row]).max() < 1e-5
    assert model.config.id2label == {0: "c0", 1: "c1", 2: "c2"}


def test_rows_that_no_example_uses_are_as_they_were_and_the_others_have_moved(exported):
    inputs, _, folder = exported
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    table = model.base_model.embeddings.word_embeddings.weight.detach()
    before = inputs.encoder.weights["embeddings.word_embeddings.weight"]
    moved = (table != before).any(dim=1).numpy()
    unused = np.setdiff1d(np.arange(len(before)), inputs.vocabulary)
    assert len(unused) > 0
    assert not moved[unused].any()
    assert moved[[int(part[1]) for part in inputs.tokenized["train"].ids]].all()


def test_an_exported_folder_is_an_encoder_that_remembers_its_labels(exported):
    inputs, _, folder = exported
    encoder = load_encoder(folder.name, model_dir=folder.parent)
    again = prepare(inputs.task, encoder, 48)
    assert all(map(np.array_equal, again.tokenized["test"].ids, inputs.tokenized["test"].ids))
    with pytest.raises(EncoderError, match="label2id"):
        prepare(tiny_task(classes=2), encoder, 48)


def test_a_folder_that_is_there_already_is_left_alone_and_named(exported):
    inputs, evidence, folder = exported
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(EvidenceError, match="a new folder that can be written") as caught:
        train(evidence.recipe, inputs, model_folder=folder)
    assert str(folder) in caught.value.who
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert json.loads((folder / "config.json").read_text())["vocab_size"] > len(inputs.vocabulary)


def test_a_full_disk_leaves_no_half_of_a_model(exported, tmp_path, monkeypatch):
    inputs, evidence, _ = exported

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(EvidenceError, match="No space left"):
        train(evidence.recipe, inputs, model_folder=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
