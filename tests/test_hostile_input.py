"""Inputs that once ended in a traceback, a hang or a crash, or were taken without a word: an error each.

Bundles are in ``test_tampering.py``, bounds of files in ``test_border.py``, servers that go away in
``test_evidence_patience.py``; ``properties/test_borders.py`` looks for more.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdcheck import plugin
from kdcheck.cli import main, ui
from kdcheck.encoders import load_encoder
from kdcheck.errors import EncoderError, EvidenceError, InputError, RecipeError, TaskError
from kdcheck.evidence import database
from kdcheck.evidence.files import digest_of
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.plugin import outcome, training
from kdcheck.plugin.config import SESSION, or_usage_error
from kdcheck.recipe import MOST
from kdcheck.study.lock import read
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import load
from kdcheck.tasks import load_task
from kdcheck.tasks.doubts import doubts
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests import study_doubles
from tests.refusal import refused
from tests.tiny_files import write_encoder, write_task

# pytest


def a_file(folder: Path) -> None:
    folder.write_text("no folder")


def content(data: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "mlflow.db").write_bytes(data)

    return make


def foreign(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def locked(folder: Path) -> None:
    foreign(folder)
    held = sqlite3.connect(folder / "mlflow.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    HELD.append(held)


HELD: list[sqlite3.Connection] = []
STORES = {
    "a file": (a_file, "A file is in the way"),
    "random bytes": (content(bytes(range(256)) * 40), "not a database"),
    "empty": (content(b""), "database schema none"),
    "foreign": (foreign, "database schema none"),
    "locked": (locked, "database is locked"),
}


class Planned(SimpleNamespace):
    """What is announced of a session; its store is opened when runs are counted."""

    graph, scale = SimpleNamespace(recipes={}), SimpleNamespace(name="small", tasks=())
    counts, claims, registration, lost = (3,), (), "no lock", {}

    def missing(self) -> int:
        return len(Store.create(self.place).digests())


@pytest.mark.parametrize("kind", STORES)
def test_a_broken_store_is_an_error_of_use_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    make, said = STORES[kind]
    make(tmp_path / "store")
    quick = SimpleNamespace(connect=partial(sqlite3.connect, timeout=0.01), Error=sqlite3.Error)
    monkeypatch.setattr(database, "sqlite3", quick)
    config = SimpleNamespace(stash={SESSION: Planned(place=tmp_path / "store")})
    with pytest.raises(pytest.UsageError, match=rf"kdcheck: store .*{said}"):
        training.train(config)
    while HELD:
        HELD.pop().close()


def test_a_place_that_takes_no_more_bytes_is_an_error_of_use() -> None:
    def write() -> None:
        raise OSError(27, "File too large", "work/state")

    with pytest.raises(
        pytest.UsageError, match=r"kdcheck: got .*File too large.*room of that place"
    ):
        or_usage_error(write)


def test_evidence_that_is_gone_when_a_claim_is_judged_fails_its_test_in_one_line() -> None:
    def judged(_: object) -> None:
        raise EvidenceError("store s, run r", "no file points.json", "the file", "Run again.")

    session, claim = SimpleNamespace(judged=judged), SimpleNamespace(id="c")
    with pytest.raises(
        pytest.fail.Exception, match=r"^kdcheck: store s, run r: got no file"
    ) as caught:
        outcome.judge_item(None, session, claim)
    assert caught.value.pytrace is False


@pytest.mark.parametrize("text", ["a = 'ü'".encode("utf-16"), "a = 'ü'".encode("latin-1")])
def test_a_scale_in_another_encoding_is_refused_by_its_name(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mine.toml").write_bytes(text)
    with refused(InputError, "mine.toml", "utf-8", "wanted TOML"):
        load(str(tmp_path / "mine.toml"))


EXPECTED = {
    "latin-1": ("[mine.c]\nbecause = 'für'".encode("latin-1"), "utf-8"),
    "a list": (b"mine = [1]", r"got \[1\]; wanted a table of claims"),
    "a text": (b"mine.c = 'REFUTED'", "wanted verdict .* and because"),
    "a verdict that is a list": (
        b"[mine.c]\nverdict = ['REFUTED']\nbecause = 'b'",
        "wanted verdict",
    ),
    "not there": (None, "No such file"),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_expected_file_that_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    text, said = EXPECTED[kind]
    path = tmp_path / "nofile.toml"
    if text is not None:
        path.write_bytes(text)
    config = SimpleNamespace(getoption={"--expected": path}.get, rootpath=tmp_path)
    scale = SimpleNamespace(name="mine", seeds=3, first_seed=0)
    session = SimpleNamespace(scale=scale, counts=(3,), seeds=(0, 1, 2))
    with pytest.raises(InputError, match=rf"nofile\.toml.*{said}"):
        outcome.expected_verdicts(config, session)
    config.getoption = {}.get
    assert outcome.expected_verdicts(config, session) == {}, "the default file need not be there"


def test_a_library_that_warns_ends_no_controller_whose_project_makes_warnings_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = []

    def summarise(*_: object) -> None:
        warnings.warn("of a library", UserWarning, stacklevel=1)
        said.append("page")

    monkeypatch.setattr(outcome, "summarise", summarise)
    report = SimpleNamespace(when="call", user_properties=[("kdcheck", "{}")])
    terminal = SimpleNamespace(stats={"passed": [report]})
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("error")
        plugin.pytest_terminal_summary(terminal, 0, SimpleNamespace())
    assert said == ["page"]


SCALE = """name = {name}
pair = {pair}
tasks = ["words"]
seeds = {seeds}
[training]
[methods.erm.smaller]
objective = {{ name = "erm" }}
"""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": '"a/b"'}, "name = 'a/b'; wanted letters, digits"),
        ({"pair": '["big", "big"]'}, "pair = .*the larger one first"),
        ({"seeds": "0"}, "seeds = 0; wanted a whole number from 1 to 1000"),
        ({"seeds": "1000000000"}, "wanted a whole number from 1 to 1000"),
    ],
)
def test_a_scale_that_could_not_be_stored_or_run_is_refused_when_it_is_read(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    values = {"name": '"little"', "pair": '["big", "small"]', "seeds": "3"}
    (tmp_path / "a.toml").write_text(SCALE.format(**values | changes))
    with pytest.raises(InputError, match=said):
        load(str(tmp_path / "a.toml"))


def test_a_copy_of_an_encoder_under_another_name_makes_no_pair(tmp_path: Path) -> None:
    for name in ("big", "copy"):
        write_encoder(tmp_path / name, 1)
    places = Places.resolve(model_dir=tmp_path, store=tmp_path / "s")
    scale = study_doubles.scale(pair=("big", "copy"))
    with refused(InputError, "one model for both sizes, big and copy"):
        ScaleDigests(scale, Resources(places))


# Encoders


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_encoder(folder / "good", 1)
    return folder


CONFIGURATIONS = {
    "a list": ([], r"got '\[\]'; wanted a table of settings"),
    "a decoder": ({"is_decoder": True}, "got is_decoder = True; wanted an encoder"),
    "cross attention": ({"add_cross_attention": True}, "add_cross_attention = True"),
    "too few rows": (
        {"vocab_size": 8},
        r"word embeddings of shape \(\d+, 32\); wanted shape \(8, 32\)",
    ),
    "heads that do not fit": ({"num_attention_heads": 3}, "got 3 heads in a width of 32"),
    "below 0": ({"num_hidden_layers": -4}, "num_hidden_layers = -4; wanted a whole number from 1"),
    "a text": ({"hidden_size": "32"}, "hidden_size = '32'"),
    "no end": ({"vocab_size": 10**7}, "vocab_size = 10000000; wanted a whole number from 1 to"),
    "no end of layers": ({"num_hidden_layers": 10**7}, "num_hidden_layers = 10000000"),
    "unknown activation": ({"hidden_act": "magic"}, "the activation 'magic'"),
    "padding beyond": ({"pad_token_id": 10**6}, "pad_token_id 1000000"),
    "labels that are none": ({"label2id": ["a"]}, "label2id = .*; wanted a class number by name"),
    "a rate that is none": ({"layer_norm_eps": "small"}, "layer_norm_eps"),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_configuration_that_cannot_be_is_refused_by_field(
    models: Path, tmp_path: Path, kind: str
) -> None:
    changes, said = CONFIGURATIONS[kind]
    folder = changed(models, tmp_path, changes)
    with pytest.raises(EncoderError, match=rf"encoder 'bad', config.json: .*{said}"):
        load_encoder("bad", model_dir=folder)


def changed(models: Path, folder: Path, changes: Any) -> Path:
    (folder / "bad").mkdir()
    for path in (models / "good").iterdir():
        (folder / "bad" / path.name).write_bytes(path.read_bytes())
    config = json.loads((models / "good" / "config.json").read_text())
    text = json.dumps(config | changes if isinstance(changes, dict) else changes)
    (folder / "bad" / "config.json").write_text(text)
    return folder


def test_a_token_without_a_row_is_refused(models: Path, tmp_path: Path) -> None:
    folder = changed(models, tmp_path, {})
    facts = json.loads((folder / "bad" / "tokenizer.json").read_text())
    token = {"id": 9999, "content": "[NEW]", "special": True}
    token |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    facts["added_tokens"].append(token)
    facts["model"]["vocab"]["[NEW]"] = 9999
    (folder / "bad" / "tokenizer.json").write_text(json.dumps(facts))
    with refused(EncoderError, "a token 9999 in tokenizer.json", "a row for every token"):
        load_encoder("bad", model_dir=folder)


@pytest.mark.parametrize("name", ["../models/good", "/good", ".."])
def test_the_name_of_an_encoder_does_not_leave_its_folder(models: Path, name: str) -> None:
    assert load_encoder("good", model_dir=models).name == "good"
    inner = models / "inner"
    inner.mkdir(exist_ok=True)
    with refused(EncoderError, "an unknown name"):
        load_encoder(name.replace("models", models.name), model_dir=inner)


def test_a_pipe_in_the_place_of_a_configuration_is_refused_at_once(models, tmp_path) -> None:
    folder = changed(models, tmp_path, {})
    (folder / "bad" / "config.json").unlink()
    os.mkfifo(folder / "bad" / "config.json")
    with refused(EncoderError, "config.json is a pipe, socket or device"):
        load_encoder("bad", model_dir=folder)


# Command line


@pytest.fixture
def kdcheck(
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Run a command that is to be refused; what it says. Nothing may be left behind."""
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "data" / "words")

    def run(*arguments: str) -> str:
        before = sorted(tmp_path.iterdir())
        assert main([*arguments]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert sorted(tmp_path.iterdir()) == before
        return line

    return run


TRAIN = ("train", "--task", "words", "--encoder", "good", "--data-dir", "data", "--store", "new")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "tpu"), "device: got 'tpu'; wanted cpu or cuda. Leave --device out"),
        (("--device", "meta"), "device: got 'meta'; wanted cpu or cuda"),
        (("--epochs", str(10**30)), "recipe, epochs: got 1000.*; wanted at most 10000"),
        (("--set", "threads=10000"), "recipe, threads: got 10000; wanted at most 256"),
        (("--set", "dropout=0.9999999"), "recipe, dropout: got 0.9999999; wanted at most 0.99"),
        (("--set", f"weight_decay={10**400}"), "recipe, weight_decay: .*wanted float"),
        (("--set", "objective.name.x=1"), "wanted name as a table"),
        (
            ("--objective", "ls", "--alpha", "0.1", "--set", "objective.alpha=0.2"),
            "--set objective.alpha=0.2: got objective.alpha a second time",
        ),
        (("--set", "batch_size=8", "--set", "batch_size=9"), "got batch_size a second time"),
        (("--workdir", "data/words/train.tsv"), "--workdir data/words/train.tsv: got a file"),
    ],
)
def test_an_option_of_train_that_cannot_be_is_refused_before_anything_is_made(
    kdcheck: Callable[..., str], models: Path, arguments: tuple[str, ...], said: str
) -> None:
    line = kdcheck(*TRAIN, "--model-dir", str(models), *arguments)
    assert re.search(said, line), line


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ('objective = "erm"', "recipe, objective: got 'erm'; wanted a table"),
        ("teacher = 1", "recipe, teacher: got 1; wanted a table"),
        ("a = " + "[" * 10**5, "more than 64 deep"),
        ("seed = 2020-01-01", "the date 2020-01-01"),
        ("learning_rate = nan", "the number nan"),
    ],
)
def test_a_recipe_file_that_cannot_be_is_refused(
    kdcheck: Callable[..., str], tmp_path: Path, recipe: str, said: str
) -> None:
    (tmp_path / "r.toml").write_text(recipe)
    assert said in kdcheck("train", "r.toml")


@pytest.mark.parametrize("port", ["-1", "65536", "0"])
def test_links_are_printed_to_no_port_that_cannot_be(
    kdcheck: Callable[..., str], monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    Path("store").mkdir()
    Path("store/mlflow.db").touch()
    monkeypatch.setattr(Store, "create", lambda _: None)
    line = kdcheck("ui", "--store", "store", "--print-url", "--port", port)
    assert f"--port: got {port}; wanted a port from 1 to {ui.LAST_PORT}" in line


@pytest.mark.parametrize("verb", [("list",), ("verify",), ("show", "tweets")])
def test_a_data_dir_that_is_no_folder_is_refused_and_not_passed_over(kdcheck, verb) -> None:
    for place in ("data/words/train.tsv", "nowhere"):
        assert f"--data-dir: got {place}; wanted a folder" in kdcheck(
            "data", *verb, "--data-dir", place
        )


def test_a_name_that_no_disk_can_hold_ends_in_one_line(kdcheck) -> None:
    line = kdcheck("encoders", "verify", "bert-base-uncased", "--model-dir", "x" * 5000)
    assert line.startswith("kdcheck encoders: got [Errno 36] File name too long")
    assert line.endswith("Look at the rights and the room of that place.")


def test_a_store_beside_a_bundle_is_refused_and_not_passed_over(kdcheck) -> None:
    line = kdcheck("verify", "bundle", "--store", "store")
    assert "--store store: got the bundle bundle as well; wanted one place" in line


@pytest.mark.parametrize("name", MOST)
def test_the_most_of_a_field_is_taken_and_a_little_more_is_not(name: str) -> None:
    task, encoder = tiny_task(), tiny_encoder()
    assert getattr(tiny_recipe(task, encoder, **{name: MOST[name]}), name) == MOST[name]
    with pytest.raises(RecipeError, match=rf"recipe, {name}: .*wanted at most {MOST[name]}"):
        tiny_recipe(
            task, encoder, **{name: MOST[name] * 1.005 if MOST[name] < 1 else MOST[name] + 1}
        )


STREAMS = {
    "full": ("> /dev/full", 2, "kdcheck audit: got [Errno 28] No space left on device; wanted to"),
    "closed": (">&-", 0, ""),
    "few letters": ("| tail -c 9999 >/dev/null", 0, ""),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_standard_output_that_takes_nothing_or_few_letters_ends_in_no_traceback(stream) -> None:
    where, status, said = STREAMS[stream]
    command = f"set -o pipefail; '{sys.executable}' -m kdcheck audit {where}"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (status, int(bool(said))), done.stderr
    assert done.stderr.startswith(said)


# Locks


def of_section(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    """A change of a section whose digest is made anew, as of a file that was written by hand."""

    def apply(values: dict[str, Any]) -> None:
        section = values["families"].popitem()[1]
        change(section)
        values["families"] = {digest_of(section): section}

    return apply


LOCKS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no families": (lambda lock: lock.pop("families"), "families: .*field required"),
    "a list": (lambda lock: lock.update(families=[]), "families: '\\[\\]'"),
    "a past that is none": (lambda lock: lock.update(history={"a": None}), "history.a: 'None'"),
    "a margin that is a text": (
        of_section(lambda s: next(iter(s["claims"].values())).update(margin="0.1")), "margin: '0.1'"
    ),
    "looks that are texts": (of_section(lambda s: s["plan"].update(looks=["3"])), r"plan.looks.0: '3'"),
    "no seeds": (of_section(lambda s: s.update(seeds=[])), r"seeds: '\[\]'"),
    "a task that is a text": (of_section(lambda s: s.update(tasks=["a"])), "tasks.0: 'a'"),
    "rows that are texts": (
        of_section(lambda s: s["settings"].update(rows={"a": {"train": "9"}})), "rows.a.train: '9'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_that_cannot_be_is_refused_by_its_field(tmp_path: Path, kind: str) -> None:
    change, said = LOCKS[kind]
    values = json.loads((Path(__file__).parents[1] / "claims" / "claims.lock").read_text())
    change(values)
    (tmp_path / "claims.lock").write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"lock.*{said}"):
        read(tmp_path / "claims.lock")


# Data


def rows(*pairs: tuple[str, int]) -> str:
    return "\n".join(["text\tlabel", *(f"{text}\t{label}" for text, label in pairs)]) + "\n"


GOOD = {name: rows(*((f"{name} {n}", n % 2) for n in range(8))) for name in ("train", "validation", "test")}  # fmt: skip
DOUBTS = {
    "leakage": ({"test": GOOD["train"]}, "leakage: 8 of 8 texts of test (100.0%) are in train too"),
    "one class in train": (
        {"train": rows(("a", 0), ("b", 0))},
        "balance: one class only in train; no example of c1",
    ),
    "one class in test": (
        {"test": rows(("a", 1), ("b", 1))},
        "balance: one class only in test; no example of c0",
    ),
    "hardly another class": (
        {"train": rows(*((f"t {n}", n == 0) for n in range(11)))},
        "balance: 90.9% of train are c0",
    ),
    "labels as texts": (
        {"train": rows(("c0", 0), ("1", 1))},
        "labels: every text of column 'text' in train is the name of a class",
    ),
    "header again": (
        {"test": GOOD["test"] + "Text\t1\n"},
        "header: test-8 of test repeats the names",
    ),
}


def folder_of(path: Path, changes: dict[str, str], columns: str = "['text']") -> Path:
    (path / "words").mkdir()
    for name, text in (GOOD | changes).items():
        (path / "words" / f"{name}.tsv").write_text(text.replace("True", "1").replace("False", "0"))
    (path / "words" / "task.toml").write_text(
        f"classes = ['c0', 'c1']\ntext_columns = {columns}\nsource = 's'\nlicence = 'l'\ncitation = 'c'\n"
    )
    return path


@pytest.mark.parametrize("kind", DOUBTS)
def test_verify_warns_of_what_makes_a_task_doubtful(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    changes, said = DOUBTS[kind]
    folder = folder_of(tmp_path, changes)
    assert main(["data", "verify", "words", "--data-dir", str(folder)]) == 0
    assert f"words: warning: {said}" in capsys.readouterr().out


def test_nothing_is_said_of_a_task_that_nothing_speaks_against(tmp_path: Path) -> None:
    assert doubts(load_task("words", data_dir=folder_of(tmp_path, {}))) == []


def test_a_label_as_a_text_and_a_column_twice_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"train": "text\ttext\tlabel\na\tb\t0\n"})
    with refused(TaskError, "columns text, text, label", "each column once"):
        load_task("words", data_dir=folder)
    declaration = folder / "words" / "task.toml"
    declaration.write_text(declaration.read_text().replace("'text'", "'label'"))
    with refused(TaskError, "text_columns with label"):
        load_task("words", data_dir=folder)


@pytest.mark.parametrize("line", ["[" * 10**5, '{"text": "\\ud800", "label": 0}', '{"text": NaN}'])
def test_a_line_of_json_without_end_or_with_half_a_character_is_named(tmp_path, line: str) -> None:
    folder = folder_of(tmp_path, {})
    (folder / "words" / "train.tsv").unlink()
    (folder / "words" / "train.jsonl").write_text('{"text": "a", "label": 1}\n' + line)
    with refused(TaskError, "train.jsonl", "line 2", "one JSON object per line"):
        load_task("words", data_dir=folder)
