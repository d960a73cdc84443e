"""Where everything is: one resolver for the command line, the plugin and workers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdcheck.cli import main
from kdcheck.errors import EvidenceError
from kdcheck.places import Location, Places
from kdcheck.plugin.config import places_of

ADDRESS = "http://me:secret@tracker:5000"


def resolve(**options) -> Places:
    return Places.resolve(**{"environment": {}} | options)


def test_a_home_folder_that_nobody_has_is_refused_with_who_asked_for_it(tmp_path):
    with pytest.raises(EvidenceError, match=r"KDCHECK_STORE\): got '~0/x'.*\./~NAME"):
        resolve(environment={"KDCHECK_STORE": "~0/x"}, root=tmp_path)


def test_an_address_of_sqlite_names_a_file_or_the_folder_around_would_be_written_to(tmp_path):
    for address in ("sqlite:///", f"sqlite:///{tmp_path}"):
        with pytest.raises(EvidenceError, match=r"wanted sqlite:///FILE, with the name of a file"):
            Location.parse(address)


@pytest.mark.parametrize(
    ("store", "work"),
    [
        (None, "project/.kdcheck/work"),
        ("elsewhere/store", "elsewhere/work"),
        ("sqlite:///elsewhere/store/tracking.db", "elsewhere/work"),
        (ADDRESS, "project/.kdcheck/work"),
        ("project", "project/.kdcheck/work"),  # beside it would be outside the project
        ("sqlite:///project/mlflow.db", "project/.kdcheck/work"),
        ("elsewhere/work", "project/.kdcheck/work"),  # beside it would be inside it
    ],
)
def test_all_who_train_for_a_store_share_a_work_folder_that_is_in_no_store(
    tmp_path, monkeypatch, store, work
):
    monkeypatch.chdir(tmp_path)
    found = resolve(store=store, root=tmp_path / "project")
    assert found.work == tmp_path / work
    assert resolve(store=store, root=tmp_path / "project", work=Path("w")).work == Path("w")


def test_a_store_named_from_another_folder_is_one_store(tmp_path, monkeypatch):
    (tmp_path / "claims").mkdir()
    monkeypatch.chdir(tmp_path / "claims")
    from_there = [resolve(store=store).store.uri for store in ("../s", "sqlite:///../s/mlflow.db")]
    monkeypatch.chdir(tmp_path)
    assert {resolve(store="s").store.uri} == set(from_there)


def test_without_a_word_the_store_is_in_the_root_folder(tmp_path):
    assert resolve(root=tmp_path).store == Location.parse(
        tmp_path / ".kdcheck/store", origin="default"
    )


def test_each_folder_is_the_one_that_its_option_names():
    named = {"data_dir": Path("d"), "model_dir": Path("m"), "cache_dir": Path("c")}
    found = resolve(store="s", work=Path("w"), **named)
    assert {name: getattr(found, name) for name in named} == named
    assert found.to_dict() | {"store": None} == {
        "store": None, "work": "w", "data_dir": "d", "model_dir": "m", "cache_dir": "c"
    }  # fmt: skip


@pytest.mark.parametrize("store", [ADDRESS, "a/store"])
def test_places_survive_the_file_of_a_worker_and_show_no_password(store):
    found = resolve(store=store, data_dir=Path("d"))
    assert Places.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert "secret" not in repr(found)


def test_a_plain_folder_in_mlflow_tracking_uri_is_refused_alike_by_plugin_and_command_line(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    monkeypatch.delenv("KDCHECK_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvidenceError, match=r"MLFLOW_TRACKING_URI.*'./mlruns'.*unset it") as caught:
        places_of(SimpleNamespace(rootpath=tmp_path, getoption=lambda name: None))
    bundle = str(tmp_path / "bundle")
    for command in (["ui"], ["verify"], ["report"], ["export", bundle]):
        assert main(command) == 2
        assert capsys.readouterr().err == f"kdcheck {command[0]}: {caught.value}\n"
    assert list(tmp_path.iterdir()) == []
