"""Tokens made once for all processes: what is read is what was made, and nobody makes it twice."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kdcheck.encoders import Encoder
from kdcheck.places import Places
from kdcheck.study import tokens
from kdcheck.study.resources import Resources
from kdcheck.study.tokens import tokens_of
from kdcheck.testing import tiny_encoder, tiny_task
from tests.tiny_files import write_encoder, write_task

TASK = tiny_task(train=7, validation=3, test=5, pairs=True)


@pytest.fixture
def texts_seen(monkeypatch) -> list[int]:
    """How many texts each call to the tokenizer was given."""
    seen, tokenize = [], Encoder.tokenize

    def counted(self, texts, max_length):
        seen.append(len(texts))
        return tokenize(self, texts, max_length)

    monkeypatch.setattr(Encoder, "tokenize", counted)
    return seen


def values(tokenized) -> dict:
    return {
        name: [(a.tolist(), b.tolist()) for a, b in zip(part.ids, part.types, strict=True)]
        + part.truncated.tolist()
        for name, part in tokenized.items()
    }


def test_what_is_read_is_what_was_made(tmp_path, texts_seen):
    made, read = (tokens_of(TASK, tiny_encoder(), 9, tmp_path) for _ in range(2))
    assert texts_seen == [7, 3, 5]
    want = {
        name: tiny_encoder().tokenize(TASK.split(name).texts, 9)
        for name in ("train", "validation", "test")
    }
    assert values(made) == values(read) == values(want)
    assert {bool(cut) for part in want.values() for cut in part.truncated} == {True, False}
    for name, part in want.items():
        for got, wanted in zip(read[name].end_to_end, part.end_to_end, strict=True):
            assert got.dtype == wanted.dtype
            assert np.array_equal(got, wanted)


def test_another_length_content_or_tokenizer_has_tokens_of_its_own(
    tmp_path, texts_seen, monkeypatch
):
    encoder = tiny_encoder()
    tokens_of(TASK, encoder, 9, tmp_path)
    tokens_of(TASK, tiny_encoder("distilbert", layers=1), 9, tmp_path)  # with the same tokenizer
    assert len(texts_seen) == 3
    tokens_of(TASK, encoder, 10, tmp_path)
    tokens_of(dataclasses.replace(TASK, classes=("no", "yes")), encoder, 9, tmp_path)
    monkeypatch.setattr(tokens.tokenizers, "__version__", "another")
    tokens_of(TASK, encoder, 9, tmp_path)
    other = tiny_encoder()
    other.tokenizer.add_tokens(["more"])
    tokens_of(TASK, other, 9, tmp_path)
    assert len(texts_seen) == 3 * 5
    assert len(list(tmp_path.glob("*.npz"))) == 5


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_bit(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("test_ids.npy")
    content = bytearray(path.read_bytes())
    content[member.header_offset + 200] ^= 1
    path.write_bytes(content)


def a_part_less(path: Path) -> None:
    np.savez(path, train_ids=np.zeros(3))


def no_archive(path: Path) -> None:
    path.write_text("{}")


@pytest.mark.parametrize("damage", [half, one_bit, a_part_less, no_archive])
def test_a_damaged_file_is_made_anew(tmp_path, texts_seen, damage):
    want = tokens_of(TASK, tiny_encoder(), 9, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    whole = path.read_bytes()
    damage(path)
    assert path.read_bytes() != whole
    assert values(tokens_of(TASK, tiny_encoder(), 9, tmp_path)) == values(want)
    assert len(texts_seen) == 6
    assert values(tokens_of(TASK, tiny_encoder(), 9, tmp_path)) == values(want)
    assert len(texts_seen) == 6


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_could_not_be_written_whole_is_not_there(tmp_path, monkeypatch, error):
    def failing(file, **_):
        file.write(b"half")
        raise error

    monkeypatch.setattr(tokens.np, "savez", failing)
    if isinstance(error, OSError):
        assert values(tokens_of(TASK, tiny_encoder(), 9, tmp_path))["train"]
    else:
        with pytest.raises(KeyboardInterrupt):
            tokens_of(TASK, tiny_encoder(), 9, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_of_several_at_once_one_makes_the_tokens_and_the_others_wait(tmp_path, texts_seen):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(tokens_of(TASK, tiny_encoder(), 9, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts_seen == [7, 3, 5]
    assert len({str(values(each)) for each in found}) == 1


SECOND = """
import sys
from pathlib import Path
from kdcheck.encoders import Encoder
from tests.test_study_tokens import inputs_in

def refuse(*_):
    sys.exit("a second process tokenised")

Encoder.tokenize = refuse
print(inputs_in(Path(sys.argv[1])).tokenized["test"].lengths.sum())
"""


def inputs_in(folder: Path):
    """Inputs of the task and encoder that lie in a folder, as a worker prepares them."""
    places = Places.resolve(work=folder / "work", data_dir=folder, model_dir=folder, environment={})
    return Resources(places)._whole("tiny", 16, "made")


def test_a_second_process_tokenises_nothing(tmp_path, texts_seen):
    write_task(tmp_path / "made")
    write_encoder(tmp_path / "tiny", layers=1)
    (tmp_path / "work").mkdir()
    want = inputs_in(tmp_path).tokenized["test"].lengths.sum()
    assert texts_seen == [64, 16, 60]
    command = [sys.executable, "-c", SECOND, str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert second.stdout.split() == [str(want)]


def test_where_there_is_no_work_folder_nothing_is_left_behind(tmp_path, texts_seen):
    write_task(tmp_path / "made")
    write_encoder(tmp_path / "tiny", layers=1)
    for _ in range(2):
        inputs_in(tmp_path)
    assert len(texts_seen) == 6
    assert not (tmp_path / "work").exists()
