"""The hooks of the plugin, called as pytest calls them: bad options and a machine without CUDA."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdcheck import plugin, report
from kdcheck.claims import Arm, Paper, claim, claim_of, nats
from kdcheck.encoders import pair_at_hand
from kdcheck.errors import InputError, TrainingError
from kdcheck.evidence.store import Store
from kdcheck.plugin import config as keys
from kdcheck.plugin import outcome, planning, training
from kdcheck.study import local
from kdcheck.study.seeds import seed_counts
from kdcheck.study.work import Job
from kdcheck.verdict import Plan, Word
from kdcheck.verdict.guards import DegenerateRun, FailedRun, IdenticalDifferences, NotFinite
from kdcheck.verdict.words import REHEARSED
from tests.evidence_doubles import sample_judged

ERM, LS = Arm("erm", "smaller"), Arm("ls", "smaller")
SCALE = """name = "{name}"
pair = "tiny"
tasks = ["a"]
seeds = 4
needs_cuda = {needs_cuda}
[training]
[methods.erm.smaller]
objective = {{ name = "erm" }}
"""
PAPER = Paper(name="invented", title="I", default_scale="usual", gpu_scale="large")
FIELDS = {
    "says": "S.", "where": "W", "holds": "on every task", "margin": nats(0.1), "because": "a test"
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def scales(tmp_path_factory):
    """The scale files of an invented paper, whose claims the tests declare."""
    folder = tmp_path_factory.mktemp("scales")
    for name, needs_cuda in (("little", "false"), ("large", "true"), ("usual", "false")):
        (folder / f"{name}.toml").write_text(SCALE.format(name=name, needs_cuda=needs_cuda))
    object.__setattr__(PAPER, "scales", str(folder))


@claim("c", paper=PAPER, **FIELDS)
def declared(study):
    study.judge(study.entropy(None))


class Item(SimpleNamespace):
    """A test of one claim, with the markers that it was given."""

    def add_marker(self, marker):
        self.markers.append(marker)


def session(**options) -> SimpleNamespace:
    given = {"--scale": None, "-m": "", "--require-gpu": False, "--workers": 0} | options
    given.setdefault("--rehearse", False)
    option = SimpleNamespace(collectonly=False, continue_on_collection_errors=False)
    config = SimpleNamespace(getoption=given.get, option=option, stash={})
    items = [Item(obj=declared, markers=[], config=config)]
    return SimpleNamespace(config=config, items=items, testsfailed=0)


@pytest.fixture
def said_of_stale(tmp_path):
    """What the terminal shows, with its colour, after a collection from claims/ where one is gone."""
    (tmp_path / "claims").mkdir()
    text = '[embedded.gone]\nverdict = "REFUTED"\nbecause = "b"\n'
    (tmp_path / "claims" / "expected.toml").write_text(text)
    (tmp_path / "claims" / "test_c.py").touch()

    def say(*args, deselected=(), testsfailed=0, **options):
        lines = []
        terminal = SimpleNamespace(write_line=lambda text, **colour: lines.append((text, colour)))
        config = SimpleNamespace(
            rootpath=tmp_path, stash={}, args=args, option=SimpleNamespace(**options),
            getoption=lambda name: None, invocation_params=SimpleNamespace(dir=tmp_path),
            pluginmanager=SimpleNamespace(get_plugin=lambda name: terminal),
        )  # fmt: skip
        plugin.pytest_deselected([Item(obj=each, config=config) for each in deselected])
        scale = SimpleNamespace(name="embedded", seeds=5, first_seed=0)
        planning._say_what_is_stale(
            SimpleNamespace(config=config, testsfailed=testsfailed),
            SimpleNamespace(counts=(5,), scale=scale, seeds=(0, 1), claims=[]),
        )
        return lines

    return say


def test_a_stale_expected_verdict_is_one_yellow_line_and_no_warning(said_of_stale):
    text = "kdcheck: expected.toml names claims that do not exist: gone. Remove their entries."
    assert said_of_stale("claims") == [(text, {"yellow": True})]
    assert said_of_stale("claims", deselected=[session]) == [(text, {"yellow": True})]  # no claim


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (["claims/test_c.py"], {}),
        (["claims/test_c.py::test_c"], {}),
        (["claims", "claims/test_c.py"], {}),
        (["claims"], {"deselected": [declared]}),
        (["claims"], {"lf": True}),
        (["claims"], {"ignore": ["claims/test_c.py"]}),
        (["claims"], {"testsfailed": 1}),
    ],
)
def test_claims_that_were_left_out_are_not_taken_for_gone(said_of_stale, args, options):
    assert said_of_stale(*args, **options) == []


def test_fewer_than_no_workers_are_refused_at_once():
    config = SimpleNamespace(
        addinivalue_line=print, add_cleanup=print, getoption={"--workers": -1}.get
    )
    with pytest.raises(pytest.UsageError, match="--workers: got -1; wanted a number of processes"):
        plugin.pytest_configure(config)


def test_an_unknown_scale_is_a_usage_error_in_each_hook_that_may_meet_it_first():
    asked = session(**{"--scale": "huge"})
    with pytest.raises(pytest.UsageError, match="got 'huge'; wanted one of large, little, usual"):
        plugin.pytest_collection_modifyitems(asked.config, asked.items)
    # pytest goes on to this hook after the error of the other, and shows the later one.
    with pytest.raises(pytest.UsageError, match="got 'huge'; wanted one of large, little, usual"):
        plugin.pytest_collection_finish(asked)


def test_a_worker_of_xdist_keeps_its_usage_error_for_the_claims_to_fail_with():
    asked = session(**{"--scale": "huge"})
    asked.config.workerinput = {"workerid": "gw0"}
    plugin.pytest_collection_modifyitems(asked.config, asked.items)
    plugin.pytest_collection_finish(asked)
    request = SimpleNamespace(node=asked.items[0])
    with pytest.raises(pytest.fail.Exception, match="got 'huge'; wanted one of large"):
        plugin.study.__wrapped__(request)


def test_nothing_is_planned_where_a_file_of_claims_could_not_be_imported():
    asked = session(**{"--scale": "huge"})
    asked.testsfailed = 1
    plugin.pytest_collection_finish(asked)
    asked.config.option.continue_on_collection_errors = True
    with pytest.raises(pytest.UsageError, match="huge"):
        plugin.pytest_collection_finish(asked)


def planned(body):
    """What planning a claim with this body gives."""
    body.__kdcheck_claim__ = claim_of(declared)
    first = body.__code__.co_firstlineno
    item = Item(
        obj=body, nodeid="test_x.py::test_c", path=__file__, location=(__file__, first - 1, "c")
    )
    return planning.plan(item)


def test_a_claim_is_planned_once_it_hands_over_its_contrast():
    called = []

    def body(study):
        called.append(study.claim.id)
        study.judge(1.0 - study.entropy(ERM))

    claim = planned(body)
    assert claim.measures.text == "1 - mean_entropy_nats(erm/smaller)"
    assert (claim.id, claim.paper.name, called) == ("c", "invented", ["c"])


def test_a_parametrised_claim_is_planned_with_its_parameters_and_has_them_in_its_id():
    def body(study, size):
        study.judge(study.entropy(Arm("erm", size)))

    body.__kdcheck_claim__ = claim_of(declared)
    call = SimpleNamespace(id="large-one", params={"size": "larger"})
    claim = planning.plan(Item(obj=body, nodeid="test_c[large-one]", callspec=call))
    assert claim.id == "c[large-one]"
    assert claim.measures.text == "mean_entropy_nats(erm/larger)"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "usual"),
        ({"--scale": "little"}, "little"),
        ({"-m": "gpu"}, "large"),
        ({"-m": "gpu", "--scale": "little"}, "little"),
        ({"-m": "not gpu"}, "usual"),
    ],
)
def test_the_scale_is_the_one_asked_for_or_the_papers_own(options, name):
    assert planning.scale_of(session(**options).config, PAPER).name == name


def test_claims_of_a_paper_without_scales_need_one_to_be_named(tmp_path):
    bare = Paper(name="bare", title="B")
    with pytest.raises(pytest.UsageError, match=r"claims of 'bare': got no scale.*FILE.toml"):
        keys.or_usage_error(planning.scale_of, session().config, bare)
    (tmp_path / "mine.toml").write_text(SCALE.format(name="mine", needs_cuda="false"))
    asked = session(**{"--scale": str(tmp_path / "mine.toml")})
    assert planning.scale_of(asked.config, bare).name == "mine"


@claim("d", paper=Paper(name="another", title="A"), **FIELDS)
def of_another_paper(study):
    study.judge(study.entropy(ERM))


def test_claims_of_two_papers_in_one_run_are_a_usage_error_that_names_both():
    asked = session()
    asked.items.append(Item(obj=of_another_paper, markers=[], config=asked.config))
    with pytest.raises(pytest.UsageError, match=r"got claims of another and invented.*by itself"):
        plugin.pytest_collection_finish(asked)


@pytest.mark.parametrize(
    ("options", "seeds", "is_worker"),
    [
        ({}, "4", False),
        ({"--seeds": "7", "--first-seed": 20}, "7", False),
        (
            {
                "--seeds": "until-decided",
                "--retry-failed": True,
                "workerinput": {"workerid": "gw1", "testrunuid": "this run"},
            },
            "until-decided",
            True,
        ),
    ],
)
def test_a_session_is_made_of_the_claims_the_scale_and_what_the_options_say(
    monkeypatch, tmp_path, options, seeds, is_worker
):
    monkeypatch.setattr(planning, "Session", lambda *args, **kwargs: (args, kwargs))
    named = {"--store": tmp_path / "s", "--data-dir": tmp_path / "d", "--model-dir": tmp_path / "m"}
    config = session(**named, **options).config
    config.rootpath = tmp_path
    config.__dict__.update({k: v for k, v in options.items() if not k.startswith("-")})
    claims, scale = [claim_of(declared)], planning.scale_of(config, PAPER)
    (*made_of, places), kwargs = planning._make_session(config, claims, scale, "a lock")
    assert made_of == [claims, scale, seeds]
    first = options.get("--first-seed")
    retry = "this run" if is_worker else ""
    assert kwargs.pop("resources")
    assert kwargs == {
        "is_worker": is_worker, "lock": "a lock", "first_seed": first, "retry_failed": retry
    }  # fmt: skip
    assert (places.store.folder, places.data_dir, places.model_dir) == tuple(named.values())
    assert places.work == tmp_path / "work"
    assert keys.EXECUTOR not in config.stash, "--workers 0 trains here"


@pytest.mark.parametrize("is_worker", [True, False])
def test_workers_are_started_ahead_where_there_is_no_store_yet_but_never_by_a_worker_of_xdist(
    monkeypatch, tmp_path, is_worker
):
    started, ahead = [], []
    monkeypatch.setattr(planning, "Session", lambda *_, **__: None)
    monkeypatch.setattr(local.LocalExecutor, "import_ahead", lambda self: ahead.extend([self]))
    monkeypatch.setattr(
        local.LocalExecutor, "start", lambda self, threads: started.append(self._folder)
    )
    config = session(**{"--store": tmp_path / "s", "--workers": 2}).config
    config.rootpath = tmp_path
    if is_worker:
        config.workerinput = {"workerid": "gw0"}
    scale = planning.scale_of(config, PAPER)
    planning._make_session(config, [], scale, None)
    assert started == ([] if is_worker else [tmp_path / "work"])
    assert ahead == ([] if is_worker else [config.stash[keys.EXECUTOR]])
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mlflow.db").touch()
    planning._make_session(config, [], scale, None)
    assert len(started) == (not is_worker)


@pytest.mark.parametrize("is_planned", [True, False])
def test_what_was_begun_for_claims_that_are_all_skipped_is_ended_at_once(monkeypatch, is_planned):
    asked, closed = session(), []
    asked.config.stash[keys.EXECUTOR] = SimpleNamespace(close=lambda: closed.append(1))

    def plan_all(session, items):
        if is_planned:
            session.config.stash[keys.SESSION] = "planned"

    monkeypatch.setattr(planning, "plan_all", plan_all)
    plugin.pytest_collection_finish(asked)
    assert closed == ([] if is_planned else [1])


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ({}, True),
        ({"--workers": 2}, True),
        ({"--workers": 0}, False),
        ({"-k": "entropy"}, False),
        ({"-m": "not gpu"}, False),
        ({"--store": "here"}, False),
        ({"--store": "ftp://nowhere"}, False),
        ({"collectonly": True}, False),
        ({"workerinput": {"workerid": "gw0"}}, False),
    ],
    ids=str,
)
def test_imports_of_workers_begin_before_planning_where_claims_are_sure_to_be_trained(
    monkeypatch, tmp_path, options, begins
):
    ahead = []
    monkeypatch.setattr(local.LocalExecutor, "import_ahead", lambda self: ahead.extend([self]))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mlflow.db").touch()
    monkeypatch.chdir(tmp_path)
    given = {"--store": tmp_path / "new", "--workers": None} | options
    asked = session(**given)
    asked.config.rootpath = tmp_path
    asked.config.option.collectonly = given.pop("collectonly", False)
    if "workerinput" in given:
        asked.config.workerinput = given["workerinput"]
    plugin.pytest_collection_modifyitems(asked.config, asked.items)
    assert len(ahead) == begins
    assert (keys.EXECUTOR in asked.config.stash) == begins
    if begins:  # the session's workers are those for which it is imported
        monkeypatch.setattr(planning, "Session", lambda *_, **__: None)
        monkeypatch.setattr(local.LocalExecutor, "start", lambda *_: None)
        planning._make_session(asked.config, [], planning.scale_of(asked.config, PAPER), None)
        assert asked.config.stash[keys.EXECUTOR] is ahead[0]


@pytest.mark.parametrize(
    ("contrast", "fact"),
    [
        (lambda study: 3.0, "claim 'c': got the contrast 3.0; wanted a contrast that"),
        (lambda study: study.entropy(ERM, split="train"), "got split='train'; wanted one of"),
        (lambda study: study.entropy(LS) > 1.0, "TypeError: '>' not supported between"),
        (lambda study: study.entropy("erm"), "AttributeError: 'str' object has no attribute"),
        (lambda study: pytest.skip("later"), "Skipped: later"),
    ],
)
def test_a_slip_in_a_claim_is_a_usage_error_with_the_node_id(contrast, fact):
    with pytest.raises(pytest.UsageError) as caught:
        planned(lambda study: study.judge(contrast(study)))
    assert str(caught.value).startswith("kdcheck: test_x.py::test_c: ")
    assert fact in str(caught.value)


def slip(study):
    gap = study.entropy(LS) - study.entropy(ERM)
    study.judge(gap < 0)


def asks_for_more(study, tmp_path):
    study.judge(study.entropy(ERM))


@pytest.mark.parametrize(
    ("body", "below", "fact"),
    [(slip, 2, "'<' not supported"), (asks_for_more, 0, ".*'tmp_path'")],
)
def test_a_slip_in_a_claim_is_a_usage_error_with_its_line(body, below, fact):
    line = body.__code__.co_firstlineno + below
    with pytest.raises(pytest.UsageError, match=f"{__file__}:{line}: TypeError: {fact}"):
        planned(body)


def test_a_test_that_asks_for_a_study_and_is_no_claim_fails():
    planning.require_claim(Item(obj=declared, nodeid="test_a"))
    with pytest.raises(pytest.fail.Exception, match="test_b: got a test that is no claim"):
        planning.require_claim(Item(obj=session, nodeid="test_b"))


def test_without_cuda_the_papers_claims_are_marked_and_skipped_with_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(local, "cuda_devices", list)
    asked = session(**{"-m": "gpu"})
    plugin.pytest_collection_modifyitems(asked.config, asked.items)
    plugin.pytest_collection_finish(asked)
    gpu, skip = asked.items[0].markers
    assert (gpu.name, skip.name) == ("gpu", "skip")
    assert "needs a CUDA device and none is visible" in skip.kwargs["reason"]
    assert skip.kwargs["reason"] in capsys.readouterr().out


@pytest.mark.parametrize("marker", ["gpu", ""], ids=["", "though the scale needs none"])
def test_without_cuda_an_error_is_what_require_gpu_asks_for(monkeypatch, marker):
    monkeypatch.setattr(local, "cuda_devices", list)
    with pytest.raises(pytest.UsageError, match=r"none is visible.* leave out --require-gpu to"):
        plugin.pytest_collection_finish(session(**{"-m": marker, "--require-gpu": True}))


@pytest.mark.parametrize("seeds", ["21", "0", "many"])
def test_more_seeds_than_are_planned_are_refused(seeds):
    with pytest.raises(InputError, match=f"seeds: got '{seeds}'; wanted a number from 1 to 20, or"):
        seed_counts(seeds, Plan.of(5))


def test_reruns_are_refused():
    asked = session()
    asked.config.option.reruns = 3
    with pytest.raises(pytest.UsageError, match="a claim that is tried until it passes is not"):
        plugin.pytest_collection_finish(asked)


@pytest.fixture
def shown():
    """Messages of warnings that were shown, where a warning is an error as in our own tests."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        yield lambda: [str(each.message) for each in caught]
        with pytest.raises(DeprecationWarning):  # the filter is back
            warnings.warn("of a test", DeprecationWarning, stacklevel=1)


def of_the_hub(*_args):
    warnings.warn("for those who write the library", DeprecationWarning, stacklevel=1)
    warnings.warn("the hub is asked without a token", FutureWarning, stacklevel=1)


def test_a_warning_while_the_study_is_planned_is_shown_and_ends_nothing(
    monkeypatch, shown, tmp_path
):
    monkeypatch.setattr(planning, "plan", of_the_hub)
    monkeypatch.setattr(planning, "_make_session", lambda *_: None)
    monkeypatch.setattr(planning, "_read_lock", lambda *_: None)
    monkeypatch.setattr(planning, "_say_what_is_stale", lambda *_: None)
    asked = session()
    asked.config.rootpath = tmp_path
    plugin.pytest_collection_finish(asked)
    assert shown() == ["the hub is asked without a token"]


@pytest.mark.parametrize("workerinput", [{}, {"workerinput": {"workerid": "gw0"}}])
def test_a_warning_while_this_process_trains_is_shown_and_ends_nothing(
    monkeypatch, shown, workerinput
):
    monkeypatch.setattr(training, "announce", lambda _: None)
    stash = {keys.SESSION: SimpleNamespace(train=of_the_hub, failures=list)}
    hook = plugin.pytest_runtestloop(
        SimpleNamespace(config=SimpleNamespace(stash=stash, **workerinput))
    )
    next(hook)
    assert shown() == ["the hub is asked without a token"]
    with pytest.raises(DeprecationWarning):  # the tests of the session have their own filters
        of_the_hub()
    hook.close()


@pytest.mark.parametrize(
    ("word", "outcome", "shown_as"),
    [
        ("UNDECIDED", "passed", ("undecided", "u", ("UNDECIDED", {"yellow": True}))),
        ("NOT_TESTABLE", "passed", ("not testable", "t", ("NOT_TESTABLE", {"yellow": True}))),
        ("NOT_TESTABLE", "failed", None),  # another verdict was expected
        ("INVALID", "failed", ("error", "E", ("INVALID", {"red": True}))),
        ("UNDECIDED", "failed", None),  # --undecided-fails, or another verdict was expected
        ("INVALID", "passed", None),  # expected
        ("SUPPORTED", "passed", None),
        ("REFUTED", "failed", None),
        (None, "passed", None),  # no claim
    ],
)
def test_an_undecided_claim_counts_neither_as_passed_nor_as_failed(word, outcome, shown_as):
    report = SimpleNamespace(when="call", passed=outcome == "passed", failed=outcome == "failed")
    if word:
        report.kdcheck_word = word
    assert plugin.pytest_report_teststatus(report) == shown_as
    report.when = "teardown"
    assert plugin.pytest_report_teststatus(report) is None


def test_the_word_of_a_verdict_travels_on_the_report_of_the_test_itself():
    config = SimpleNamespace(getoption={"--rehearse": False}.get)
    item = SimpleNamespace(stash={keys.WORD: "REFUTED"}, config=config)
    for when, word in (("setup", None), ("call", "REFUTED")):
        hook = plugin.pytest_runtest_makereport(item, SimpleNamespace(when=when))
        next(hook)
        with pytest.raises(StopIteration) as ended:
            hook.send(SimpleNamespace())
        assert getattr(ended.value.value, "kdcheck_word", None) == word


@pytest.fixture
def trained(monkeypatch):
    """Who trained for a run of pytest, and what it said before."""
    monkeypatch.setattr(training, "announce", lambda session: done.append("announced"))
    monkeypatch.setattr(training, "cuda_devices", lambda: ("cuda:0", "cuda:1", "cuda:2"))
    monkeypatch.setattr(
        training, "work", lambda job, store, who, **_: done.append((who.name, who.device))
    )
    monkeypatch.setattr(training, "end_with_parent", lambda: done.append("ends with its parent"))
    done: list = []

    def run(executor=None, **config):
        done.clear()
        places = SimpleNamespace(work=SimpleNamespace(glob=lambda _: ()))
        job = Job(orders=(), places=places)
        store = SimpleNamespace(digests=set)
        made = SimpleNamespace(
            train=lambda train: train(job, store), failures=list, read_ahead=done.extend
        )
        stash = {keys.SESSION: made}
        if executor:
            stash[keys.EXECUTOR] = SimpleNamespace(
                run=lambda job, _, meanwhile: meanwhile([executor])
            )
        training.train(SimpleNamespace(stash=stash, **config))
        return done

    return run


def test_this_process_trains_or_its_workers_or_those_of_xdist_each_on_its_device(trained):
    assert trained() == ["announced", ("main", None)]
    assert trained(executor="processes") == ["announced", "processes"]
    orphaned = "ends with its parent"
    assert trained(workerinput={"workerid": "gw4"}) == [orphaned, ("gw4", "cuda:1")]
    assert trained(workerinput={"workerid": "gw2"}) == [orphaned, ("gw2", "cuda:2")]


def test_a_recipe_that_cannot_be_trained_is_a_usage_error_which_a_worker_of_xdist_keeps(
    monkeypatch,
):
    monkeypatch.setattr(training, "announce", lambda _: None)
    monkeypatch.setattr(training, "end_with_parent", lambda: None)

    def fails(_):
        raise TrainingError("step 3", "a loss that is not finite", "finite ones", "Stop.")

    def hook(**config):
        stash = {keys.SESSION: SimpleNamespace(train=fails)}
        session = SimpleNamespace(config=SimpleNamespace(stash=stash, **config))
        next(plugin.pytest_runtestloop(session))
        return stash

    with pytest.raises(pytest.UsageError, match="kdcheck: step 3: got a loss"):
        hook()
    assert "step 3: got a loss" in hook(workerinput={"workerid": "gw0"})[keys.REFUSED]


def announced(**changes) -> str:
    session = SimpleNamespace(
        graph=SimpleNamespace(recipes=dict.fromkeys("abcdef")), missing=lambda: 2, counts=(5,), lost={},
        places=SimpleNamespace(work=Path("work")),
        scale=SimpleNamespace(name="usual", tasks=("x", "y", "z")), claims=[1, 2], registration="lock ab, attempt 1",
    )  # fmt: skip
    session.__dict__.update(changes)
    training.announce(session)
    return session


def test_what_is_about_to_be_trained_is_said_before(capsys):
    announced()
    told = "kdcheck: usual scale, 3 tasks, 5 seeds; 2 claims; 6 runs (4 in the store)\n"
    assert capsys.readouterr().out.lstrip() == f"{told}kdcheck: lock ab, attempt 1\n"
    announced(counts=(3, 5))
    assert "3 tasks, until decided; 2 claims" in capsys.readouterr().out
    announced(lost={"e": "its loss was not finite"})
    assert "6 runs (3 in the store, 1 that failed before)" in capsys.readouterr().out


def test_a_work_folder_on_a_network_file_system_is_warned_about_with_the_way_out(
    monkeypatch, capsys
):
    monkeypatch.setattr(training, "network_kind", {Path("work"): "nfs4"}.get)
    announced()
    told = capsys.readouterr().out
    assert "in work are on a network file system (nfs4), where locks may hold nobody back" in told
    assert "run pytest in a folder of a local disk" in told


def test_what_failed_is_named_and_how_it_is_tried_again(capsys):
    training.say_what_failed(SimpleNamespace(failures=list))
    assert capsys.readouterr().out == ""
    told = [f"ls/smaller on words with seed {seed}: not finite" for seed in range(7)]
    training.say_what_failed(SimpleNamespace(failures=lambda: told))
    *named, last = capsys.readouterr().out.splitlines()
    assert named == [f"kdcheck: failed: {each}" for each in told[:5]]
    assert last.startswith("kdcheck: 2 more; claims that need them are INVALID; --retry-failed")


class Terminal:
    """What pytest's terminal reporter was told to write."""

    def __init__(self):
        self.text = ""

    def section(self, title, sep):
        self.text += f"{title}\n"

    def write(self, text, **colour):
        self.text += text

    def write_line(self, text, **colour):
        self.text += f"{text}\n"


@pytest.mark.parametrize("has_session", [True, False], ids=["session", "controller of xdist"])
def test_the_page_holds_the_claims_of_that_paper_and_scale_in_the_store_that_was_named(
    monkeypatch, tmp_path, has_session
):
    written, opened, reaped, described = [], [], [], []
    families = {("one", "small"): ("a", "b"), ("one", "large"): "c", ("other", "small"): "d"}
    store = SimpleNamespace(
        claims=lambda *, paper, scale: families[paper, scale],
        reap=lambda: reaped.append(1),
        describe_claims=lambda: described.append(1),
    )
    monkeypatch.setattr(Store, "open", lambda place: opened.append(place) or store)
    monkeypatch.setattr(report, "build", lambda claims, source: (claims, source))
    monkeypatch.setattr(
        report, "write", lambda record, page: written.append((record, page)) or [page]
    )
    monkeypatch.setattr(report, "write_tables", lambda record, page: [page.with_name("t.html")])
    options = {"--store": str(tmp_path / "named"), "--report": tmp_path / "my.html"}
    stash = {keys.SESSION: SimpleNamespace(store=store, evidence=store)} if has_session else {}
    config = SimpleNamespace(rootpath=tmp_path, getoption=options.get, stash=stash)
    rows = [json.dumps(outcome.row(sample_judged(each))) for each in ("b", "a")]
    terminal = Terminal()
    outcome.summarise(terminal, rows, config)
    assert written == [((("a", "b"), store), tmp_path / "my.html")]
    assert [place.folder for place in opened] == [tmp_path / "named"] * (not has_session)
    assert len(reaped) == len(opened)
    assert described == [1]
    title, learned, *board, page, tables, evidence = terminal.text.splitlines()
    assert title == "verdicts at small scale"
    assert learned.startswith("2 of 2 claims decided: 2 SUPPORTED; ")
    assert [line.split()[-1] for line in board if "3 seeds" in line] == ["a", "b"]
    assert (page, tables) == ("page: my.html", "tables: t.html")
    assert evidence == "evidence: kdcheck ui --store named"


@pytest.mark.parametrize(
    ("page", "fact"),
    [
        ("page.pdf", "wanted a file whose name ends in .html"),
        ("folder.html", "wanted a file whose name ends in .html"),
        ("file/page.html", "Name one in a folder that you may write to"),
    ],
)
def test_a_page_that_could_not_be_written_is_a_usage_error_before_anything_is_planned(
    tmp_path, monkeypatch, page, fact
):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(planning, "plan", None)
    asked = session(**{"--report": tmp_path / page})
    # The first hook alone is called in the controller of pytest-xdist.
    for hook in (plugin.pytest_collection, plugin.pytest_collection_finish):
        with pytest.raises(pytest.UsageError, match=f"--report.*{fact}"):
            hook(asked)


def test_a_root_folder_that_takes_no_page_is_a_usage_error_too(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "plan", None)
    asked = session()
    asked.config.rootpath = tmp_path / "file"
    asked.config.rootpath.write_text("mine")
    plugin.pytest_collection(asked)  # nobody asked for a page yet
    with pytest.raises(pytest.UsageError, match=r"--report .*kdcheck-report\.html"):
        plugin.pytest_collection_finish(asked)


def test_a_page_that_cannot_be_written_in_the_end_is_a_red_line_and_a_failing_exit(tmp_path):
    """The store cannot be opened, as where pytest-xdist had trained; its password is not printed."""
    shown = json.dumps(outcome.row(sample_judged()))
    test = tmp_path / "test_judged.py"
    test.write_text(
        f"def test_judged(record_property):\n    record_property('kdcheck', {shown!r})\n"
    )
    command = (
        f"-m pytest {test} --color=yes -p no:cacheprovider --store http://me:secret@127.0.0.1:9"
    )
    told = subprocess.PIPE
    result = subprocess.run(
        [sys.executable, *command.split()],
        check=False,
        cwd=tmp_path,
        stdout=told,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    red = next(line for line in result.stdout.splitlines() if "page: not written" in line)
    for fact in ("\x1b[31m", "store http://127.0.0.1:9, connect: got", "Start it (mlflow server)"):
        assert fact in red
    for fact in ("evidence: kdcheck ui --store http://127.0.0.1:9", "1 passed"):
        assert fact in result.stdout
    for fact in ("secret", "Traceback"):
        assert fact not in result.stdout


def rehearsing(word, fault=None):
    verdict = replace(
        sample_judged().verdict, word=Word(word), fault=fault, exploratory=(REHEARSED,)
    )
    scale = SimpleNamespace(rehearsal=True, name="rehearsal of s", seeds=2, first_seed=1000)
    judged = replace(sample_judged(), verdict=verdict)
    recorded = []
    made = SimpleNamespace(
        scale=scale, counts=(2,), seeds=(1000,), judged=lambda claim: judged,
        verdicts={judged.claim.id: verdict}, record=recorded.append,
    )  # fmt: skip
    config = SimpleNamespace(getoption={"--undecided-fails": True}.get, rootpath=Path("nowhere"))
    item = SimpleNamespace(config=config, stash={}, user_properties=[])
    outcome.judge_item(item, made, judged.claim)
    return recorded


@pytest.mark.parametrize("word", ["REFUTED", "EQUIVALENT", "UNDECIDED", "SUPPORTED"])
def test_no_word_fails_a_rehearsal(word):
    assert len(rehearsing(word)) == 1


def test_too_few_rows_do_not_fail_a_rehearsal_and_broken_machinery_does():
    rehearsing("INVALID", DegenerateRun("one class only on 'mrpc'"))
    rehearsing("INVALID", IdenticalDifferences("all paired differences are equal"))
    with pytest.raises(pytest.fail.Exception, match="A value is not finite"):
        rehearsing("INVALID", NotFinite("a value is not finite on 'a'"))
    with pytest.raises(pytest.fail.Exception, match="could not be trained"):
        rehearsing("INVALID", FailedRun("not trained is ls/smaller on 'a', seed 1000: diverged"))
    with pytest.raises(pytest.fail.Exception, match="NOT_RUN"):
        rehearsing("NOT_RUN")


def test_a_rehearsed_claim_has_a_status_of_its_own_and_never_passed():
    report = SimpleNamespace(
        when="call", passed=True, failed=False, kdcheck_word="SUPPORTED", kdcheck_rehearsed=True
    )
    category, _, (shown, _) = plugin.pytest_report_teststatus(report)
    assert (category, shown) == ("rehearsed", "SUPPORTED REHEARSAL")


def test_a_rehearsal_has_a_store_of_its_own_unless_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("KDCHECK_STORE", str(tmp_path / "evidence"))
    options = {"--rehearse": True}
    config = SimpleNamespace(getoption=options.get, rootpath=tmp_path)
    assert keys.places_of(config).store.folder == tmp_path / ".kdcheck" / "rehearsal" / "store"
    options["--store"] = tmp_path / "named"
    assert keys.places_of(config).store.folder == tmp_path / "named"
    config = SimpleNamespace(getoption={}.get, rootpath=tmp_path)
    assert keys.places_of(config).store.folder == tmp_path / "evidence"


def test_a_scale_for_cuda_is_rehearsed_without_it():
    asked = session(**{"--scale": "large", "--rehearse": True})
    assert not planning.scale_of(asked.config, PAPER).needs_cuda
    plugin.pytest_collection_modifyitems(asked.config, asked.items)
    assert asked.items[0].markers == []


@pytest.mark.parametrize(("devices", "emulated"), [((), ["bfloat16"]), (("cuda:0",), ())])
def test_a_rehearsal_leaves_precisions_that_only_a_cuda_device_is_quick_in(
    devices, emulated, monkeypatch, tmp_path
):
    monkeypatch.setattr(planning.local, "cuda_devices", lambda: devices)
    monkeypatch.setattr(planning, "emulated_on_cpu", lambda: ["bfloat16"])
    monkeypatch.setattr(planning, "rehearsal_of", lambda *given: given)
    scale, resources = SimpleNamespace(pair="bert"), SimpleNamespace(load_task="load")
    places = SimpleNamespace(model_dir=tmp_path)
    assert planning._rehearsed(scale, places, resources) == (scale, "minilm", "load", emulated)


def test_the_pair_is_the_scales_own_where_it_is_at_hand(tmp_path):
    assert pair_at_hand("bert", None) == "minilm"
    (tmp_path / "bert-base-uncased").mkdir()
    assert pair_at_hand("bert", tmp_path) == "minilm", "one of two is no pair"
    (tmp_path / "distilbert-base-uncased").mkdir()
    assert pair_at_hand("bert", tmp_path) == "bert"
    assert pair_at_hand("narrow", None) == "narrow"
    assert pair_at_hand(("my", "own"), tmp_path) == ("my", "own")
