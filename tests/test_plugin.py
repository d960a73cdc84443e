"""The hooks of the plugin, called as pytest calls them: bad options and a machine without CUDA."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
from kdcheck.study.samples import sample_judged

from kdcheck import plugin
from kdcheck.claims import claim, claim_of, nats
from kdcheck.paper.arms import ERM, LS
from kdcheck.plugin import outcome, training
from kdcheck.study import local


@claim("c", says="S.", where="Table 2", holds="on every task", margin=nats(0.1), because="a test")
def declared(study):
    study.judge(study.entropy(None))


class Item(SimpleNamespace):
    """A test of one claim, with the markers that it was given."""

    def add_marker(self, marker):
        self.markers.append(marker)


def session(**options) -> SimpleNamespace:
    given = {"--scale": None, "-m": "", "--require-gpu": False} | options
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
        scale = SimpleNamespace(name="embedded", seeds=5)
        plugin._say_what_is_stale(
            SimpleNamespace(config=config, testsfailed=testsfailed),
            SimpleNamespace(counts=(5,), scale=scale, questions=[]),
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
    config = SimpleNamespace(addinivalue_line=print, getoption={"--workers": -1}.get)
    with pytest.raises(pytest.UsageError, match="--workers: got -1; wanted a number of processes"):
        plugin.pytest_configure(config)


def test_an_unknown_scale_is_a_usage_error_in_each_hook_that_may_meet_it_first():
    asked = session(**{"--scale": "huge"})
    with pytest.raises(pytest.UsageError, match="got 'huge'; wanted one of embedded, mini, paper"):
        plugin.pytest_collection_modifyitems(asked.config, asked.items)
    # pytest goes on to this hook after the error of the other, and shows the later one.
    with pytest.raises(pytest.UsageError, match="got 'huge'; wanted one of embedded, mini, paper"):
        plugin.pytest_collection_finish(asked)


def test_a_worker_of_xdist_keeps_its_usage_error_for_the_claims_to_fail_with():
    asked = session(**{"--scale": "huge"})
    asked.config.workerinput = {"workerid": "gw0"}
    plugin.pytest_collection_modifyitems(asked.config, asked.items)
    plugin.pytest_collection_finish(asked)
    request = SimpleNamespace(node=asked.items[0])
    with pytest.raises(pytest.fail.Exception, match="got 'huge'; wanted one of embedded"):
        plugin.study.__wrapped__(request)


def test_nothing_is_planned_where_a_file_of_claims_could_not_be_imported():
    asked = session(**{"--scale": "huge"})
    asked.testsfailed = 1
    plugin.pytest_collection_finish(asked)
    asked.config.option.continue_on_collection_errors = True
    with pytest.raises(pytest.UsageError, match="huge"):
        plugin.pytest_collection_finish(asked)


def test_require_gpu_holds_at_a_scale_that_needs_none(monkeypatch):
    monkeypatch.setattr(local, "cuda_devices", tuple)
    with pytest.raises(pytest.UsageError, match="none is visible"):
        plugin.pytest_collection_finish(session(**{"--require-gpu": True}))


def planned(body):
    """What planning a claim with this body gives."""
    body.__kdcheck_claim__ = claim_of(declared)
    first = body.__code__.co_firstlineno
    item = Item(
        obj=body, nodeid="test_x.py::test_c", path=__file__, location=(__file__, first - 1, "c")
    )
    return plugin._plan(item)


def test_a_claim_is_planned_once_it_hands_over_its_contrast():
    question = planned(lambda study: study.judge(1.0 - study.entropy(ERM("smaller"))))
    assert question.contrast.text == "1 - mean_entropy_nats(erm/smaller)"


@pytest.mark.parametrize(
    ("contrast", "fact"),
    [
        (lambda study: study.number(3), "claim 'c': got the contrast 3; wanted a contrast that"),
        (
            lambda study: study.entropy(ERM("smaller"), split="train"),
            "claim 'c': got split='train'",
        ),
        (lambda study: study.entropy(LS("smaller")) > 1.0, "TypeError: '>' not supported between"),
        (lambda study: study.entropy("erm"), "AttributeError: 'str' object has no attribute"),
        (lambda study: pytest.skip("later"), "Skipped: later"),
    ],
)
def test_a_slip_in_a_claim_is_a_usage_error_with_the_node_id(contrast, fact):
    with pytest.raises(pytest.UsageError) as caught:
        planned(lambda study: study.judge(contrast(study)))
    assert str(caught.value).startswith("kdcheck: test_x.py::test_c: ")
    assert fact in str(caught.value)


def test_a_slip_in_a_claim_is_a_usage_error_with_its_line():
    def slip(study):
        gap = study.entropy(LS("smaller")) - study.entropy(ERM("smaller"))
        study.judge(gap < 0)

    line = slip.__code__.co_firstlineno + 2
    with pytest.raises(pytest.UsageError, match=f"{__file__}:{line}: TypeError: '<' not supported"):
        planned(slip)


def test_a_claim_that_asks_for_another_fixture_is_a_usage_error_with_its_line():
    def asks(study, tmp_path):
        study.judge(study.entropy(ERM("smaller")))

    line = asks.__code__.co_firstlineno
    with pytest.raises(pytest.UsageError, match=f"{__file__}:{line}: TypeError: .*'tmp_path'"):
        planned(asks)


def test_a_test_that_asks_for_a_study_and_is_no_claim_fails():
    plugin._require_claim(Item(obj=declared, nodeid="test_a"))
    with pytest.raises(pytest.fail.Exception, match="test_b: got a test that is no claim"):
        plugin._require_claim(Item(obj=session, nodeid="test_b"))


def test_without_cuda_the_papers_claims_are_marked_and_skipped_with_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(local, "cuda_devices", list)
    asked = session(**{"-m": "gpu"})
    plugin.pytest_collection_modifyitems(asked.config, asked.items)
    plugin.pytest_collection_finish(asked)
    gpu, skip = asked.items[0].markers
    assert (gpu.name, skip.name) == ("gpu", "skip")
    assert "needs a CUDA device and none is visible" in skip.kwargs["reason"]
    assert skip.kwargs["reason"] in capsys.readouterr().out


def test_without_cuda_an_error_is_what_require_gpu_asks_for(monkeypatch):
    monkeypatch.setattr(local, "cuda_devices", list)
    with pytest.raises(pytest.UsageError, match="leave out --require-gpu to skip them"):
        plugin.pytest_collection_finish(session(**{"-m": "gpu", "--require-gpu": True}))


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
    monkeypatch.setattr(plugin, "_plan", of_the_hub)
    monkeypatch.setattr(plugin, "_make_session", lambda *_: None)
    monkeypatch.setattr(plugin, "_say_what_is_stale", lambda *_: None)
    asked = session()
    asked.config.rootpath = tmp_path
    plugin.pytest_collection_finish(asked)
    assert shown() == ["the hub is asked without a token"]


@pytest.mark.parametrize("workerinput", [{}, {"workerinput": {"workerid": "gw0"}}])
def test_a_warning_while_this_process_trains_is_shown_and_ends_nothing(
    monkeypatch, shown, workerinput
):
    monkeypatch.setattr(training, "announce", lambda _: None)
    stash = {plugin.SESSION: SimpleNamespace(train=of_the_hub)}
    hook = plugin.pytest_runtestloop(
        SimpleNamespace(config=SimpleNamespace(stash=stash, **workerinput))
    )
    next(hook)
    assert shown() == ["the hub is asked without a token"]
    with pytest.raises(DeprecationWarning):  # the tests of the session have their own filters
        of_the_hub()
    hook.close()


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
    monkeypatch.setattr(plugin, "_plan", None)
    asked = session(**{"--report": tmp_path / page})
    # The first hook alone is called in the controller of pytest-xdist.
    for hook in (plugin.pytest_collection, plugin.pytest_collection_finish):
        with pytest.raises(pytest.UsageError, match=f"--report.*{fact}"):
            hook(asked)


def test_a_root_folder_that_takes_no_page_is_a_usage_error_too(tmp_path, monkeypatch):
    monkeypatch.setattr(plugin, "_plan", None)
    asked = session()
    asked.config.rootpath = tmp_path / "file"
    asked.config.rootpath.write_text("mine")
    plugin.pytest_collection(asked)  # nobody asked for a page yet
    with pytest.raises(pytest.UsageError, match=r"--report .*kdcheck-report\.html"):
        plugin.pytest_collection_finish(asked)


def test_a_page_that_cannot_be_written_in_the_end_is_a_red_line_and_a_failing_exit(tmp_path):
    """The store cannot be opened, as where pytest-xdist had trained; its password is not printed."""
    shown = json.dumps(outcome.row(sample_judged().verdict))
    test = tmp_path / "test_judged.py"
    test.write_text(
        f"def test_judged(record_property):\n    record_property('kdcheck', {shown!r})\n"
    )
    command = [sys.executable, "-m", "pytest", test.name, "--color=yes", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "--store", "http://me:secret@127.0.0.1:9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = result.stdout + result.stderr
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, printed
    red = next(line for line in printed.splitlines() if "page: not written" in line)
    assert "\x1b[31m" in red
    assert "store http://127.0.0.1:9, connect: got" in red
    assert "Start it (mlflow server)" in red
    assert "evidence: kdcheck ui --store http://127.0.0.1:9" in printed
    assert "secret" not in printed
    assert "Traceback" not in printed
    assert "1 passed" in printed
