"""Scale files: those that ship, and what is wrong with those that do not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from transformers import DistilBertConfig

from kdcheck.errors import InputError
from kdcheck.paper import PAPER, load_tables
from kdcheck.paper.arms import (
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
from kdcheck.study.resources import ScaleDigests
from kdcheck.study.scale import load, shipped_names
from kdcheck.testing import tiny_encoder

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
TASKS, ERM_S, END = 'tasks = ["tweets"]', "[methods.erm.smaller]", "epochs = 1"
OWN = "methods.erm.smaller.tasks"


def test_three_scales_ship():
    assert shipped_names(PAPER) == ["embedded", "mini", "paper"]


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    assert load(str(path)).settings(ERM("smaller"), "tweets")["epochs"] == 1


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("seeds = 3", "", "got seeds; wanted every required field"),
        ("seeds = 3", "seeds = 3\nseedz = 4", "seedz"),
        ("batch_size", "batchsize", "batchsize"),
        ("methods.erm.smaller", "methods.erm.middle", "erm.middle"),
        ('objective = { name = "erm" }', "", "an objective each"),
        ("seeds = 3", "seeds = ", "TOML"),
        (TASKS, "", "got tasks; wanted every required field"),
        ("seeds = 3", "seeds = '3'", "got seeds = '3'; wanted a whole number"),
        (
            "seeds = 3",
            "seeds = 3\nfirst_seed = -1",
            "got first_seed = -1; wanted a whole number from",
        ),
        ("seeds = 3", "seeds = 3\nmay_collapse = ['er']", "got er; wanted methods of the scale"),
        ("seeds = 3", "seeds = 3\nmay_collapse = 'erm'", "wanted a list of methods"),
        ("[training]", "[rows.tweet]\ntrain = 8\n[training]", "got rows.tweet; wanted exceptions"),
        (END, f"{END}\n[{OWN}.tweet]\nepochs = 2", f"got {OWN}.tweet; wanted exceptions of the "),
        (
            '{ name = "erm" }',
            '"erm"',
            "methods.erm.smaller.objective = 'erm'; wanted a table, as {",
        ),
        (
            END,
            f"{END}\n[{OWN}.tweets]\nobjective = 3",
            f"{OWN}.tweets.objective = 3; wanted a table",
        ),
        (END, f"{END}\ntasks = ['tweets']", f"{OWN} = ['tweets']; wanted a table"),
        (END, f"{END}\ntasks = {{ tweets = 1 }}", f"{OWN}.tweets = 1; wanted a table"),
        (TASKS, 'tasks = "tweets"', "got tasks = 'tweets'; wanted a list"),
        (TASKS, "tasks = []", "wanted a list of at least one name"),
        ("[training]", "rows = 3\n[training]", "got rows = 3; wanted tables [rows.TASK]"),
        ("[training]\n", "training = 3\n[methods.ls]\n", "got training = 3; wanted a table"),
        (ERM_S, "[methods]\nerm = 3\n[methods.ls.smaller]", "METHOD.SIZE]"),
        (ERM_S, "[methods.erm]\nsmaller = 3\n[methods.ls.smaller]", "smaller = 3"),
        ('"own"', '"own/family"', "it names a family in tags"),
        ('"tiny"', '["tiny-2"]', "a list of two encoders, the larger one first"),
    ],
)
def test_a_wrong_file_is_refused_by_its_field(tmp_path, old, new, fact):
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load(str(path))
    assert fact in str(caught.value)
    assert "docs/guides/scales.md" in str(caught.value)


def digests_of(tmp_path, pair):
    """Digests of a scale of that pair, where two encoders of one's own are known."""
    known = {"my-bert": tiny_encoder(layers=2), "my-small-bert": tiny_encoder(layers=1)}
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace('"tiny"', pair))
    return ScaleDigests(load(str(path)), SimpleNamespace(load_encoder=known.__getitem__))


def test_a_pair_is_two_encoders_by_name_the_larger_one_first(tmp_path):
    found = digests_of(tmp_path, '["my-bert", "my-small-bert"]')
    assert found.encoder_name("larger") == "my-bert"
    assert found.encoder_name("smaller") == "my-small-bert"
    assert found.encoder("larger") != found.encoder("smaller")


def test_an_unknown_pair_is_refused_with_those_that_are_known(tmp_path):
    text = "got the pair 'my-bert'; wanted one of bert, minilm, tiny"
    with pytest.raises(InputError, match=text):
        digests_of(tmp_path, '"my-bert"')


def test_an_unknown_scale_is_refused_with_those_that_are_known():
    with pytest.raises(InputError, match="embedded, mini, paper"):
        load("huge", PAPER)


def test_claims_of_no_paper_are_told_that_they_need_a_scale_file_or_a_paper():
    with pytest.raises(
        InputError, match=r"wanted the path of a \.toml file\. .*name paper="
    ) as caught:
        load("embedded")
    assert "one of" not in str(caught.value)


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
    settings = load("paper", PAPER).settings(arm, task)
    tables, method = load_tables(), arm.method.removeprefix("tuned_")
    tuned = method != arm.method
    for name in tables.table("12" if tuned else "7").columns:
        ours = settings.get(name, settings["objective"].get(name))
        theirs = tables.setting(task, method, arm.size, name, tuned=tuned)
        if theirs is not None:  # a dash, or one of the rows that our copy lacks
            assert ours == pytest.approx(getattr(theirs, "value", theirs))


def test_distilbert_has_the_head_dropout_of_its_own_configuration_at_the_papers_scale():
    methods = load("paper", PAPER).methods
    assert {
        sizes["smaller"].get("head_dropout") for sizes in methods.values() if "smaller" in sizes
    } == {DistilBertConfig().seq_classif_dropout}
    assert not any("head_dropout" in sizes.get("larger", {}) for sizes in methods.values())


def test_embedded_is_the_scale_of_tasks_with_two_and_with_three_classes():
    assert set(load("embedded", PAPER).tasks) == {"tweets", "snippets", "plots"}
    assert load("embedded", PAPER).seeds >= 5
