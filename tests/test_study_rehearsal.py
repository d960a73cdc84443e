"""A rehearsal: all of a scale's runs, short ones, and verdicts that nobody takes for real."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdcheck.claims import Arm
from kdcheck.engine.schedule import Schedule
from kdcheck.errors import InputError
from kdcheck.evidence import board, layout
from kdcheck.paper.publication import PAPER
from kdcheck.plugin.collecting import plan_paths
from kdcheck.report import badge, build, html, markdown
from kdcheck.study.graph import build as graph_of
from kdcheck.study.rehearsal import (
    ALL_MAY_COLLAPSE,
    FIRST_SEED,
    LEARNED_WORDS,
    SEEDS,
    SHORTENED,
    TRIED_WORDS,
    rehearsal_of,
)
from kdcheck.study.scale import load, shipped_names
from kdcheck.tasks.glue import GLUE
from kdcheck.testing import tiny_task
from kdcheck.verdict.words import REHEARSED
from tests import report_doubles as doubles
from tests.evidence_doubles import sample_judged
from tests.refusal import refused
from tests.study_doubles import NamedDigests, scale


def load_task(name):
    """Tasks of different size and length of texts."""
    return tiny_task(train=300 if name == "a" else 40, seed=len(name))


class Digests(NamedDigests):
    def task(self, name):
        return name

    def encoder(self, size):
        return size


@pytest.fixture(scope="module")
def claims():
    """The paper's, planned."""
    return plan_paths(["claims"]).claims


def test_no_two_runs_of_a_shipped_scale_become_one_when_it_is_rehearsed(claims):
    for name in shipped_names(PAPER):
        real = load(name, PAPER)
        short = rehearsal_of(real, "minilm", load_task)
        wanted, found = (graph_of(claims, each, (0,), Digests()) for each in (real, short))
        assert len(found.recipes) == len(wanted.recipes)
        assert found.runs.keys() == wanted.runs.keys()


WORDS_PER_ROW = {"mrpc": 44, "qnli": 36, "sst2": 9, "mnli": 30}
"""About those of GLUE's training splits."""


class LongSplit:
    """Rows as long as a task's of GLUE, and more of them than any rehearsal reads."""

    def __init__(self, name):
        self.texts = ([" ".join(["word"] * WORDS_PER_ROW[name])] * 4000,)

    def __len__(self):
        return 4000


def long_task(name):
    split = LongSplit(name)
    return SimpleNamespace(train=split, split=lambda _: split)


def test_a_rehearsed_paper_scale_has_every_run_and_a_thousandth_of_the_steps(claims):
    real = load("paper", PAPER)
    short = rehearsal_of(real, "minilm", long_task)
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + SEEDS))
    whole, found = (graph_of(claims, each, seeds, Digests()) for each in (real, short))
    assert short.seeds == SEEDS < real.seeds
    assert len(found.recipes) == len(whole.recipes) > 100 * SEEDS
    assert found.runs.keys() == whole.runs.keys()
    for recipe in found.recipes.values():
        words = recipe.train_rows * WORDS_PER_ROW[recipe.task]
        wanted = LEARNED_WORDS if recipe.task == "sst2" else TRIED_WORDS
        assert words == pytest.approx(wanted, abs=WORDS_PER_ROW[recipe.task])
        assert recipe.validation_rows < recipe.test_rows < recipe.train_rows
        assert (recipe.epochs, recipe.max_length, recipe.batch_size) == (1, 24, 16)
        assert 3e-4 < recipe.learning_rate < 4e-4
        assert recipe.evaluations_per_epoch <= 2
    sizes = {name: glue.sizes["train"] for name, glue in GLUE.items()}
    steps = sum(Schedule(r, r.train_rows).total_steps for r in found.recipes.values())
    wanted = sum(Schedule(r, sizes[r.task]).total_steps for r in whole.recipes.values())
    assert steps < wanted / 1000


@pytest.mark.parametrize(
    ("emulated", "ls", "erm"),
    [
        ((), ("bfloat16", "bfloat16"), ("bfloat16", "float16")),
        (("float16",), ("bfloat16", "bfloat16"), ("bfloat16", "float32")),
        (("bfloat16",), ("float32", "float32"), ("float32", "float16")),
    ],
)
def test_a_precision_that_the_machine_is_slow_in_is_rehearsed_in_float32(emulated, ls, erm):
    real = scale(training={"precision": "bfloat16", "tasks": {"b": {"precision": "float16"}}})
    real.methods["ls"]["smaller"]["precision"] = "bfloat16"
    short = rehearsal_of(real, "tiny", load_task, emulated)
    for method, wanted in {"ls": ls, "erm": erm}.items():
        arm = Arm(method, "smaller")
        assert tuple(short.settings(arm, task)["precision"] for task in "ab") == wanted


def test_no_run_of_a_rehearsal_is_at_fault_for_naming_one_class():
    real = scale(may_collapse=("ls",))
    assert set(rehearsal_of(real, "tiny", load_task).may_collapse) == set(real.methods) > {"ls"}


def test_a_rehearsal_is_short_and_another_scale_in_name_content_and_seeds():
    real = scale(needs_cuda=True, deviations=("Tiny.",), training={"batch_size": 64})
    short = rehearsal_of(real, ("x", "y"), load_task)
    assert (short.name, short.pair, short.needs_cuda) == ("rehearsal of made up", ("x", "y"), False)
    assert short.first_seed == FIRST_SEED >= 1000, "no verdict comes from seeds for tuning"
    assert short.deviations == (
        REHEARSED,
        SHORTENED,
        ALL_MAY_COLLAPSE,
        "The encoders are the pair x and y.",
        "Of the scale that is rehearsed: Tiny.",
    )
    alike = rehearsal_of(real, real.pair, load_task)
    assert not any("pair" in text for text in alike.deviations), "its own encoders are no deviation"
    assert short.training["batch_size"] == 16
    for arm in graph_arms(short):
        for task in short.tasks:
            assert short.settings(arm, task)["epochs"] == 1
    assert short.content([]) != real.content([]), "no lock could hold both"
    assert short.content([])["rehearsal"] is True
    assert "rehearsal" not in real.content([])


def graph_arms(short):

    return [Arm(method, size) for method, sizes in short.methods.items() for size in sizes]


def test_rows_are_few_and_never_more_than_the_scale_or_the_task_has():
    short = rehearsal_of(scale(rows={"a": {"test": 5}}), "tiny", load_task)
    assert short.rows["a"]["test"] == 5
    assert short.rows["b"] == {"train": 40, "validation": 16, "test": 24}
    assert 40 < short.rows["a"]["train"] <= 300


def test_looks_while_training_are_kept_where_there_are_any():
    real = scale(training={"evaluations_per_epoch": 0})
    real.methods["ls"]["smaller"]["evaluations_per_epoch"] = 4
    short = rehearsal_of(real, "tiny", load_task)
    assert short.training["evaluations_per_epoch"] == 0
    assert short.methods["ls"]["smaller"]["evaluations_per_epoch"] == 2


def test_no_scale_file_can_call_itself_a_rehearsal(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\npair = "tiny"\ntasks = ["a"]\nseeds = 2\nrehearsal = true\n[training]\n'
        '[methods.erm.smaller]\nobjective = { name = "erm" }\n'
    )
    with refused(InputError, "rehearsal", "only", "needs_cuda"):
        load(str(path))


@pytest.fixture
def rehearsed():
    """The invented study, as a rehearsal."""
    return [
        replace(each, verdict=replace(each.verdict, exploratory=(REHEARSED,)))
        for each in doubles.study(scale="rehearsal of pocket")
    ]


def test_every_place_that_shows_a_verdict_marks_a_rehearsal(rehearsed):
    verdict = rehearsed[0].verdict
    assert verdict.standing == "REHEARSAL"
    assert str(verdict).startswith(
        f"{doubles.SURER.id}: SUPPORTED (REHEARSAL) at rehearsal of pocket"
    )
    record = build(rehearsed, doubles.source())
    assert not any(record["counts"]["CONFIRMATORY"].values())
    assert not any(record["counts"]["EXPLORATORY"].values())
    page, text, drawn = html(record), markdown(record), badge(record)
    assert " decided, REHEARSAL</h1>" in page
    relations = sum(len(claim["rests_on"]) for claim in record["claims"])
    chips = page.count('class="word standing-chip"')
    assert chips == 2 * (len(rehearsed) + relations), "board, cards, and both ends of each premise"
    assert text.count("REHEARSAL") >= 2 * len(rehearsed)
    assert "REHEARSAL" in drawn
    assert all(task["marks"]["rehearsal"] == REHEARSED for task in record["tasks"])
    tags = layout.judged_tags(rehearsed[0], "# N")
    assert (tags["verdict"], tags["standing"]) == ("REHEARSAL SUPPORTED", "REHEARSAL")
    assert "REHEARSAL" in tags["mlflow.runName"]


def test_a_rehearsal_is_never_counted_with_verdicts():
    real = board.row(sample_judged("a"))
    other = board.row(sample_judged("b")) | {"standing": "REHEARSAL", "exploratory": [REHEARSED]}
    said = board.headline([real, other])
    assert said.startswith("1 of 1 claim decided: 1 SUPPORTED; confirmatory")
    assert said.endswith("Beside them, REHEARSAL: 1 of 1 claim decided: 1 SUPPORTED.")
    assert "REHEARSAL, no evidence of any claim" in board.headline([other])


def test_every_cell_of_a_rehearsed_table_says_so_and_that_its_rows_are_a_subset(rehearsed):
    record = build(rehearsed, doubles.source())
    cells = [
        (line["label"], column, cell)
        for table in record["paper_tables"]
        for line in table["lines"]
        for column, cell in zip(table["columns"], line["cells"], strict=True)
        if cell and not cell["waits"]
    ]
    assert len(cells) == 10
    for label, column, cell in cells:
        marks = cell["marks"].split(", ")
        assert "rehearsal" in marks, (label, column)
        of_fish = "fish" in (column, label.lower().split(", ")[-1]) or label == "epochs"
        assert ("subset" in marks) is of_fish, (label, column)
    page, text = html(record), markdown(record).replace("\\", "")
    shown = [final for final in record["finals"] if final["task"] == "fish"]
    assert page.count('<small class="caveats">rehearsal, subset') == len(shown)
    assert text.count(" [rehearsal, subset") >= len(shown)


def test_no_figure_of_the_paper_is_said_to_agree_with_a_rehearsal(rehearsed):
    record = build(rehearsed, doubles.source())
    printed = [final["paper"] for final in record["finals"] if final["paper"]]
    assert len(printed) > 5
    assert all(cell["comparison"] is None for cell in printed)
    text = html(record).lower()
    assert "consistent" not in text
    assert "one more seed of ours" not in text
    real = build(doubles.study(), doubles.source())
    assert any(final["paper"] and final["paper"]["comparison"] for final in real["finals"])
    assert "one more seed of ours" in html(real)
