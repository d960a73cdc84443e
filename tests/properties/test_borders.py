"""Every border under fuzz: whatever comes in is taken or refused in our words, and nothing else happens.

A few examples of each run here; the long profile (``KDCHECK_HYPOTHESIS=fuzz``) has 20,000 a border:
docs/fuzzing.md.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from contextlib import (
    closing,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hostile import as_json, as_toml, damaged, mutated, only_documented, put_back, sandbox
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from kdcheck import cli, encoders, tasks
from kdcheck.cli import build_parser, main
from kdcheck.cli._recipe import fields_of
from kdcheck.encoders.catalogue import FILES
from kdcheck.evidence.bundle import Bundle
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.files import MANIFEST, digest_of, seal, write_json
from kdcheck.evidence.layout import SEAL
from kdcheck.evidence.store import Store
from kdcheck.evidence.tracking import Tracking
from kdcheck.fetch import cache_root
from kdcheck.places import Location, Places
from kdcheck.recipe import Recipe
from kdcheck.report import build, html, markdown, to_json
from kdcheck.study import recheck
from kdcheck.study.examine import check_metrics
from kdcheck.study.lock import expected_recipe, read
from kdcheck.study.recheck import verify
from kdcheck.study.scale import load
from kdcheck.tasks.doubts import doubts
from kdcheck.verdict import Plan
from tests import tampering
from tests.evidence_doubles import (
    PLAIN,
    SMOOTHED,
    record,
    sample_judged,
    sample_recipe,
    sample_table,
)
from tests.tiny_files import write_encoder, write_task

RECIPE = {
    "task": "words", "task_digest": "t", "encoder": "small", "encoder_digest": "e", "seed": 3,
    "objective": {"name": "kd", "alpha": 0.5, "temperature": 2.0}, "learning_rate": 1e-3, "epochs": 2,
    "teacher_temperature": 2.0, "dropout": 0.2, "schedule": "linear_over_longest", "schedule_epochs": 3,
    "train_rows": 10, "threads": 1, "teacher": {
        "task": "words", "task_digest": "t", "encoder": "large", "encoder_digest": "f", "seed": 3,
        "objective": {"name": "erm"}, "learning_rate": 1e-3, "epochs": 2, "train_rows": 10,
    },
}  # fmt: skip
SCALE = {
    "name": "little", "pair": ["my-bert", "my-small-bert"], "tasks": ["words"], "seeds": 3,
    "first_seed": 2, "deviations": ["Small."], "needs_cuda": False, "may_collapse": ["ls"],
    "rows": {"words": {"train": 20, "test": 10}},
    "training": {"batch_size": 8, "tasks": {"words": {"max_length": 32}}},
    "methods": {
        method: {"smaller": {"objective": objective, "learning_rate": 1e-3, "epochs": 2,
                             "tasks": {"words": {"epochs": 1}}}}
        for method, objective in (("erm", {"name": "erm"}), ("ls", {"name": "ls", "alpha": 0.1}))
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> tampering.Study:
    """As small as one with curves and a claim beside the lock can be."""
    scale = tampering.tiny_scale(tasks=("words",), seeds=2, rows={"words": {"train": 56}})
    folder = tmp_path_factory.mktemp("study") / "given"
    folder.mkdir()
    return tampering.real_study(folder, tampering.CLAIMS[1:4:2], scale)


parser = functools.cache(build_parser)
"""Made once: that costs more than most examples."""


def arguments_of(verb: str, *given: str) -> argparse.Namespace:
    return parser().parse_args([verb, *given])


@given(
    fields=mutated(RECIPE), as_file=st.booleans(), sets=st.lists(st.text(max_size=20), max_size=2)
)
def test_recipes(fields: Any, as_file: bool, sets: list[str]) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        if as_file and isinstance(fields, dict):
            path = folder / "recipe.toml"
            path.write_bytes(as_toml(fields))
            options = [f"--set={text}" for text in sets]
            fields = fields_of(arguments_of("train", str(path), *options))
        if isinstance(fields, dict):
            made = Recipe.from_dict(fields)
            assert Recipe.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@given(content=damaged(as_toml(RECIPE)))
def test_recipe_files(content: bytes) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        (folder / "recipe.toml").write_bytes(content)
        Recipe.from_dict(fields_of(arguments_of("train", str(folder / "recipe.toml"))))


def _use(path: Path) -> None:
    scale = load(str(path))
    plan = Plan.of(scale.seeds)
    assert plan.looks[-1] <= 4000
    arms = [tampering.ERM_SMALL, tampering.LS_SMALL]
    scale.content(arms)
    for arm in arms:
        for task in scale.tasks:
            Recipe.from_dict(
                {"task": task, "task_digest": "t", "encoder": "e", "encoder_digest": "e", "seed": 0}
                | scale.settings(arm, task)
            )


@given(values=mutated(SCALE))
def test_scales(values: Any) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        if isinstance(values, dict):
            (folder / "a.toml").write_bytes(as_toml(values))
            _use(folder / "a.toml")


@given(content=damaged(as_toml(SCALE)))
def test_scale_files(content: bytes) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        (folder / "a.toml").write_bytes(content)
        _use(folder / "a.toml")


@given(data=st.data())
def test_locks(study: tampering.Study, data: st.DataObject) -> None:
    good = study.lock.text
    with sandbox() as (folder, outside), only_documented(outside):
        if data.draw(st.booleans()):
            content = data.draw(damaged(good.encode()))
        else:
            values = json.loads(good)
            [digest] = values["families"]
            section = data.draw(mutated(values["families"].pop(digest)))
            # Its digest made anew, as of a file that was written by hand.
            new = tampering.digest_of(section) if _is_json(section) else digest
            values["families"][new] = section
            content = as_json(data.draw(mutated(values)) if data.draw(st.booleans()) else values)
        (folder / "claims.lock").write_bytes(content)
        for found in read(folder / "claims.lock").families.values():
            found.scale, found.facts  # noqa: B018 - made when they are asked for
            for claim in found.claims:
                found.criterion(claim, "s")
                for arm in found.measures(claim).arms():
                    for task in found.tasks:
                        expected_recipe(found, arm, task, 0)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_task(folder / "words", test=8)
    return folder / "words"


def _in_format(path: Path, suffix: str) -> bytes:
    """A split in one of the formats that are read."""
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    if suffix == "tsv":
        return path.read_bytes()
    if suffix == "jsonl":
        lines = (dict(zip(header, (t, int(n)), strict=True)) for t, n in rows)
        return "\n".join(map(json.dumps, lines)).encode()
    sink = io.BytesIO()
    texts, labels = zip(*rows, strict=True)
    parquet.write_table(pa.table({"text": texts, "label": list(map(int, labels))}), sink)
    return sink.getvalue()


@given(data=st.data(), suffix=st.sampled_from(["tsv", "jsonl", "parquet"]))
def test_task_files(data_folder: Path, data: st.DataObject, suffix: str) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        made = folder / "words"
        made.mkdir()
        declared = tomllib.loads((data_folder / "task.toml").read_text())
        split = data.draw(st.sampled_from(["declaration", "train", "test"]))
        changed = data.draw(mutated(declared)) if split == "declaration" else declared
        text = as_toml(changed) if isinstance(changed, dict) else b"="
        (made / "task.toml").write_bytes(text)
        for name in ("train", "validation", "test"):
            content = _in_format(data_folder / f"{name}.tsv", suffix)
            content = data.draw(_rows(content, suffix)) if name == split else content
            (made / f"{name}.{suffix}").write_bytes(content)
        assert isinstance(doubts(tasks.load_task("words", data_dir=folder)), list)


def _rows(content: bytes, suffix: str) -> st.SearchStrategy[bytes]:
    if suffix != "jsonl":
        return damaged(content)
    rows = [json.loads(line) for line in content.splitlines()]
    lines = mutated(rows).map(
        lambda found: b"\n".join(map(as_json, found)) if isinstance(found, list) else as_json(found)
    )
    return lines | damaged(content)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_encoder(folder / "small", 1)
    return folder / "small"


@given(data=st.data())
def test_encoder_folders(encoder_folder: Path, data: st.DataObject) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        shutil.copytree(encoder_folder, folder / "small")
        name = data.draw(st.sampled_from([FILES[0], *FILES]))
        good = (encoder_folder / name).read_bytes()
        as_values = name.endswith(".json") and data.draw(st.booleans())
        content = mutated(json.loads(good)).map(as_json) if as_values else damaged(good)
        (folder / "small" / name).write_bytes(data.draw(content))
        encoder = encoders.load_encoder("small", model_dir=folder)
        encoders.check_pair(encoder, encoder)
        encoders.check_label_map(encoder, ("c0", "c1"))
        assert len(encoder.digest) == 64
        encoder.build(num_classes=2, seed=0)


class Remembering(Bundle):
    """What was sealed as at first is not decoded again: a seal stands for the bytes."""

    known: ClassVar[dict[Any, Evidence]] = {}

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        key = (digest, self._trainings.get(digest, {}).get("manifest"), trajectory)
        if key not in self.known:
            found = super().get(digest, trajectory=trajectory)
            if len(self.known) > 64:
                return found
            self.known[key] = found
        return self.known[key]


@pytest.fixture(scope="session")
def bundle(study: tampering.Study) -> Path:
    verified = list(verify(Remembering(study.bundle)))  # untouched, so that it is what is known
    assert all(check.same for check in verified)
    return study.bundle


def _check_once(evidence: Evidence) -> None:
    if not any(evidence is each for each in Remembering.known.values()):
        check_metrics(evidence)


@given(data=st.data())
def test_bundles(bundle: Path, data: st.DataObject) -> None:
    path = _of_any_kind(bundle, data)
    above = [each / MANIFEST for each in path.parents if each.is_relative_to(bundle)]
    changed = {path, *filter(Path.is_file, above)}
    with (
        put_back(*changed),
        only_documented(bundle.parents[1]),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(recheck, "check_metrics", _check_once)
        _damage(path, data)
        _seal_above(bundle, path)
        source = Remembering(bundle)
        assert list(verify(source))
        record = build(source.claims(), source)
        assert html(record).count("<script") == 1, "the page's own"
        markdown(record), to_json(record)


def _seal_above(bundle: Path, path: Path) -> None:
    contents = json.loads((bundle / MANIFEST).read_bytes()) if path.parent != bundle else {}
    for entry in (*contents.get("trainings", {}).values(), *contents.get("claims", [])):
        part = bundle / entry["folder"]
        if path.is_relative_to(part):
            manifest = part / MANIFEST
            entry["manifest"] = _sum_of(manifest) if path == manifest else seal(part)
            write_json(bundle / MANIFEST, contents)


def _of_any_kind(folder: Path, data: st.DataObject) -> Path:
    """A file, of each kind as often as of any other: of posteriors there are the most, and much alike."""
    return data.draw(st.sampled_from(data.draw(st.sampled_from(_kinds(folder)))))


@functools.cache
def _kinds(folder: Path) -> list[list[Path]]:
    kinds: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        kinds.setdefault(path.name if path.suffix == ".json" else path.suffix, []).append(path)
    return sorted(kinds.values())


def _damage(path: Path, data: st.DataObject) -> None:
    """Other bytes or other values in a file, or none, or a folder, a link or a pipe in its place."""
    good = path.read_bytes()
    how = data.draw(st.sampled_from(["bytes", "values", "values", "values", "gone"]))
    if how == "values" and path.suffix == ".json":
        path.write_bytes(data.draw(mutated(json.loads(good)).map(as_json)))
    elif how == "gone":
        path.unlink()
        make = [lambda _: None, Path.mkdir, os.mkfifo, lambda place: place.symlink_to("/dev/zero")]
        data.draw(st.sampled_from(make))(path)
    else:
        path.write_bytes(data.draw(damaged(good)))


def _sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a few runs and a claim with its lock, whole in one file: a log beside it is lost in a copy."""
    folder = tmp_path_factory.mktemp("stores") / "given"
    store = Store.create(folder)
    runs = sample_table((SMOOTHED, PLAIN), seeds=(0,))
    section = {"of": "a lock"}
    record(store, replace(sample_judged(), table=runs, lock=digest_of(section)), section)
    failed = store.begin(sample_recipe(9), role="taught/smaller", claims=[], worker="w")
    assert failed is not None
    store.fail(failed, "it diverged")
    del store
    _let_go()
    with closing(sqlite3.connect(folder / "mlflow.db")) as made:
        made.execute("PRAGMA journal_mode = DELETE")
    return folder


def _let_go() -> None:
    """Close MLflow's connections, which remember of the database what they have read."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()


@given(data=st.data())
def test_stores(store_folder: Path, data: st.DataObject) -> None:
    database = store_folder / "mlflow.db"
    with put_back(database), only_documented(store_folder.parent):
        if data.draw(st.booleans()):
            database.write_bytes(data.draw(damaged(database.read_bytes())))
        else:
            _change_a_row(database, data)
        _let_go()
        _read_all(Store.open(store_folder))


def _read_all(store: Store) -> None:
    store.claims(), store.failures(), store.trained()
    for digest in store.locks():
        store.lock(digest)
    for digest in store.digests():
        store.get(digest, trajectory=True), store.validation(digest)
    store.encoders()


class Listing(Tracking):
    """A database that is as it was: what it has answered once, it is not asked again."""

    answers: ClassVar[dict[tuple[str | None, ...], Any]] = {}

    def search(self, name: str, condition: str) -> Any:
        if (name, condition) not in self.answers:
            self.answers[name, condition] = super().search(name, condition)
        return self.answers[name, condition]

    def finished(self, digest: str | None = None) -> Any:
        if (digest,) not in self.answers:
            self.answers[digest,] = super().finished(digest)
        return self.answers[digest,]

    @contextmanager
    def sealed(self, run: str, digest: str) -> Iterator[None]:
        """Say that the files of a run have another seal."""
        told = [each for runs in self.answers.values() for each in runs]
        tags = [each.data.tags for each in told if each.info.run_id == run]
        before = tags[0][SEAL]
        try:
            for each in tags:
                each[SEAL] = digest
            yield
        finally:
            for each in tags:
                each[SEAL] = before


@pytest.fixture(scope="session")
def listing(store_folder: Path) -> Listing:
    found = Listing.open(Location.parse(store_folder))
    _read_all(Store(Location.parse(store_folder), found))
    return found


@given(data=st.data())
def test_files_of_stores(store_folder: Path, listing: Listing, data: st.DataObject) -> None:
    path = _of_any_kind(store_folder / "artifacts", data)
    files = next(each for each in path.parents if each.name == "artifacts")
    with put_back(*{path, files / MANIFEST}), only_documented(store_folder.parent):
        _damage(path, data)
        again = data.draw(st.booleans()) and path.name != MANIFEST
        with listing.sealed(files.parent.name, seal(files)) if again else nullcontext():
            _read_all(Store(Location.parse(store_folder), listing))


TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "experiments", "experiment_tags")


def _change_a_row(database: Path, data: st.DataObject) -> None:
    """Another value in a row of the tables that are read, or the row gone, as a stranger or a user of the UI may."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        table = data.draw(st.sampled_from(TABLES))
        rows = [n for (n,) in connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]  # noqa: S608 - our names
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        row = data.draw(st.sampled_from(rows))
        column = data.draw(st.sampled_from(["", *columns]))
        value = data.draw(st.sampled_from(CELLS))
        change = f"UPDATE {table} SET {column} = :value" if column else f"DELETE FROM {table}"  # noqa: S608
        with suppress(sqlite3.IntegrityError):  # what the database itself refuses
            connection.execute(f"{change} WHERE rowid = :row", {"value": value, "row": row})


CELLS = (
    *(None, "", "x", -1, 0, 1e308, float("inf"), 2**62, b"\xff", "FINISHED", "deleted", "é" * 9),
    *("{}", "[" * 999, "a\nb", "../../up", "/etc", "file:///etc", "s3://bucket/x", "http://127.0.0.1:9/x"),
    *("0" * 64, "mlflow-artifacts:/x", "x" * 70_000),
)  # fmt: skip


VALUES = st.sampled_from(
    [
        *("", " ", "-1", "0", "1", "nan", "1e400", "9" * 5000, "x", "é", "a\nb"),
        *(".", "none.toml", "x=1", "=", "a.b=1", "epochs=[", "objective=1", "http://",
          "sqlite:///", "tpu", "meta", "cpu", "small", "erm", "json", "here", "here/file"),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)  # fmt: skip
LEFT_OUT = {
    **dict.fromkeys(("lock", "plan", "doctor"), "starts a pytest of its own, in this process"),
    "calibrate": "simulates for as long as it is told to",
}
ENDS_QUICKLY = {"ui": ["--print-url"], "zoo": ["--repeat=0"]}
LOSSES = st.sampled_from(["math:pi", "here/loss.py:text", "here/loss.py:ends", "here/loss.py:no"])
LOSS = """
def text(student, teacher, labels, alpha=0.5, temperature=2.0): return "much"
def ends(student, teacher, labels): exit(0)
"""


def _verbs(
    parser: argparse.ArgumentParser, *above: str
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every verb, with its action if it has some, and its options."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for name, each in (pair for actions in inner for pair in actions.choices.items()):
        if name not in LEFT_OUT:
            yield from _verbs(each, *above, name)
    if above and not inner:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        yield above, [flag for flag in flags if flag.startswith("--") and flag != "--help"]


VERBS = list(_verbs(parser()))


@given(data=st.data())
def test_arguments(data: st.DataObject) -> None:
    with sandbox() as (folder, outside), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "build_parser", parser)
        (folder / "here").mkdir()
        (folder / "here" / "file").write_text("x = 1\n")
        (folder / "here" / "loss.py").write_text(LOSS)
        patch.chdir(folder)
        patch.setenv("KDCHECK_CACHE", str(folder / "cache"))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing answers there
        verb, options = data.draw(st.sampled_from(VERBS))
        given = [data.draw(LOSSES)] if verb == ("conform",) else []
        for _ in range(data.draw(st.integers(0, 3))):
            flag = data.draw(st.sampled_from(["", *options]))
            given += [data.draw(VALUES)] if not flag else [f"{flag}={data.draw(VALUES)}"]
        said = io.StringIO()
        with only_documented(outside), redirect_stdout(io.StringIO()), redirect_stderr(said):
            try:
                status = main([*verb, *given, *ENDS_QUICKLY.get(verb[0], ())])
            except SystemExit as error:  # argparse's own refusal
                status = error.code
        assert status in (0, 1, 2), said.getvalue()
        assert "Traceback" not in said.getvalue()


NAMES = ("KDCHECK_STORE", "MLFLOW_TRACKING_URI", "KDCHECK_CACHE")


@given(
    environment=st.dictionaries(st.sampled_from(NAMES), VALUES | st.text(max_size=30)),
    option=st.none() | VALUES,
)
def test_environments(environment: dict[str, str], option: str | None) -> None:
    with sandbox() as (folder, outside), only_documented(outside):
        places = Places.resolve(store=option, root=folder, environment=environment)
        assert Places.from_dict(json.loads(json.dumps(places.to_dict()))) == places
        assert str(places.store)
        assert cache_root(None).is_absolute()


BORDERS: list[Callable[..., Any]] = [
    *(test_recipes, test_recipe_files, test_scales, test_scale_files, test_locks, test_task_files),
    *(
        test_encoder_folders,
        test_bundles,
        test_stores,
        test_files_of_stores,
        test_arguments,
        test_environments,
    ),
]
