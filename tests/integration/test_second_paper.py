"""A second paper, by an outside user, in one store with the first: nothing of kdcheck is changed for it.

Its folder has one file of claims, one scale, and what it brings of its own: tables, a figure, a task,
encoders, a method with a parameter, a metric, and a claim on what lies between two others.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdcheck.cli import main
from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.store import Store
from kdcheck.metrics import METRICS
from kdcheck.objectives import load_modules
from kdcheck.objectives.objective import _REGISTRY
from tests.tiny_files import write_encoder, write_task

METRIC = """
import numpy as np

from kdcheck import metrics


def mean_confidence(seen):
    return float(np.exp(seen.log_p_NK).max(axis=1).mean())


metrics.add("confidence", metrics.Metric(
    of=mean_confidence, unit="fraction", high=lambda classes: 1.0, better="neither", source="max p"))
"""
THEIRS = '''
"""Everything that the second paper is."""
from dataclasses import dataclass
from typing import ClassVar

from kdcheck.claims import Arm, Figure, Paper, Printed, claim, nats, plain
from kdcheck.objectives import Objective


@dataclass(frozen=True)
class Focal(Objective):
    """(1 - p)^gamma times the cross-entropy."""

    name: ClassVar[str] = "focal"
    gamma: float = 2.0

    def per_example(self, logits_NK, labels_N, teacher_logits_NK=None):
        log_p_N = logits_NK.log_softmax(-1).gather(1, labels_N[:, None])[:, 0]
        return -((1 - log_p_N.exp()) ** self.gamma) * log_p_N


METRIC

PLAIN, BIG = Arm("plain", "smaller"), Arm("plain", "larger")
SHARP = Arm("sharp", "smaller")
PUPIL = Arm("pupil", "smaller", teacher=BIG)


def cell(arm, metric, value, text):
    return Printed(table="IX", task="fish", metric=metric, arm=arm, value=value, half_width=0.0005, text=text)


PAPER = Paper(
    name="kelp-2031",
    title="Do Pupils Outshine Kelp?",
    labels={"plain": "Plain kelp", "sharp": "Sharpened kelp", "pupil": "Kelp's pupil"},
    colours={"plain": "grey", "sharp": "orange", "pupil": "purple"},
    arms=(PLAIN, BIG, SHARP, PUPIL),
    figures=(Figure(name="Plate 7", title="Kelp in the dark", arms=(PLAIN, PUPIL)),),
    printed=(
        cell(PLAIN, "mean_entropy_nats", 0.4321, "0.432"),
        cell(SHARP, "mean_entropy_nats", 0.6543, "0.654"),
        cell(PUPIL, "accuracy", 0.8765, "87.65"),
    ),
)


@claim("raises_entropy", says="Sharpened kelp is less sure.", where="plate 7", holds="on every task",
       margin=nats(0.01), because="kelp sways", paper=PAPER)
def test_raises_entropy(study):
    study.judge(study.entropy(SHARP) - study.entropy(PLAIN))


@claim("stands_between", says="A pupil's entropy lies between its own and its teacher's.",
       where="plate 8", holds="on some task", margin=nats(0.0), because="order alone", paper=PAPER)
def test_stands_between(study):
    study.judge(study.apply("between", study.entropy(PUPIL), study.entropy(PLAIN), study.entropy(BIG)))


@claim("less_confident", says="Sharpened kelp is less confident.", where="plate 9",
       holds="on every task", margin=plain(0.01, "of one"), because="kelp sways", paper=PAPER)
def test_less_confident(study):
    study.judge(study.read("confidence", PLAIN) - study.read("confidence", SHARP))
'''
OURS = """
from kdcheck import nats
from kdcheck.paper import claim
from kdcheck.paper.statements.entropies import ls_raises_entropy

@claim(ls_raises_entropy, margin=nats(0.05), because="a test")
def test_ls_raises_entropy(study):
    study.judge(ls_raises_entropy("smaller"))
"""
SCALE = """
name = "smoke"
pair = ["my-bert", "my-small-bert"]
tasks = [{tasks}]
seeds = 2
[training]
batch_size = 8
max_length = 32
"""
METHOD = """
[methods.{name}.{size}]
objective = {{ name = "{objective}"{parameters} }}
learning_rate = 3e-3
epochs = {epochs}
"""


def scale(tasks: str, *methods: tuple[str, str, str, str, int]) -> str:
    names = ("name", "size", "objective", "parameters", "epochs")
    return SCALE.format(tasks=tasks) + "".join(
        METHOD.format(**dict(zip(names, each, strict=True))) for each in methods
    )


def run(folder: Path, *arguments: str) -> str:
    options = ("--store", "../store", "--data-dir", "../data", "--model-dir", "../models")
    command = [sys.executable, "-m", "pytest", ".", "-p", "no:cacheprovider", *options, *arguments]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both papers' folders, judged into one store; the second one's by a worker process."""
    place = tmp_path_factory.mktemp("two papers")
    write_task(place / "data" / "words")
    write_task(place / "data" / "fish", classes=3, test=45, seed=1)
    for name, layers in (("my-bert", 2), ("my-small-bert", 1)):
        write_encoder(place / "models" / name, layers)
    ours, theirs = place / "ours", place / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    (ours / "test_ours.py").write_text(OURS)
    plain, ls = ("erm", "smaller", "erm", "", 8), ("ls", "smaller", "ls", ", alpha = 0.6", 8)
    (ours / "smoke.toml").write_text(scale('"words"', plain, ls))
    (theirs / "test_kelp.py").write_text(THEIRS.replace("METRIC", METRIC))
    (theirs / "smoke.toml").write_text(
        scale(
            '"fish", "words"',
            ("plain", "smaller", "erm", "", 12),
            ("plain", "larger", "erm", "", 10),
            ("sharp", "smaller", "focal", ", gamma = 3.0", 12),
            ("pupil", "smaller", "kd", ", alpha = 0.5", 12),
        )
    )
    run(ours, "--scale", "smoke.toml", "--workers", "0")
    run(theirs, "--scale", "smoke.toml", "--workers", "1")
    return place


@pytest.fixture
def load(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """The option that brings the objective and the metric of the second paper, gone afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "--load", str(place / "theirs" / "test_kelp.py")
    for known, name in ((METRICS, "confidence"), (_REGISTRY, "focal"), (sys.modules, "test_kelp")):
        known.pop(name, None)


@pytest.fixture
def store(place: Path, load: tuple[str, str]) -> Store:
    load_modules(load[1:])
    return Store.open(place / "store")


def test_each_paper_is_a_family_of_its_own(store: Store) -> None:
    sizes = {(*e.family, e.claim.id): e.verdict.family_size for e in store.claims()}
    assert sizes == {
        ("kd-ls", "smoke", "ls_raises_entropy"): 1,
        ("kelp-2031", "smoke", "less_confident"): 3,
        ("kelp-2031", "smoke", "raises_entropy"): 3,
        ("kelp-2031", "smoke", "stands_between"): 3,
    }
    assert {e.claim.id for e in store.claims(paper="kelp-2031")} == {
        *("less_confident", "raises_entropy", "stands_between")
    }


def test_the_objective_of_its_own_reached_the_worker_with_its_parameter(store: Store) -> None:
    [judged] = [e for e in store.claims() if e.claim.id == "raises_entropy"]
    [sharp] = [arm for arm in judged.table.runs if arm.method == "sharp"]
    run_of = store._runs.search(
        TRAININGS, f"tags.digest = '{judged.table.digest(sharp, 'fish', 1)}'"
    )
    assert run_of[0].data.params["objective.gamma"] == "3.0"
    assert run_of[0].data.tags["role"] == "sharp/smaller"
    assert run_of[0].data.tags["kdcheck.worker"] == "w0"


def test_its_claims_say_in_mlflow_whose_they_are_and_what_its_table_gives(store: Store) -> None:
    [run_of] = store._runs.search(CLAIMS, "tags.claim = 'raises_entropy'")
    assert run_of.data.tags["paper"] == "kelp-2031"
    assert run_of.data.params["holds"] == "on every task"
    assert "In the paper: fish +0.222 nats (Table IX)." in run_of.data.tags["mlflow.note.content"]


def test_its_page_shows_its_title_labels_figure_and_printed_cells_and_nothing_of_the_first(
    place: Path, load: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    report, page = (*load, "report", "--store", str(place / "store")), place / "page.html"
    assert main(report) == 2
    assert "kd-ls" in capsys.readouterr().err, "two papers, and none was named"
    assert main([*report, "--paper", "kelp-2031", "--output", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    for own in ("Do Pupils Outshine Kelp?", "Kelp&#x27;s pupil", "Plate 7", "Kelp in the dark"):
        assert own in text, own
    for other in ("Knowledge Distillation", "Figure 1", "Standard KD", "DistilBERT"):
        assert other not in text, other
    record = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    beside = {
        (cell["arm"], cell["task"], cell["metric"].rpartition("/")[2]): cell["paper"]["printed"]
        for cell in record["finals"]
        if cell["paper"]
    }
    assert beside == {
        ("plain/smaller", "fish", "mean_entropy_nats"): "0.432",
        ("sharp/smaller", "fish", "mean_entropy_nats"): "0.654",
        ("pupil/smaller<-plain/larger", "fish", "accuracy"): "87.65",
    }


def test_its_verdicts_come_out_again_elsewhere_where_its_metric_is_loaded(
    place: Path, load: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(place / "bundle")
    export = ("export", bundle, "--store", str(place / "store"), "--paper", "kelp-2031")
    assert main(export) == 2
    assert "kdcheck --load FILE" in capsys.readouterr().err
    assert main([*load, *export]) == 0
    elsewhere = [sys.executable, "-m", "kdcheck", *load, "verify", bundle]
    assert "every verdict is as stored" in subprocess.check_output(elsewhere, text=True)
