"""What the store asks of MLflow: each call with its arguments, and what is made of the answers."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException, RestException

from kdcheck.errors import EvidenceError
from kdcheck.evidence import database, tracking
from kdcheck.evidence.layout import CLAIMS, REASON, TRAININGS
from kdcheck.evidence.leases import Leases
from kdcheck.evidence.tracking import Tracking
from kdcheck.evidence.views import experiment_tags
from kdcheck.places import Location
from tests.evidence_doubles import sample_judged

NOTE = "mlflow.note.content"
SERVER = Location.parse("http://h:5")


class Page(list[Any]):
    """Runs, and the token of the next page."""

    def __init__(self, runs: list[Any], token: str | None) -> None:
        super().__init__(runs)
        self.token = token


class Client:
    """A client that notes its calls; experiments it knows, other answers it is given by name."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.calls = answers, []
        self.experiments: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self.calls.append((name, *given, *([named] if named else [])))
            answer = self.answers.get(name)
            return answer(*given, **named) if callable(answer) else answer

        return call

    def get_experiment_by_name(self, name: str) -> Any:
        return next((each for each in self.experiments.values() if each.name == name), None)

    def get_experiment(self, experiment_id: str) -> Any:
        return self.experiments[experiment_id]

    def create_experiment(self, name: str, *, artifact_location: str | None) -> str:
        self.calls.append(("create_experiment", name, artifact_location))
        return self.add(name, artifact_location or f"mlflow-artifacts:/{len(self.experiments)}")

    def set_experiment_tag(self, experiment_id: str, name: str, value: str) -> None:
        self.calls.append(("set_experiment_tag", experiment_id, name))
        if "refuse" in self.answers:
            raise MlflowException("no such tag allowed")
        self.experiments[experiment_id].tags[name] = value

    def add(self, name: str, place: str | None, stage: str = "active") -> str:
        number = str(len(self.experiments) + 1)
        self.experiments[number] = SimpleNamespace(
            experiment_id=number, name=name, artifact_location=place, lifecycle_stage=stage, tags={}
        )
        return number


def run(run_id: str = "r1", *, place: str = "", status: str = "RUNNING", **tags: str) -> Any:
    info = SimpleNamespace(run_id=run_id, status=status, artifact_uri=place, start_time=77)
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags))


def over(client: Client, rows: Any = None) -> Tracking:
    return Tracking(client, {TRAININGS: "1", CLAIMS: "2"}, rows)


class Rows:
    """Tables that note what is asked of them."""

    def __init__(self, place: Any = None, *, are_known: bool = True) -> None:
        self.place, self.are_known = place, are_known

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: (name, *given, *([named] if named else []))


def parts(act) -> tuple[str, str, str, str]:
    with pytest.raises(EvidenceError) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


# Runs


def test_a_search_asks_page_after_page_the_oldest_first() -> None:
    pages = [Page(["a", "b"], "t1"), Page(["c"], "t2"), Page(["d"], "")]
    client = Client(search_runs=lambda *_, **__: pages.pop(0))
    assert over(client).search(CLAIMS, "tags.x = 'y'") == ["a", "b", "c", "d"]
    asked = {"max_results": 1000, "order_by": ["attributes.start_time ASC"]}
    assert client.calls == [
        ("search_runs", ["2"], "tags.x = 'y'", asked | {"page_token": token})
        for token in (None, "t1", "t2")
    ]


def test_without_tables_that_are_known_states_come_from_searches() -> None:
    found = Page([run(status="FINISHED"), run(status="FAILED")], None)
    client = Client(search_runs=found, get_run=run(status="KILLED", x="y"))
    remote = over(client)
    assert remote.states(TRAININGS, "kdcheck.x", "d") == ["FINISHED", "FAILED"]
    assert client.calls[0][:3] == ("search_runs", ["1"], "tags.`kdcheck.x` = 'd'")
    assert remote.state("r1", "x") == ("KILLED", "y")
    assert remote.state("r1", "z") == ("KILLED", None)
    assert remote.finished() == remote.finished("d") == found
    conditions = [call[2] for call in client.calls if call[0] == "search_runs"]
    finished = "attributes.status = 'FINISHED'"
    assert conditions[1:] == [finished, f"{finished} AND tags.digest = 'd'"]


def test_where_the_tables_are_known_they_are_asked_and_written_and_mlflow_is_not() -> None:
    local = over(Client(), Rows())
    tags, left = {"a": "b"}, {"params": {}, "tags": {}, "metrics": []}
    assert local.states(CLAIMS, "x", "d") == ("states", "2", "x", "d")
    assert local.state("r1", "x") == ("state", "r1", "x")
    assert local.finished() == ("finished", "1", None)
    assert local.finished("d") == ("finished", "1", "d")
    assert local.add(CLAIMS, tags) == ("add", "2", tags)
    written = []
    local._rows = SimpleNamespace(finish=lambda *given, **named: written.append((*given, named)))
    local.finish("run", **left)
    assert written == [("run", left)]
    assert local._client.calls == []


def test_a_run_is_finished_through_mlflow_files_logged_and_its_end_last() -> None:
    client = Client()
    left = {"params": {"p": "1"}, "tags": {"t": "2"}, "metrics": [("m", 0.5, 3)]}
    over(client).finish(run(), **left)
    (name, run_id, metrics, params, tags), end = client.calls
    assert (name, run_id) == ("log_batch", "r1")
    assert [(m.key, m.value, m.step) for m in metrics] == left["metrics"]
    assert [{each.key: each.value for each in kind} for kind in (params, tags)] == [
        left["params"],
        left["tags"],
    ]
    assert end == ("set_terminated", "r1", "FINISHED")


def test_a_run_is_made_with_its_tags_and_looked_at_and_tagged_by_id() -> None:
    client = Client(create_run="made", get_run="found")
    runs = over(client)
    tags = {"a": "b"}
    assert runs.add(CLAIMS, tags) == "made"
    assert runs.look("r1") == "found"
    runs.tag("r1", "c", "d")
    assert client.calls == [
        ("create_run", "2", {"tags": tags}), ("get_run", "r1"), ("set_tag", "r1", "c", "d"),
    ]  # fmt: skip


def test_leases_are_taken_through_the_same_client() -> None:
    client = Client()
    found = over(client).leases()
    assert isinstance(found, Leases)
    assert found._client is client


@pytest.mark.parametrize("tags", [{}, {REASON: "why"}])
def test_a_run_that_begins_again_is_rid_of_the_reason_for_its_end(tags: dict[str, str]) -> None:
    client = Client(get_run=run(**tags))
    over(client).restart("r1")
    assert client.calls == [
        ("update_run", "r1", {"status": "RUNNING"}),
        ("get_run", "r1"),
        *([("delete_tag", "r1", REASON)] if tags else []),
    ]


def test_a_run_ends_with_its_reason_as_a_tag_as_long_as_a_tag_may_be() -> None:
    client = Client()
    over(client).end("r1", "FAILED", "x" * 9000)
    over(client).end("r2", "FINISHED")
    assert client.calls == [
        ("set_tag", "r1", REASON, "x" * 8000),
        ("set_terminated", "r1", "FAILED"),
        ("set_terminated", "r2", "FINISHED"),
    ]


def test_much_is_logged_in_few_batches_and_nothing_in_none() -> None:
    client = Client()
    params = {f"p{n}": str(n) for n in range(250)}
    tags = {f"t{n}": str(n) for n in range(101)}
    metrics = [(f"m{n}", n / 2, n) for n in range(1601)]
    over(client).log(run(), params=params, tags=tags, metrics=metrics)
    over(client).log(run())
    batches = [call[2:] for call in client.calls]
    assert [call[:2] for call in client.calls] == [("log_batch", "r1")] * 3
    assert [tuple(map(len, batch)) for batch in batches] == [
        (800, 100, 100), (800, 100, 1), (1, 50, 0),
    ]  # fmt: skip
    rows, pairs, labels = ([each for batch in batches for each in batch[k]] for k in range(3))
    assert [(m.key, m.value, m.step, m.timestamp) for m in rows] == [(*m, 77) for m in metrics]
    assert {p.key: p.value for p in pairs} == params
    assert {t.key: t.value for t in labels} == tags


# Files


@pytest.fixture
def written(tmp_path) -> Path:
    folder = tmp_path / "temporary"
    (folder / "posteriors" / "empty").mkdir(parents=True)
    (folder / "a.json").write_text("a")
    (folder / "posteriors" / "b").write_text("b")
    return folder


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_files_of_a_run_on_this_machine_are_moved_and_read_without_mlflow(
    tmp_path, written, form: str
) -> None:
    place = tmp_path / "of a run" / "artifacts"
    at = form.format(str(place).replace(" ", "%20") if form.startswith("file") else place)
    client = Client()
    again = written.with_name("again")
    shutil.copytree(written, again)
    (again / "a.json").write_text("anew")
    (again / "posteriors" / "b").unlink()
    over(client).put(run(place=at), written)
    assert not written.exists(), "it was moved"
    over(client).put(run(place=at), again)
    paths = [path for path in place.rglob("*") if path.is_file()]
    found = {path.relative_to(place).as_posix(): path.read_text() for path in paths}
    assert found == {"a.json": "anew", "posteriors/b": "b"}
    read = over(client).reader(run(place=at))
    assert read("posteriors/b") == b"b"
    with pytest.raises(FileNotFoundError):
        read("c")
    assert client.calls == []


@pytest.mark.parametrize("place", ["mlflow-artifacts:/1/r1", "s3://bucket/r1", "FTP://h/r1"])
def test_files_of_a_run_elsewhere_go_and_come_through_mlflow(tmp_path, written, place: str) -> None:
    def download(run_id: str, name: str, folder: str) -> str:
        assert Path(folder).name.startswith("kdcheck-")
        (Path(folder) / "there").write_text(f"{name} of {run_id}")
        return str(Path(folder) / "there")

    client = Client(download_artifacts=download)
    over(client).put(run(place=place), written)
    assert client.calls == [("log_artifacts", "r1", str(written))]
    assert over(client).reader(run(place=place))("a.json") == b"a.json of r1"
    folder = client.calls[1][3]
    assert not Path(folder).exists()


# The store


@pytest.fixture
def made(monkeypatch, tmp_path) -> Any:
    """A store in a folder, its client, and what was done to its database."""
    done: list[Any] = []
    client = Client()
    for name in ("create_database", "check_server", "check_schema"):
        monkeypatch.setattr(
            database, name, lambda location, name=name: done.append((name, location))
        )
    monkeypatch.setattr(database, "connect", lambda location: client)
    monkeypatch.setattr(
        database, "move_artifacts", lambda *given, **named: done.append((*given, named))
    )
    monkeypatch.setattr(tracking, "Rows", Rows)
    return SimpleNamespace(location=Location.parse(tmp_path), client=client, done=done)


def of(location: Location, name: str) -> str:
    return str(location.folder / "artifacts" / name)


def test_a_new_store_gets_its_database_experiments_notes_and_views(made) -> None:
    location, client = made.location, made.client
    runs = Tracking.create(location)
    assert made.done == [("create_database", location)]
    assert client.calls[:2] == [
        ("create_experiment", "kdcheck/trainings", of(location, "trainings")),
        ("create_experiment", "kdcheck/claims", of(location, "claims")),
    ]
    ids = {TRAININGS: "1", CLAIMS: "2"}
    assert runs.experiments == ids
    assert (runs._client, runs._rows.place) == (client, location.database)
    for name, number in ids.items():
        assert client.experiments[number].tags == experiment_tags(ids, name)
    before = len(client.calls)
    Tracking.create(location)
    assert len(client.calls) == before, "a store that is there is left as it is"


def test_tables_of_another_shape_are_left_to_mlflow(made, monkeypatch) -> None:
    monkeypatch.setattr(tracking, "Rows", partial(Rows, are_known=False))
    assert Tracking.create(made.location)._rows is None


def test_a_server_keeps_its_files_where_it_wants(made) -> None:
    runs = Tracking.create(SERVER)
    assert made.done == [("check_server", SERVER)]
    assert [call[2] for call in made.client.calls[:2]] == [None, None]
    assert runs._rows is None
    Tracking.create(SERVER)
    opened = Tracking.open(SERVER)
    assert (opened.experiments, opened._rows) == (runs.experiments, None)
    assert made.done == [("check_server", SERVER)] * 3


def test_a_note_with_a_board_stays_when_a_store_is_opened_and_another_note_does_not(made) -> None:
    runs = Tracking.create(made.location)
    claims, trainings = (made.client.experiments[runs.experiments[n]] for n in (CLAIMS, TRAININGS))
    start = claims.tags[NOTE]
    runs.describe(CLAIMS, [sample_judged(theme="Sizes")])
    board = claims.tags[NOTE]
    assert board.startswith(start)
    assert "**Sizes**" in board
    trainings.tags[NOTE] = "of an older version"
    Tracking.create(made.location)
    assert claims.tags[NOTE] == board
    assert trainings.tags[NOTE] == experiment_tags(runs.experiments, TRAININGS)[NOTE]
    runs.describe(CLAIMS, [])
    assert claims.tags[NOTE] == start


def test_a_view_that_a_server_refuses_is_no_reason_to_stop(made) -> None:
    made.client.answers["refuse"] = True
    assert Tracking.create(made.location).experiments == {TRAININGS: "1", CLAIMS: "2"}


def test_an_experiment_that_another_controller_has_just_made_is_taken(made, monkeypatch) -> None:
    def race(name: str, *, artifact_location: str) -> str:
        made.client.add(name, artifact_location)
        raise RestException({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there"})

    monkeypatch.setattr(made.client, "create_experiment", race)
    assert Tracking.create(made.location).experiments == {TRAININGS: "1", CLAIMS: "2"}

    def fail(name: str, *, artifact_location: str) -> str:
        made.client.add(name, artifact_location)
        raise RestException({"error_code": "INTERNAL_ERROR", "message": "broken"})

    made.client.experiments.clear()
    monkeypatch.setattr(made.client, "create_experiment", fail)
    with pytest.raises(RestException, match="broken"):
        Tracking.create(made.location)


def test_a_deleted_experiment_is_told_with_the_command_that_restores_it(made) -> None:
    made.client.add(TRAININGS, of(made.location, "trainings"), stage="deleted")
    assert parts(lambda: Tracking.create(made.location)) == (
        f"store {made.location}",
        "experiment 'kdcheck/trainings' deleted in the UI",
        "it alive",
        (
            "Run 'mlflow experiments restore -x 1' with MLFLOW_TRACKING_URI="
            f"{made.location.address}, or choose another store."
        ),
    )


def test_a_store_that_was_moved_is_put_right_by_its_controller_and_refused_to_others(made) -> None:
    location = made.location
    location.database.touch()
    made.client.add(TRAININGS, of(location, "trainings"))
    made.client.add(CLAIMS, "/old/artifacts/claims")
    assert parts(lambda: Tracking.open(location)) == (
        f"store {location}",
        "files that are looked for in /old/artifacts/claims",
        f"them in {location.artifacts}",
        (
            "The folder was moved or copied; run 'kdcheck ui' or pytest claims/ on it once, which "
            "corrects that."
        ),
    )
    made.done.clear()
    Tracking.create(location)
    moved = {"old": "/old/artifacts/claims", "new": of(location, "claims")}
    assert made.done == [("create_database", location), (location, "2", moved)]


def test_what_is_to_be_opened_must_exist(made) -> None:
    location = made.location
    name_it = "Name the right one with --store, or make one by running pytest claims/."
    assert parts(lambda: Tracking.open(location)) == (
        f"store {location}", "no database mlflow.db there", "a store", name_it,
    )  # fmt: skip
    location.database.touch()
    made.client.add(TRAININGS, of(location, "trainings"))
    assert parts(lambda: Tracking.open(location)) == (
        f"store {location}", "no experiment 'kdcheck/claims' there", "a store", name_it,
    )  # fmt: skip
    made.client.add(CLAIMS, of(location, "claims"))
    found = Tracking.open(location)
    assert (found.experiments, found._client) == ({TRAININGS: "1", CLAIMS: "2"}, made.client)
    assert found._rows.place == location.database
    assert made.done == [("check_schema", location)] * 2


@pytest.mark.parametrize("rehearsal", [True, False])
def test_rehearsals_and_evidence_are_kept_apart(made, rehearsal: bool) -> None:
    runs = Tracking.create(made.location)
    experiment = made.client.experiments["1"]
    made.client.answers["search_runs"] = Page([run()], None)
    who = f"store {made.location}"
    if rehearsal:
        assert parts(lambda: runs.keep_apart(made.location, rehearsal=True)) == (
            who,
            "a store with trainings",
            "a new one: a rehearsal has a store of its own",
            "Leave --store out, or name a folder that does not exist yet.",
        )
        assert made.client.calls[-1][:3] == ("search_runs", ["1"], "")
        made.client.answers["search_runs"] = Page([], None)
        runs.keep_apart(made.location, rehearsal=True)
        assert experiment.tags["kdcheck.rehearsal"] == "true"
        before = len(made.client.calls)
        runs.keep_apart(made.location, rehearsal=True)
        assert len(made.client.calls) == before
        return
    runs.keep_apart(made.location, rehearsal=False)
    assert "kdcheck.rehearsal" not in experiment.tags
    experiment.tags["kdcheck.rehearsal"] = "true"
    assert parts(lambda: runs.keep_apart(made.location, rehearsal=False)) == (
        who,
        "a store of rehearsals",
        "a store of evidence",
        "Name another with --store, or leave it out; no rehearsal is evidence.",
    )
