"""Files of the hub: fetched from a double of it, pinned, and refused when they were changed."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from kdcheck import pins
from kdcheck.cli import main
from kdcheck.encoders import load_encoder
from kdcheck.errors import EncoderError, FetchError
from kdcheck.tasks import load_task
from tests.hub_double import REVISION, served
from tests.refusal import refused
from tests.tiny_files import write_encoder

BERT = "google-bert/bert-base-uncased"


@pytest.fixture
def weights(tmp_path):
    """The three files of an encoder, by name."""
    write_encoder(tmp_path / "made", layers=1)
    return {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}


@pytest.fixture
def glue_files():
    """Two splits of a task as the hub lays them out, and one that nobody needs."""
    import io

    import pyarrow as pa
    from pyarrow import parquet

    def file(rows, label):
        sink = io.BytesIO()
        columns = {
            "question": [f"q {label} {row}" for row in range(rows)],
            "sentence": [f"s {label} {row}" for row in range(rows)],
            "label": [row % 2 for row in range(rows)],
            "idx": list(range(rows)),
        }
        parquet.write_table(pa.table(columns), sink)
        return sink.getvalue()

    tail = "00000-of-00001.parquet"
    return {
        f"qnli/train-{tail}": file(60, "t"),
        f"qnli/validation-{tail}": file(9, "v"),
        f"qnli/test-{tail}": file(7, "x"),
    }


@pytest.fixture
def hub(monkeypatch, tmp_path, weights, glue_files):
    """Paths that the hub was asked for, and what it serves."""
    repositories = {BERT: weights, "nyu-mll/glue": glue_files}
    with served(repositories) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(pins, "SHIPPED", tmp_path / "shipped.json")
        yield asked, repositories


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_encoders_fetched_on_one_machine_are_used_on_another_without_the_hub(
    hub, tmp_path, monkeypatch, capsys, weights
):
    models = tmp_path / "models"
    assert main(["encoders", "fetch", "bert-base-uncased", "--model-dir", str(models)]) == 0
    said = capsys.readouterr().out
    assert REVISION[:12] in said
    assert "unpinned" in said
    beside = json.loads((models / "bert-base-uncased" / "pins.json").read_text())
    assert beside["bert-base-uncased"]["revision"] == REVISION
    assert beside["bert-base-uncased"]["files"]["model.safetensors"] == sha256(
        weights["model.safetensors"]
    )
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    encoder = load_encoder("bert-base-uncased", model_dir=models)
    assert f"revision {REVISION[:12]}, as fetched" in encoder.unpinned
    assert main(["encoders", "verify", "bert-base-uncased", "--model-dir", str(models)]) == 0


def test_a_changed_weight_file_is_an_error_and_not_another_study(hub, tmp_path, capsys):
    models = tmp_path / "models"
    main(["encoders", "fetch", "bert-base-uncased", "--model-dir", str(models)])
    file = models / "bert-base-uncased" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with refused(
        FetchError, "bert-base-uncased, model.safetensors", "as it was fetched", "changed"
    ):
        load_encoder("bert-base-uncased", model_dir=models)
    assert main(["encoders", "verify", "bert-base-uncased", "--model-dir", str(models)]) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 10**5, "more than 64 deep"),
        (b"[]", "names with pins"),
        (b'{"a": {"repository": 1, "revision": "r", "files": {}}}', "names with pins"),
        (b'{"a": {"repository": "r", "revision": "r", "files": ["f"]}}', "names with pins"),
        (b'{"a": {"repository": "r", "revision": "r", "files": {"f": 1}}}', "names with pins"),
        (None, "pins.json is a pipe"),
    ],
)
def test_pins_of_a_stranger_that_cannot_be_are_refused_at_once(tmp_path, content, said):
    path = tmp_path / "pins.json"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    with refused(FetchError, f"pins {path}", said):
        pins.check("a", tmp_path)


@pytest.mark.parametrize(
    "verb",
    [
        ["encoders", "fetch", "bert-base-uncased", "--model-dir"],
        ["data", "fetch", "qnli", "--data-dir"],
    ],
)
@pytest.mark.parametrize("place", ["file", "x" * 5000])
def test_a_place_that_can_be_no_folder_is_refused_before_anything_is_fetched(
    hub, tmp_path, capsys, verb, place
):
    (tmp_path / "file").write_text("")
    assert main([*verb, str(tmp_path / place)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "Name another folder, or look at the rights and the room of this one." in line
    assert hub[0] == []


def test_what_is_pinned_is_said_by_nobody_and_other_content_is_refused(hub, tmp_path, capsys):
    asked, repositories = hub
    models = tmp_path / "models"
    main(["encoders", "fetch", "bert-base-uncased", "--model-dir", str(models), "--pin"])
    assert load_encoder("bert-base-uncased", model_dir=models).unpinned == ""
    # The hub's own pin holds where nothing lies beside the files, as in a copy by hand.
    (models / "bert-base-uncased" / "pins.json").unlink()
    assert load_encoder("bert-base-uncased", model_dir=models).unpinned == ""
    repositories[BERT]["config.json"] += b" "
    asked.clear()
    other = ["encoders", "fetch", "bert-base-uncased", "--model-dir", str(tmp_path / "other")]
    assert main(other) == 2
    assert "config.json" in capsys.readouterr().err
    assert any(f"/revision/{REVISION}" in path for path in asked), "asked for the pinned commit"
    assert not (tmp_path / "other" / "bert-base-uncased" / "config.json").exists()


def test_tasks_of_a_scale_are_fetched_into_a_folder_that_needs_no_hub(
    hub, tmp_path, monkeypatch, capsys
):
    data, scale = tmp_path / "data", tmp_path / "s.toml"
    scale.write_text(
        'name = "s"\npair = "tiny"\ntasks = ["qnli"]\nseeds = 2\n[training]\n'
        '[methods.erm.smaller]\nobjective = { name = "erm" }\n'
    )
    assert main(["data", "fetch", "--scale", str(scale), "--data-dir", str(data)]) == 0
    assert REVISION[:12] in capsys.readouterr().out
    assert sorted(path.name for path in (data / "qnli").iterdir()) == [
        "pins.json", "train.parquet", "validation.parquet",
    ]  # fmt: skip
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    task = load_task("qnli", data_dir=data)
    assert len(task.test) == 9
    assert "as fetched" in task.origin.unpinned
    assert task.origin.unpinned in task.origin.notes
    with (data / "qnli" / "train.parquet").open("ab") as file:
        file.write(b"more")
    with refused(FetchError, "qnli, train.parquet", "as it was fetched"):
        load_task("qnli", data_dir=data)


def test_a_folder_that_nobody_fetched_is_said_to_be_unpinned(tmp_path):
    write_encoder(tmp_path / "bert-base-uncased", layers=1)
    write_encoder(tmp_path / "my-own", layers=1)
    found = load_encoder("bert-base-uncased", model_dir=tmp_path)
    assert found.unpinned.startswith("bert-base-uncased is unpinned: nothing says")
    assert load_encoder("my-own", model_dir=tmp_path).unpinned == "", "it is of no hub"


def test_a_model_folder_that_lacks_an_encoder_does_not_turn_to_the_hub(hub, tmp_path):
    asked, _ = hub
    (tmp_path / "models" / "other").mkdir(parents=True)
    with refused(EncoderError, "--model-dir", "bert-base-uncased among other", "encoders fetch"):
        load_encoder("bert-base-uncased", model_dir=tmp_path / "models")
    with refused(EncoderError, "--model-dir", f"no folder {tmp_path / 'nowhere'}"):
        load_encoder("bert-base-uncased", model_dir=tmp_path / "nowhere")
    assert asked == []


def test_a_missing_file_of_an_encoder_is_named(tmp_path):
    write_encoder(tmp_path / "my-own", layers=1)
    (tmp_path / "my-own" / "tokenizer.json").unlink()
    with refused(EncoderError, "my-own", "no tokenizer.json in", "config.json, model.safetensors"):
        load_encoder("my-own", model_dir=tmp_path)


def test_the_hub_out_of_reach_leaves_nothing_behind(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    command = ["encoders", "fetch", "bert-base-uncased", "--model-dir", str(tmp_path / "m")]
    assert main(command) == 2
    assert "Check the connection" in capsys.readouterr().err
    assert list((tmp_path / "m" / "bert-base-uncased").iterdir()) == []


def test_data_fetch_without_a_task_and_a_pin_without_a_folder_are_refused(capsys):
    assert main(["data", "fetch"]) == 2
    assert "at least one, or --scale" in capsys.readouterr().err
    assert main(["data", "fetch", "qnli", "--pin"]) == 2
    assert "a folder to fetch into" in capsys.readouterr().err


def test_the_pins_that_are_shipped_can_be_read():
    assert pins.shipped("no such name") is None
