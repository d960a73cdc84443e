"""Scale files: those that ship, and what is wrong with those that do not."""

from __future__ import annotations

import statistics
from types import SimpleNamespace

import pytest
from transformers import DistilBertConfig

from kdcheck.claims import Arm
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
from kdcheck.testing import tiny_encoder, tiny_task

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
    resources = SimpleNamespace(load_encoder=known.__getitem__, load_task=lambda name: tiny_task())
    return ScaleDigests(load(str(path)), resources)


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
        *(ERM("smaller"), ERM("larger"), LS("smaller"), LS("larger")),
        *(STANDARD_KD, SELF_KD, REVERSE_KD, TUNED_LS("smaller"), TUNED_LS("larger")),
        *(TUNED_STANDARD_KD, TUNED_SELF_KD, TUNED_REVERSE_KD),
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


@pytest.mark.parametrize("task", ["mrpc", "qnli", "sst2"])
@pytest.mark.parametrize("name", ["alpha", "learning_rate", "epochs"])
def test_self_kd_has_standard_kds_settings_where_our_copy_of_table_7_lacks_its_own(task, name):
    assert load_tables().setting(task, "self_kd", "smaller", name) is None
    standard, itself = (load("paper", PAPER).settings(arm, task) for arm in (STANDARD_KD, SELF_KD))
    assert itself.get(name, itself["objective"].get(name)) == standard.get(
        name, standard["objective"].get(name)
    )


def test_what_the_paper_has_no_settings_for_is_named_as_a_deviation_at_its_scale():
    scale, named = load("paper", PAPER), {arm.method for arm in PAPER.arms}
    own = {m for m in scale.methods if not any(m in row for row in rows_of_settings())}
    own -= {m for m in scale.methods if m.startswith("tuned_")}
    assert own == {"virtual_teacher", "erm_longer", "erm_poorly_trained"} <= named
    assert any(all(word in text for word in ("Teacher-free", "poorly trained", "longer")) for text in scale.deviations)  # fmt: skip


def rows_of_settings():
    """Methods of Table 7's rows, as task/size/method."""
    return {row.rpartition("/")[2] for row in load_tables().table(7).cells}


LOWER_MEDIANS = [
    *(LS("smaller"), LS("larger"), STANDARD_KD, SELF_KD, REVERSE_KD),
    *(TUNED_LS("smaller"), TUNED_LS("larger")),
    *(TUNED_STANDARD_KD, TUNED_SELF_KD, TUNED_REVERSE_KD),
]


@pytest.mark.parametrize("arm", LOWER_MEDIANS, ids=lambda arm: f"{arm.method}/{arm.size}")
def test_embedded_weights_and_temperatures_are_lower_medians_of_what_the_tables_print(arm):
    method = arm.method.removeprefix("tuned_")
    table = load_tables().table(12 if method != arm.method else 7)
    rows = [
        dict(zip(table.columns, row, strict=True))
        for name, row in table.cells.items()
        if name.endswith(f"/{arm.size}/{method}")
    ]
    assert len(rows) == (1 if arm == SELF_KD else 4)
    ours = load("embedded", PAPER).methods[arm.method][arm.size]["objective"]
    for name in ("alpha", "temperature"):
        printed = [row[name].value for row in rows if row.get(name)]
        assert ours.get(name) == (statistics.median_low(printed) if printed else None), name


def test_every_weight_of_the_embedded_scale_is_a_lower_median_or_has_none_in_the_paper():
    embedded = load("embedded", PAPER).methods
    weighed = {
        (method, size)
        for method, sizes in embedded.items()
        for size, settings in sizes.items()
        if "alpha" in settings["objective"]
    }
    assert weighed == {(arm.method, arm.size) for arm in LOWER_MEDIANS} | {
        ("virtual_teacher", "smaller")
    }


@pytest.mark.parametrize("task", ["tweets", "snippets", "plots"])
def test_embedded_trains_every_method_and_teacher_at_one_rate_and_as_long(task):
    scale = load("embedded", PAPER)
    given = {
        method: {(found["learning_rate"], found["epochs"]) for found in each}
        for method, sizes in scale.methods.items()
        if (each := [scale.settings(Arm(method, size), task) for size in sizes])
    }
    (common,) = given["erm"]
    # One trains longer and one learns badly: that is what they are for.
    assert {method for method, found in given.items() if found != {common}} == {
        "erm_longer",
        "erm_poorly_trained",
    }
    ((rate, longer),) = given["erm_longer"]
    assert rate == common[0]
    assert longer > common[1]
    ((rate, shorter),) = given["erm_poorly_trained"]
    assert rate * shorter < common[0] * common[1]


def test_embedded_has_tasks_of_two_and_of_three_classes_and_seeds_that_nobody_tuned_on():
    scale = load("embedded", PAPER)
    assert set(scale.tasks) == {"tweets", "snippets", "plots"}
    assert scale.seeds >= 5
    assert 0 < scale.first_seed < 1000 - 4 * scale.seeds
