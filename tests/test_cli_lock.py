"""kdcheck lock: claims are collected and planned, their section written, and nothing is trained."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from kdcheck.cli import lock as verb
from kdcheck.cli import main
from kdcheck.study import resources
from kdcheck.study.lock import read
from kdcheck.study.registering import Known
from kdcheck.tasks import Origin, Split, Task
from tests.study_doubles import CLASSES, NamedDigests

CLAIMS = """'''Smoothing.'''
import pytest
from kdcheck.claims import Arm, claim, nats

@claim("ls_raises", says="S.", where="W", holds="on every task", margin=nats({margin}), because="b"{more})
@pytest.mark.parametrize("size", ["smaller", "larger"])
def test_ls_raises(study, size):
    study.judge(study.entropy(Arm("ls", size)) - study.entropy(Arm("erm", size)))

def test_of_something_else():
    raise AssertionError("collected alone")
"""
SCALE = """name = "{name}"
pair = "tiny"
tasks = ["a", "b"]
seeds = 5
first_seed = 20
[training]
[methods.erm.smaller]
objective = {{ name = "erm" }}
learning_rate = 1e-3
epochs = {epochs}
[methods.erm.larger]
objective = {{ name = "erm" }}
learning_rate = 1e-3
epochs = 2
[methods.ls.smaller]
objective = {{ name = "ls", alpha = 0.1 }}
learning_rate = 1e-3
epochs = 2
[methods.ls.larger]
objective = {{ name = "ls", alpha = 0.1 }}
learning_rate = 1e-3
epochs = 2
"""


def invented(name: str) -> Task:
    def split(part: str) -> Split:
        ids = tuple(f"{part}{row}" for row in range(7))
        labels = tuple(row % CLASSES[name] for row in range(7))
        return Split(ids=ids, texts=tuple((each,) for each in ids), labels=labels)

    classes = tuple(f"c{label}" for label in range(CLASSES[name]))
    origin = Origin(source="s", licence="l", citation="c")
    parts = {part: split(part) for part in ("train", "validation", "test")}
    return Task(name=name, classes=classes, text_columns=("t",), origin=origin, **parts)


NUMBERS = count()


class Claims:
    """A folder of claims and scales, and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "claims").mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n")
        self.path = folder / "claims" / "claims.lock"
        self.write()
        self.scale()

    def write(self, margin: float = 0.01, more: str = "") -> None:
        self.write_text(CLAIMS.format(margin=margin, more=more))

    def write_text(self, text: str) -> None:
        """Under a name that no test before has imported: all of this is one process."""
        for old in (self.folder / "claims").glob("*.py"):
            old.unlink()
        (self.folder / "claims" / f"test_made_up_{next(NUMBERS)}.py").write_text(text)

    def scale(self, name: str = "made up", epochs: int = 2) -> str:
        path = self.folder / f"{name}.toml"
        path.write_text(SCALE.format(name=name, epochs=epochs))
        return str(path)

    def lock(self, *options: str) -> int:
        fixed = [str(self.folder / "claims"), "--store", str(self.folder / "store")]
        if "--scale" not in options:
            options = (*options, "--scale", self.scale())
        return main(["lock", *fixed, *options])


@pytest.fixture
def claims(tmp_path, monkeypatch) -> Claims:
    monkeypatch.setattr(resources, "ScaleDigests", lambda scale, resources: NamedDigests())
    monkeypatch.setattr(resources.Resources, "_load_task", lambda self, name, *rows: invented(name))
    return Claims(tmp_path)


def test_the_lock_lies_beside_the_claims_and_names_all_that_decides(claims, capsys):
    assert claims.lock() == 0
    [section] = read(claims.path).families.values()
    assert list(section.claims) == ["ls_raises[larger]", "ls_raises[smaller]"]
    assert section.seeds == tuple(range(20, 40))
    assert section.plan.looks[0] == 5
    assert [task.digest for task in section.tasks.values()] == [invented(t).digest for t in "ab"]
    assert section.tasks["a"].majority == pytest.approx(3 / 7)
    said = capsys.readouterr().out
    assert "2 claims on 2 tasks, seeds 20 to 39, looks at 5, 8, 13, 20" in said
    assert "attempt 1: may spend 0.0225 of each error rate of 0.025" in said
    assert "written; commit it before the first run" in said
    assert not (claims.folder / "store").exists()


def test_a_check_writes_nothing_and_fails_only_where_the_lock_would_change(claims, capsys):
    assert claims.lock("--check") == 1
    assert not claims.path.exists()
    claims.lock()
    before = claims.path.read_bytes()
    assert claims.lock("--check") == 0
    assert claims.lock("--check", "--scale", claims.scale("copy")) == 0, "a name decides nothing"
    claims.write(margin=0.02)
    capsys.readouterr()
    assert claims.lock("--check") == 1
    assert "ls_raises[larger]: Its margin is 0.02, registered was 0.01." in capsys.readouterr().out
    assert claims.path.read_bytes() == before


def test_each_scale_has_a_section_and_one_of_the_same_data_is_a_further_attempt(claims, capsys):
    other = claims.scale("rolled", epochs=3)
    assert claims.lock("--scale", claims.scale(), "--scale", other) == 0
    lock = read(claims.path)
    attempts = {lock.names[digest]: each.attempt for digest, each in lock.families.items()}
    assert attempts == {"made up": 1, "rolled": 2}
    assert "attempt 2: may spend 0.00225 of each error rate of 0.025" in capsys.readouterr().out


def test_a_change_after_evidence_in_the_store_is_a_further_attempt(claims, capsys, monkeypatch):
    claims.lock()
    [(digest, first)] = read(claims.path).families.items()
    monkeypatch.setattr(verb, "_known", lambda places: Known({digest: first}))
    claims.write(margin=0.005)
    assert claims.lock() == 0
    [section] = read(claims.path).families.values()
    assert (section.attempt, section.earlier) == (2, (digest,))
    assert f"after {digest[:8]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_that_name", "wanted claims in"),
        ("def test_of_no_claim(): ...", "wanted claims in"),
        (
            CLAIMS.format(margin=0.01, more="").replace("study.judge(", "print("),
            "never calls study.judge",
        ),
    ],
    ids=["import", "none", "plan"],
)
def test_claims_that_cannot_be_planned_leave_no_lock(claims, capsys, text, told):
    claims.write_text(text)
    assert claims.lock() == 2
    assert told in capsys.readouterr().err
    assert not claims.path.exists()


def test_a_lock_that_was_edited_by_hand_is_refused(claims, capsys):
    claims.lock()
    claims.path.write_text(claims.path.read_text().replace('"margin": 0.01', '"margin": 0.001', 1))
    assert claims.lock() == 2
    assert "It was edited by hand." in capsys.readouterr().err
