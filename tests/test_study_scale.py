"""Scale files: those that ship, and what is wrong with those that do not."""

from __future__ import annotations

import statistics
from pathlib import Path
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


EVERY = "every required field"
ONLY = (
    "only deviations, first_seed, may_collapse, methods, name, needs_cuda, pair, rows, seeds, tasks, "
    "training"
)
FIELDS = (
    "recipe fields, of batch_size, beta_1, beta_2, clip_norm, curve_rows, deterministic, dropout, "
    "epochs, epsilon, evaluations_per_epoch, head_dropout, learning_rate, max_length, precision, "
    "schedule, schedule_epochs, tf32, threads, weight_decay"
)
WITH_OBJECTIVE = "methods of smaller or larger with an objective each"
EXCEPTIONS = "exceptions of the scale's tasks, tweets"
AN_OBJECTIVE = 'a table, as { name = "erm" }'
PAIR = "the name of a pair, or a list of two encoders, the larger one first"
NAMES, SEEDS = "a list of at least one name", "a whole number from 1 to 1000"
STEP = "Correct the scale file; docs/guides/scales.md lists every field."


@pytest.mark.parametrize(
    ("old", "new", "got", "wanted"),
    [
        ("seeds = 3", "", "seeds", EVERY),
        (TASKS, "", "tasks", EVERY),
        ("seeds = 3", "seeds = 3\nseedz = 4", "seedz", ONLY),
        ("seeds = 3", "seeds = 3\nrehearsal = true", "rehearsal", ONLY),
        ("batch_size", "batchsize", "batchsize", FIELDS),
        (END, f"{END}\n[training.tasks.tweets]\nseed = 1", "seed", FIELDS),
        ("methods.erm.smaller", "methods.erm.middle", "methods.erm.middle", WITH_OBJECTIVE),
        ('objective = { name = "erm" }', "", "methods.erm.smaller", WITH_OBJECTIVE),
        (
            END,
            f"{END}\n[methods.ls.larger]\nepochs = 1\n[methods.kd.small]\nepochs = 1",
            "methods.kd.small, methods.ls.larger",
            WITH_OBJECTIVE,
        ),
        ("seeds = 3", "seeds = '3'", "seeds = '3'", SEEDS),
        ("seeds = 3", "seeds = 0", "seeds = 0", SEEDS),
        ("seeds = 3", "seeds = 1001", "seeds = 1001", SEEDS),
        ("seeds = 3", "seeds = true", "seeds = True", SEEDS),
        (
            "seeds = 3",
            "seeds = 3\nfirst_seed = -1",
            "first_seed = -1",
            "a whole number from 0 up",
        ),
        (
            "seeds = 3",
            "seeds = 3\nmay_collapse = ['erm', 'x', 'er']",
            "er, x",
            "methods of the scale in may_collapse, of erm",
        ),
        (
            "seeds = 3",
            "seeds = 3\nmay_collapse = 'erm'",
            "may_collapse = 'erm'",
            "a list of methods",
        ),
        ("seeds = 3", "seeds = 3\ndeviations = [1]", "deviations = [1]", "a list of texts"),
        ("seeds = 3", "seeds = 3\nneeds_cuda = 1", "needs_cuda = 1", "true or false"),
        ("[training]", "[rows.tweet]\ntrain = 8\n[training]", "rows.tweet", EXCEPTIONS),
        (END, f"{END}\n[{OWN}.tweet]\nepochs = 2", f"{OWN}.tweet", EXCEPTIONS),
        (END, f"{END}\n[training.tasks.tweet]", "training.tasks.tweet", EXCEPTIONS),
        ('{ name = "erm" }', '"erm"', "methods.erm.smaller.objective = 'erm'", AN_OBJECTIVE),
        (
            END,
            f"{END}\n[{OWN}.tweets]\nobjective = 3",
            f"{OWN}.tweets.objective = 3",
            AN_OBJECTIVE,
        ),
        (END, f"{END}\ntasks = ['tweets']", f"{OWN} = ['tweets']", "a table"),
        (END, f"{END}\ntasks = {{ tweets = 1 }}", f"{OWN}.tweets = 1", "a table"),
        ("[training]\n", "[training]\ntasks = 3\n", "training.tasks = 3", "a table"),
        (
            "[training]\n",
            "[training]\ntasks = { tweets = 3 }\n",
            "training.tasks.tweets = 3",
            "a table",
        ),
        (TASKS, 'tasks = "tweets"', "tasks = 'tweets'", NAMES),
        (TASKS, "tasks = []", "tasks = []", NAMES),
        ("[training]", "rows = 3\n[training]", "rows = 3", "tables [rows.TASK]"),
        ("[training]\n", "training = 3\n[methods.ls]\n", "training = 3", "a table"),
        (
            ERM_S,
            "[methods]\nerm = 3\n[other]",
            "methods = {'erm': 3}",
            "tables [methods.METHOD.SIZE]",
        ),
        (
            ERM_S,
            "[methods.erm]\nsmaller = 3\n[methods.ls.smaller]",
            "methods.erm.smaller = 3",
            "a table",
        ),
        ('"tiny"', '["tiny-2"]', "pair = ['tiny-2']", PAIR),
        ('"tiny"', '["a", "a"]', "pair = ['a', 'a']", PAIR),
        ('"tiny"', '["a", "b", "c"]', "pair = ['a', 'b', 'c']", PAIR),
        ('"tiny"', "3", "pair = 3", PAIR),
    ],
)
def test_a_wrong_file_is_refused_by_its_field(tmp_path, old, new, got, wanted):
    assert refusal(tmp_path, old, new) == ("scale 'own'", got, wanted, STEP)


def refusal(folder: Path, old: str, new: str) -> tuple[str, ...]:
    """The parts of the error on the good file with one text in the place of another."""
    path = folder / "own.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load(str(path))
    return caught.value.who, caught.value.got, caught.value.wanted, caught.value.next_step


def test_a_wrong_file_is_called_by_its_name_if_it_has_one_and_else_by_its_path(tmp_path):
    wanted = "letters, digits, spaces and . _ - alone: it names a family in tags"
    found = refusal(tmp_path, '"own"', '"own/family"')
    assert found == ("scale 'own/family'", "name = 'own/family'", wanted, STEP)
    assert refusal(tmp_path, 'name = "own"', "") == ("scale None", "name", EVERY, STEP)
    got = "Invalid value (at line 5, column 9)"
    who = f"scale '{tmp_path / 'own.toml'}'"
    assert refusal(tmp_path, "seeds = 3", "seeds = ") == (who, got, "TOML", STEP)


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


KNOWN = "one of embedded, mini, paper, or the path of a .toml file"
OF_ITS_OWN = "claims of no paper have scales of their own alone; name paper=..."


@pytest.mark.parametrize(
    ("name", "paper", "wanted", "step"),
    [
        ("huge", [PAPER], KNOWN, "Check the spelling, or the path."),
        ("huge.toml", [PAPER], KNOWN, "Check the spelling, or the path."),
        (str(Path(__file__)), [PAPER], KNOWN, "Check the spelling, or the path."),
        ("embedded", [], "the path of a .toml file", f"Check the spelling, or the path: {OF_ITS_OWN}"),
    ],
)  # fmt: skip
def test_an_unknown_scale_is_refused_with_those_that_are_known(name, paper, wanted, step):
    with pytest.raises(InputError) as caught:
        load(name, *paper)
    error = caught.value
    assert (error.who, error.got) == ("scale", repr(name))
    assert (error.wanted, error.next_step) == (wanted, step)


def test_a_method_that_a_scale_lacks_is_refused_with_those_that_it_has(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD + GOOD[GOOD.index(ERM_S) :].replace("erm.smaller", "ls.larger"))
    with pytest.raises(InputError) as caught:
        load(str(path)).settings(ERM("larger"), "tweets")
    error = caught.value
    assert (error.who, error.got) == ("scale 'own'", "no method erm/larger")
    assert error.wanted == "one of erm/smaller, ls/larger"
    assert error.next_step == "Add its hyper-parameters to the scale file."


def test_a_methods_own_task_goes_before_the_method_that_before_a_task_of_all_and_shared_ones_last(
    tmp_path,
):
    path = tmp_path / "own.toml"
    text = GOOD.replace(
        "batch_size = 8", "batch_size = 8\nepsilon = 1.0\nthreads = 2\ndropout = 0.3"
    )
    text = text.replace(TASKS, 'tasks = ["tweets", "plots"]')
    text = text.replace('{ name = "erm" }', '{ name = "ls", alpha = 0.1 }')
    text += "epsilon = 2.0\n[methods.erm.smaller.tasks.tweets]\nepochs = 7\nobjective = { alpha = 0.4 }\n"
    path.write_text(
        text + "[training.tasks.tweets]\nthreads = 3\nepochs = 9\nlearning_rate = 0.5\n"
    )
    scale = load(str(path))
    shared = {"batch_size": 8, "dropout": 0.3, "epsilon": 2.0, "learning_rate": 1e-3}
    assert scale.settings(ERM("smaller"), "tweets") == {
        **shared, "threads": 3, "epochs": 7, "objective": {"name": "ls", "alpha": 0.4},
    }  # fmt: skip
    assert scale.settings(ERM("smaller"), "plots") == {
        **shared, "threads": 2, "epochs": 1, "objective": {"name": "ls", "alpha": 0.1},
    }  # fmt: skip


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
