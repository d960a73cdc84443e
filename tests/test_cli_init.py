"""kdcheck init: what it writes can be planned as it stands, and nothing that exists is touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdcheck.cli import init, main
from kdcheck.planning import forecast, machine
from kdcheck.plugin.collecting import Collected, plan_paths
from kdcheck.study import resources
from kdcheck.study.graph import build
from kdcheck.study.lock import read
from kdcheck.study.scale import Scale, load
from kdcheck.tasks import Task, load_task
from kdcheck.tasks.doubts import doubts
from kdcheck.theory import smoothing_entropy_floor
from tests.study_doubles import NamedDigests

CLAIM = Path("claims", "test_smoothing.py")


def listed(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder, hidden files too."""
    found = folder.rglob("*")
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in found}


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    return tmp_path


@pytest.fixture
def collected(begun: Path) -> Collected:
    # Under a name that no test before has imported: all of this is one process.
    (begun / CLAIM).rename(begun / "claims" / f"{begun.name}.py")
    return plan_paths(["claims"])


@pytest.fixture
def scale(begun: Path) -> Scale:
    return load("small.toml")


@pytest.fixture
def task(begun: Path) -> Task:
    return load_task("notes", data_dir=Path("data"))


def test_it_names_each_thing_that_it_wrote_and_the_commands_that_come_next(begun, capsys):
    main(["init", "an other"])
    printed = capsys.readouterr().out
    written = {name for name, content in listed(begun / "an other").items() if content is not None}
    for name in init.WRITTEN:
        assert f"  {name} " in printed
        own = {each for each in written if each == name or each.rpartition("/")[0] + "/" == name}
        assert own, f"{name} is named and not there"
        written -= own
    assert written == set()
    commands = re.findall(r"^  (\S.*?)(?:  .*)?$", printed.partition("next\n")[2], re.MULTILINE)
    assert commands == ["cd 'an other'", "kdcheck lock", "pytest", "kdcheck ui"]


def test_in_the_folder_itself_there_is_nowhere_to_go(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["init"])
    assert "  cd " not in capsys.readouterr().out


@pytest.mark.parametrize(
    "taken",
    ["claims", "data", "small.toml", "pytest.ini", "pyproject.toml", "tox.ini", ".pytest.ini"],
)
def test_nothing_is_written_where_something_of_its_name_or_settings_of_pytest_are(
    tmp_path, taken, capsys
):
    (tmp_path / taken).touch()
    (tmp_path / ".git").mkdir()
    before = listed(tmp_path)
    assert main(["init", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"got {taken}; wanted a folder without claims, data, pytest.ini, small.toml" in told
    assert "Nothing was written. Name a new folder, as kdcheck init my-study." in told
    assert listed(tmp_path) == before


def test_other_files_are_left_as_they_are(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == "mine"
    assert not list(tmp_path.glob(".kdcheck*"))


def test_a_link_that_leads_nowhere_is_there_too(tmp_path, capsys):
    (tmp_path / "small.toml").symlink_to("gone.toml")
    assert main(["init", str(tmp_path)]) == 2
    assert "got small.toml" in capsys.readouterr().err


def test_a_second_time_nothing_is_written(begun, capsys):
    (begun / CLAIM).write_text("changed")
    assert main(["init"]) == 2
    assert "got claims, data, pytest.ini, small.toml" in capsys.readouterr().err
    assert (begun / CLAIM).read_text() == "changed"


def test_a_place_that_is_no_folder_is_refused_with_the_next_step(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        assert main(["init", str(tmp_path / place)]) == 2
        assert (
            "Nothing was written. Name a folder that you may write to." in capsys.readouterr().err
        )


def test_pytest_is_told_by_the_file_beside_which_scale_and_data_are_meant(begun, collected):
    assert [claim.id for claim in collected.claims] == ["ls_raises_entropy"]
    assert collected.scale == "small.toml"
    assert collected.places.data_dir == Path("data")
    assert collected.lock == begun / "claims" / "claims.lock"


def test_an_option_goes_before_what_the_file_says(begun, collected):
    (begun / "elsewhere").mkdir()
    (begun / "other.toml").write_text(Path("small.toml").read_text())
    asked = plan_paths(["claims"], scale="other.toml", data_dir="elsewhere", store="a store")
    assert (asked.scale, asked.places.data_dir) == ("other.toml", Path("elsewhere"))
    assert asked.places.store.folder == begun / "a store"


def test_lock_plan_and_doctor_take_what_pytest_is_told(begun, collected, monkeypatch, capsys):
    monkeypatch.setattr(resources, "ScaleDigests", lambda scale, resources: NamedDigests())
    assert main(["lock"]) == 0
    [section] = read(collected.lock).families.values()
    assert {name: task.classes for name, task in section.tasks.items()} == {"notes": 3}

    def told(claims, scale, seeds, places, *_others, **_more):
        return {"is": [len(claims), scale.name, seeds, str(places.data_dir)]}

    monkeypatch.setattr(forecast, "forecast", told)
    capsys.readouterr()
    assert main(["plan", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["is"] == [1, "small", 5, "data"]
    monkeypatch.setattr(machine, "check_hub", lambda: machine.Check("hub", machine.State.OK, ""))
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ok +task notes +\w{12}, 240 rows to train on$", printed, re.MULTILINE)
    assert "hours, small scale" in printed


def test_where_there_are_no_claims_the_doctor_names_init(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "check_hub", lambda: machine.Check("hub", machine.State.OK, ""))
    assert main(["doctor"]) == 1
    assert "mend: kdcheck init\n" in capsys.readouterr().out


def test_the_claim_needs_as_many_runs_as_the_command_says(collected, scale):
    graph = build(collected.claims, scale, range(scale.seeds), NamedDigests())
    assert len(graph.recipes) == 10
    assert any("ten models" in what for _, what in init.NEXT)


def test_the_margin_is_the_share_of_the_smoothed_labels_entropy_that_its_reason_names(
    collected, scale, task
):
    [claim] = collected.claims
    alpha = scale.methods["ls"]["smaller"]["objective"]["alpha"]
    assert f"alpha {alpha} and {len(task.classes)} classes" in claim.because
    whole = smoothing_entropy_floor(alpha=alpha, classes=len(task.classes))
    assert claim.margin.size == pytest.approx(whole / 10, abs=0.005)


def test_nothing_speaks_against_the_task(task):
    assert doubts(task) == []
    texts = [text for split in (task.train, task.validation, task.test) for text in split.texts]
    assert len(set(texts)) == len(texts)
    for split in (task.train, task.validation, task.test):
        assert {split.labels.count(label) for label in range(3)} == {len(split) // 3}


def test_the_scale_says_what_each_of_its_lines_means(begun):
    lines = [line for line in Path("small.toml").read_text().splitlines() if line]
    assert [line for line in lines if "#" not in line] == ['objective = { name = "erm" }']


def test_the_claim_is_short_and_written_as_our_own_code_is(begun):
    text = CLAIM.read_text()
    assert text.count("\n") <= 20
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--check",
        "--line-length",
        "100",
        str(CLAIM),
    ]
    subprocess.run(command, check=True, capture_output=True)
