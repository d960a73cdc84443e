"""The hooks of the plugin, called as pytest calls them: bad options and a machine without CUDA."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdcheck import plugin
from kdcheck.claims import claim, nats
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
