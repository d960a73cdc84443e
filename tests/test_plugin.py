"""The hooks of the plugin, called as pytest calls them: bad options and a machine without CUDA."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from kdcheck import plugin
from kdcheck.claims import claim, nats
from kdcheck.plugin import training
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
    config = SimpleNamespace(getoption=given.get, option=SimpleNamespace(collectonly=False))
    return SimpleNamespace(config=config, items=[Item(obj=declared, markers=[])])


def test_an_unknown_scale_is_a_usage_error_in_each_hook_that_may_meet_it_first():
    asked = session(**{"--scale": "huge"})
    with pytest.raises(pytest.UsageError, match="got 'huge'; wanted one of embedded, mini, paper"):
        plugin.pytest_collection_modifyitems(asked.config, asked.items)
    # pytest goes on to this hook after the error of the other, and shows the later one.
    with pytest.raises(pytest.UsageError, match="got 'huge'; wanted one of embedded, mini, paper"):
        plugin.pytest_collection_finish(asked)


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


def test_a_warning_while_the_study_is_planned_is_shown_and_ends_nothing(monkeypatch, shown):
    monkeypatch.setattr(plugin, "_plan", of_the_hub)
    monkeypatch.setattr(plugin, "_make_session", lambda *_: None)
    asked = session()
    asked.config.option.keyword = "a claim"
    asked.config.stash = {}
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
