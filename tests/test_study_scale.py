"""Scale files: those that ship, and what is wrong with those that do not."""

from __future__ import annotations

import pytest

from kdcheck.errors import InputError
from kdcheck.paper import load_tables
from kdcheck.study.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD
from kdcheck.study.scale import load, shipped_names

GOOD = """
name = "own"
pair = "tiny"
tasks = ["tweets"]
seeds = 3
[training]
batch_size = 8
[methods.erm.smaller]
objective = { name = "erm" }
learning_rate = 1e-3
epochs = 1
"""


def test_three_scales_ship():
    assert shipped_names() == ["embedded", "mini", "paper"]


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    assert load(str(path)).settings(ERM("smaller"), "tweets")["epochs"] == 1


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("seeds = 3", "", "seeds"),
        ("seeds = 3", "seeds = 3\nseedz = 4", "seedz"),
        ("batch_size", "batchsize", "batchsize"),
        ("methods.erm.smaller", "methods.erm.middle", "erm.middle"),
        ('objective = { name = "erm" }', "", "an objective each"),
        ("seeds = 3", "seeds = ", "TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_its_field(tmp_path, old, new, fact):
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load(str(path))
    assert fact in str(caught.value)
    assert "docs/guides/scales.md" in str(caught.value)


def test_an_unknown_scale_is_refused_with_those_that_are_known():
    with pytest.raises(InputError, match="embedded, mini, paper"):
        load("huge")


@pytest.mark.parametrize(
    ("arm", "method"),
    [(ERM("larger"), "erm"), (LS("smaller"), "ls"), (STANDARD_KD, "standard_kd"),
     (SELF_KD, "self_kd"), (REVERSE_KD, "reverse_kd")],
)  # fmt: skip
@pytest.mark.parametrize("task", ["mrpc", "qnli", "sst2", "mnli"])
def test_the_papers_scale_has_the_settings_that_table_7_selects(arm, method, task):
    settings = load("paper").settings(arm, task)
    tables = load_tables()
    for name, ours in (
        ("learning_rate", settings["learning_rate"]),
        ("epochs", settings["epochs"]),
        ("alpha", settings["objective"].get("alpha")),
    ):
        theirs = tables.setting(task, method, arm.size, name, tuned=False)
        if theirs is not None:  # a dash, or one of the rows that our copy lacks
            assert ours == pytest.approx(getattr(theirs, "value", theirs))


def test_embedded_is_the_scale_of_a_task_with_two_and_one_with_three_classes():
    assert set(load("embedded").tasks) == {"tweets", "snippets"}
    assert load("embedded").seeds >= 5
