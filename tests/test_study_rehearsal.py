"""A rehearsal: all of a scale's runs, short ones, and verdicts that nobody takes for real."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcheck.errors import InputError
from kdcheck.evidence import board, layout
from kdcheck.paper.publication import PAPER
from kdcheck.plugin.collecting import plan_paths
from kdcheck.report import badge, build, html, markdown
from kdcheck.study.graph import build as graph_of
from kdcheck.study.rehearsal import FIRST_SEED, rehearsal_of
from kdcheck.study.scale import load, shipped_names
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


def test_no_two_runs_of_a_shipped_scale_become_one_when_it_is_rehearsed():
    claims = plan_paths(["claims"]).claims
    for name in shipped_names(PAPER):
        real = load(name, PAPER)
        short = rehearsal_of(real, "minilm", load_task)
        wanted, found = (graph_of(claims, each, (0,), Digests()) for each in (real, short))
        assert len(found.recipes) == len(wanted.recipes)
        assert found.runs.keys() == wanted.runs.keys()


def test_a_rehearsal_is_short_and_another_scale_in_name_content_and_seeds():
    real = scale(needs_cuda=True, deviations=("Tiny.",), training={"batch_size": 64})
    short = rehearsal_of(real, ("x", "y"), load_task)
    assert (short.name, short.pair, short.needs_cuda) == ("rehearsal of made up", ("x", "y"), False)
    assert short.first_seed == FIRST_SEED >= 1000, "no verdict comes from seeds for tuning"
    assert short.deviations == (REHEARSED, "Tiny.")
    assert short.training["batch_size"] == 8
    for arm in graph_arms(short):
        for task in short.tasks:
            assert short.settings(arm, task)["epochs"] == 1
    assert short.content([]) != real.content([]), "no lock could hold both"
    assert short.content([])["rehearsal"] is True
    assert "rehearsal" not in real.content([])


def graph_arms(short):
    from kdcheck.claims import Arm

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
    assert page.count('class="word standing-chip"') == 2 * len(rehearsed), "board and cards"
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
