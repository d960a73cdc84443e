"""Scale files: those that ship, and what is wrong with those that do not."""

from __future__ import annotations

import pytest
from transformers import DistilBertConfig

from kdcheck.errors import InputError
from kdcheck.paper import load_tables
from kdcheck.study.arms import (
    ERM,
    LS,
    REVERSE_KD,
    SELF_KD,
    STANDARD_KD,
    TUNED_LS,
    TUNED_REVERSE_KD,
    TUNED_SELF_KD,
    TUNED_STANDARD_KD,
)
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
    "arm",
    [
        *(ERM("larger"), LS("smaller"), STANDARD_KD, SELF_KD, REVERSE_KD),
        *(TUNED_LS("larger"), TUNED_STANDARD_KD, TUNED_SELF_KD, TUNED_REVERSE_KD),
    ],
    ids=lambda arm: f"{arm.method}/{arm.size}",
)
@pytest.mark.parametrize("task", ["mrpc", "qnli", "sst2", "mnli"])
def test_the_papers_scale_has_the_settings_that_tables_7_and_12_select(arm, task):
    settings = load("paper").settings(arm, task)
    tables, method = load_tables(), arm.method.removeprefix("tuned_")
    tuned = method != arm.method
    for name in tables.table("12" if tuned else "7").columns:
        ours = settings.get(name, settings["objective"].get(name))
        theirs = tables.setting(task, method, arm.size, name, tuned=tuned)
        if theirs is not None:  # a dash, or one of the rows that our copy lacks
            assert ours == pytest.approx(getattr(theirs, "value", theirs))


def test_distilbert_has_the_head_dropout_of_its_own_configuration_at_the_papers_scale():
    methods = load("paper").methods
    assert {
        sizes["smaller"].get("head_dropout") for sizes in methods.values() if "smaller" in sizes
    } == {DistilBertConfig().seq_classif_dropout}
    assert not any("head_dropout" in sizes.get("larger", {}) for sizes in methods.values())


def test_embedded_is_the_scale_of_a_task_with_two_and_one_with_three_classes():
    assert set(load("embedded").tasks) == {"tweets", "snippets"}
    assert load("embedded").seeds >= 5
