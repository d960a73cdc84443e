"""The pytest plugin: claim tests are planned together, trained once, and judged as one family.

It is loaded in every pytest run of its environment: what does the work is imported where there are
claims, and without claim tests it does nothing.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdcheck.plugin.config import (
    EXECUTOR,
    LEFT_OUT,
    NO_PAGE,
    PROPERTY,
    REFUSED,
    SESSION,
    WORD,
    is_claim,
    or_usage_error,
    xdist_worker,
)

if TYPE_CHECKING:
    from kdcheck.study.study import Study


@contextmanager
def _warnings_are_shown() -> Iterator[None]:
    """A project may make warnings errors for its tests; planning and training are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)  # a library's, as Python itself does
        yield


@contextmanager
def _refusals_arrive(config: pytest.Config) -> Iterator[None]:
    """Keep a usage error of a worker for its claims to fail with: pytest-xdist loses the text."""
    try:
        yield
    except pytest.UsageError as error:
        if xdist_worker(config) is None:
            raise
        config.stash[REFUSED] = str(error)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of claim tests."""
    group = parser.getgroup("kdcheck", "claims of a paper, trained and judged")
    group.addoption(
        "--scale", help="one of the paper's scales, or a TOML file; default: as the paper says"
    )
    group.addoption("--seeds", help="how many seeds, or until-decided; default: the scale's own")
    group.addoption("--first-seed", type=int, help="where seeds begin; default: the scale's own")
    group.addoption("--lock", type=Path, help="registered claims; default: claims.lock beside them")
    group.addoption("--store", help="evidence store: a folder or tracking address (.kdcheck/store)")
    group.addoption("--data-dir", type=Path, help="folder of GLUE files, for tasks not packaged")
    group.addoption("--model-dir", type=Path, help="folder of encoders, instead of the hub")
    group.addoption("--workers", type=int, help="training processes; default: one a core; 0: none")
    group.addoption("--retry-failed", action="store_true", help="try again what failed before")
    group.addoption("--expected", type=Path, help="TOML of expected verdicts (expected.toml)")
    group.addoption("--report", type=Path, help="page to write (kdcheck-report.html)")
    group.addoption(
        "--require-gpu", action="store_true", help="no CUDA device is an error, no skip"
    )
    group.addoption(
        "--rehearse", action="store_true", help="try all of it on a few rows, with encoders at hand"
    )
    group.addoption("--undecided-fails", action="store_true", help="UNDECIDED fails its test")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that ``-m gpu`` selects; refuse a number of workers that is none."""
    config.addinivalue_line("markers", "gpu: needs a CUDA device; claims at a scale that needs one")
    config.add_cleanup(gc.unfreeze)  # of what is frozen after training
    workers = config.getoption("--workers")
    if workers is not None and workers < 0:
        wanted = "a number of processes, or 0 to train in this one. Leave it out for one a core."
        raise pytest.UsageError(f"kdcheck: --workers: got {workers}; wanted {wanted}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Check ``--report`` in the controller of pytest-xdist too, which collects nothing itself."""
    if session.config.getoption("--report"):
        from kdcheck.plugin.outcome import check_page

        or_usage_error(check_page, session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark claims ``gpu`` where their scale needs one, before ``-m`` deselects."""
    claims = [item for item in items if is_claim(item)]
    if not claims:
        return
    from kdcheck.plugin.early import import_ahead

    import_ahead(config)  # before torch is imported here, which takes a second
    from kdcheck.plugin import planning
    from kdcheck.study.garbage import collect_rarely

    collect_rarely()
    with _refusals_arrive(config):
        papers = planning.papers_of(claims)
        scales = {n: or_usage_error(planning.scale_of, config, p) for n, p in papers.items()}
        for item in claims:
            if scales[planning.claim_of_item(item).paper.name].needs_cuda:
                item.add_marker(pytest.mark.gpu)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note that claims were left out: then those that are missing are not gone."""
    for item in items:
        if is_claim(item):
            item.config.stash[LEFT_OUT] = True


@_warnings_are_shown()
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan: call each claim test once to learn its contrast, and build the graph of runs."""
    config = session.config
    items = [item for item in session.items if is_claim(item)]
    # Where a file of claims cannot be imported pytest stops too, but only after training.
    broken = session.testsfailed and not config.option.continue_on_collection_errors
    if items and not broken and not config.option.collectonly:
        from kdcheck.plugin import planning

        with _refusals_arrive(config):
            planning.plan_all(session, items)
    if SESSION not in config.stash:
        _end_workers(config)  # all claims were left out, or are skipped for want of a device


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Train what is missing before the first test: here, or as one worker of pytest-xdist."""
    if SESSION in session.config.stash:
        from kdcheck.plugin import training

        with _warnings_are_shown(), _refusals_arrive(session.config):
            training.train(session.config)
        # pytest collects garbage twice at its end: half a second each over modules that stay.
        gc.freeze()
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End workers that were started for a session that did not come about."""
    _end_workers(config)


def _end_workers(config: pytest.Config) -> None:
    if EXECUTOR in config.stash:
        config.stash[EXECUTOR].close()


@pytest.fixture
def study(request: pytest.FixtureRequest) -> Study:
    """Readings of arms, and ``judge``: see :class:`kdcheck.study.study.Study`."""
    from kdcheck.plugin.outcome import judge_item
    from kdcheck.plugin.planning import claim_of_item, require_claim
    from kdcheck.study.study import Study

    item: Any = request.node
    require_claim(item)
    if REFUSED in item.config.stash:
        pytest.fail(item.config.stash[REFUSED], pytrace=False)
    session = item.config.stash[SESSION]
    return Study(claim_of_item(item), lambda claim: judge_item(item, session, claim))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Carry the verdict's word on the report, also from a worker to its controller."""
    report = yield
    if call.when == "call" and WORD in item.stash:
        report.kdcheck_word = item.stash[WORD]  # type: ignore[attr-defined]
        report.kdcheck_rehearsed = item.config.getoption("--rehearse")  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """UNDECIDED and NOT_TESTABLE are yellow, neither passed nor failed; INVALID is an error."""
    word = getattr(report, "kdcheck_word", None)
    if report.when != "call" or word is None:
        return None
    if report.passed and getattr(report, "kdcheck_rehearsed", False):
        return "rehearsed", "r", (f"{word} REHEARSAL", {"yellow": True})
    if word in ("UNDECIDED", "NOT_TESTABLE") and report.passed:
        letter = {"UNDECIDED": "u", "NOT_TESTABLE": "t"}[word]
        return word.lower().replace("_", " "), letter, (word, {"yellow": True})
    if word == "INVALID" and report.failed:
        return "error", "E", ("INVALID", {"red": True})
    return None


def pytest_terminal_summary(
    terminalreporter: Any, exitstatus: int, config: pytest.Config
) -> None:  # pragma: no cover - covered through a child process
    """The verdict table, and where the evidence is."""
    del exitstatus
    reports = [each for some in terminalreporter.stats.values() for each in some]
    called = [each for each in reports if getattr(each, "when", "") == "call"]
    lines = [line for each in called for name, line in each.user_properties if name == PROPERTY]
    if lines:
        from kdcheck.plugin.outcome import summarise

        with _warnings_are_shown():  # in a controller of pytest-xdist MLflow is imported only now
            summarise(terminalreporter, lines, config)


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Fail a run whose page could not be written; the summary before this has said why."""
    yield
    if session.config.stash.get(NO_PAGE, False):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
