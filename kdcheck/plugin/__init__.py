"""The pytest plugin: claim tests are planned together, trained once, and judged as one family.

It is loaded in every pytest run of its environment, so at module level it imports pytest alone, and
without claim tests it does nothing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kdcheck.study.graph import Question
    from kdcheck.study.local import LocalExecutor
    from kdcheck.study.session import Session
    from kdcheck.study.study import Study

SESSION = pytest.StashKey["Session"]()
EXECUTOR = pytest.StashKey["LocalExecutor"]()
WORD = pytest.StashKey[str]()
NO_PAGE = pytest.StashKey[bool]()
LEFT_OUT = pytest.StashKey[bool]()
"""Set where a claim was deselected, by -k, -m, --deselect or --lf."""
REFUSED = pytest.StashKey[str]()
"""Why a worker of pytest-xdist could not plan or train."""
PROPERTY = "kdcheck"


@contextmanager
def _warnings_are_shown() -> Iterator[None]:
    """A project may make warnings errors for its tests; planning and training are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)  # a library's, as Python itself does
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of claim tests."""
    group = parser.getgroup("kdcheck", "claims of a paper, trained and judged")
    group.addoption(
        "--scale", help="embedded (default), mini, paper, or a TOML file; -m gpu: paper"
    )
    group.addoption("--seeds", help="how many seeds, or until-decided; default: the scale's own")
    group.addoption("--store", help="evidence store: a folder or tracking address (.kdcheck/store)")
    group.addoption("--data-dir", type=Path, help="folder of GLUE files, for tasks not packaged")
    group.addoption("--model-dir", type=Path, help="folder of encoders, instead of the hub")
    group.addoption("--workers", type=int, help="training processes; default: one a core; 0: none")
    group.addoption("--expected", type=Path, help="TOML of expected verdicts (expected.toml)")
    group.addoption("--report", type=Path, help="page to write (kdcheck-report.html)")
    group.addoption(
        "--require-gpu", action="store_true", help="no CUDA device is an error, no skip"
    )
    group.addoption("--undecided-fails", action="store_true", help="UNDECIDED fails its test")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that ``-m gpu`` selects; refuse a number of workers that is none."""
    config.addinivalue_line("markers", "gpu: needs a CUDA device; claims at a scale that needs one")
    workers = config.getoption("--workers")
    if workers is not None and workers < 0:
        raise pytest.UsageError(
            f"kdcheck: --workers: got {workers}; wanted a number of processes, or 0 to train in "
            "this one. Leave it out for one a core."
        )


def _scale_name(config: pytest.Config) -> str:
    """The scale asked for: ``--scale``, or ``paper`` under ``-m gpu``, or ``embedded``."""
    named: str | None = config.getoption("--scale")
    if named:
        return named
    return "paper" if config.getoption("-m") == "gpu" else "embedded"


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Check ``--report`` in the controller of pytest-xdist too, which collects nothing itself."""
    if session.config.getoption("--report"):
        from kdcheck.plugin.outcome import check_page

        _or_usage_error(check_page, session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark claims ``gpu`` where their scale needs one, before ``-m`` deselects."""
    from kdcheck.study.garbage import collect_rarely

    claims = [item for item in items if _claim(item)]
    if not claims:
        return
    collect_rarely()
    with _refusals_arrive(config):
        scale = _or_usage_error(_load_scale, config)
        for item in claims:
            if scale.needs_cuda:
                item.add_marker(pytest.mark.gpu)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note that claims were left out: then those that are missing are not gone."""
    for item in items:
        if _claim(item):
            item.config.stash[LEFT_OUT] = True


@_warnings_are_shown()
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan: call each claim test once to learn its contrast, and build the graph of runs."""
    config = session.config
    items = [item for item in session.items if _claim(item)]
    # Where a file of claims cannot be imported pytest stops too, but only after training.
    broken = session.testsfailed and not config.option.continue_on_collection_errors
    if items and not broken and not config.option.collectonly:
        with _refusals_arrive(config):
            _plan_all(session, items)


def _plan_all(session: pytest.Session, items: list[pytest.Item]) -> None:
    config = session.config
    if getattr(config.option, "reruns", 0):
        raise pytest.UsageError(
            "kdcheck: got --reruns; wanted none: a claim that is tried until it passes is not "
            "tested. Leave --reruns out, or run the claims by themselves."
        )
    # Not raised as it is: pytest calls this hook even where the one before has failed.
    scale = _or_usage_error(_load_scale, config)
    needs_cuda = scale.needs_cuda or config.getoption("--require-gpu")
    if needs_cuda and not _cuda_or_skip(config, items, scale.name):
        return
    from kdcheck.plugin.outcome import check_page

    _or_usage_error(check_page, config)
    questions = [_plan(item) for item in items]
    config.stash[SESSION] = _or_usage_error(_make_session, config, questions)
    _or_usage_error(_say_what_is_stale, session, config.stash[SESSION])


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Train what is missing before the first test: here, or as one worker of pytest-xdist."""
    study = session.config.stash.get(SESSION, None)
    if study is not None:
        from kdcheck.plugin import training

        worker = _xdist_worker(session.config)
        with _warnings_are_shown(), _refusals_arrive(session.config):
            if worker:
                _or_usage_error(study.train, training.as_worker(worker))
            else:
                training.announce(study)
                executor = session.config.stash.get(EXECUTOR, None)
                here = training.in_this_process
                train = training.with_processes(executor) if executor else here
                _or_usage_error(study.train, train)
    return (yield)


@contextmanager
def _refusals_arrive(config: pytest.Config) -> Iterator[None]:
    """Keep a usage error of a worker for its claims to fail with: pytest-xdist loses the text."""
    try:
        yield
    except pytest.UsageError as error:
        if _xdist_worker(config) is None:
            raise
        config.stash[REFUSED] = str(error)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End workers that were started for a study that did not come about."""
    if EXECUTOR in config.stash:
        config.stash[EXECUTOR].close()


@pytest.fixture
def study(request: pytest.FixtureRequest) -> Study:
    """Readings of arms, and ``judge``: see :class:`kdcheck.study.study.Study`.

    Source: none.

    >>> from kdcheck.claims import claim, nats
    >>> from kdcheck.paper.arms import ERM, LS
    >>> @claim("ls_raises_entropy", says="LS makes a classifier less sure.", where="Table 2",
    ...        holds="on every task", margin=nats(0.05), because="the gaps are six times as large")
    ... def test_ls_raises_entropy(study):
    ...     study.judge(study.entropy(LS("smaller")) - study.entropy(ERM("smaller")))
    """
    from kdcheck.plugin.outcome import judge_item
    from kdcheck.study.study import Study

    item = request.node
    _require_claim(item)
    if REFUSED in item.config.stash:
        pytest.fail(item.config.stash[REFUSED], pytrace=False)
    session = item.config.stash[SESSION]
    return Study(_claim_of_item(item), lambda question: judge_item(item, session, question))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Carry the verdict's word on the report, also from a worker to its controller."""
    report = yield
    if call.when == "call" and WORD in item.stash:
        report.kdcheck_word = item.stash[WORD]  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """UNDECIDED is yellow and neither passed nor failed; INVALID is an error."""
    word = getattr(report, "kdcheck_word", None)
    if report.when != "call" or word is None:
        return None
    if word == "UNDECIDED" and report.passed:
        return "undecided", "u", ("UNDECIDED", {"yellow": True})
    if word == "INVALID" and report.failed:
        return "error", "E", ("INVALID", {"red": True})
    return None


def pytest_terminal_summary(
    terminalreporter: Any, exitstatus: int, config: pytest.Config
) -> None:  # pragma: no cover - covered through a child process
    """The verdict table, and where the evidence is."""
    del exitstatus
    lines = [
        dict(report.user_properties)[PROPERTY]
        for reports in terminalreporter.stats.values()
        for report in reports
        if PROPERTY in dict(getattr(report, "user_properties", ()))
        and getattr(report, "when", "") == "call"
    ]
    if lines:
        from kdcheck.plugin.outcome import summarise

        summarise(terminalreporter, lines, config)


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Fail a run whose page could not be written; the summary before this has said why."""
    yield
    if session.config.stash.get(NO_PAGE, False):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def _claim(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "obj", None), "__kdcheck_claim__")


def _require_claim(item: Any) -> None:
    """Fail a test that asks for a study and is no claim: skipped, it would look judged."""
    if not _claim(item):
        pytest.fail(
            f"kdcheck: {item.nodeid}: got a test that is no claim; wanted one declared with @claim. "
            "Declare it, or do not ask for the fixture `study`.",
            pytrace=False,
        )


def _claim_of_item(item: Any) -> Any:
    """The claim of a test; a parametrised one carries its parameters in brackets."""
    import dataclasses

    from kdcheck.claims import claim_of

    claim = claim_of(item.obj)
    assert claim is not None
    callspec = getattr(item, "callspec", None)
    return dataclasses.replace(claim, id=f"{claim.id}[{callspec.id}]") if callspec else claim


def _plan(item: Any) -> Question:
    import traceback

    from kdcheck.errors import KdcheckError
    from kdcheck.study.study import Planned, Study

    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec else {}
    try:
        item.obj(study=Study(_claim_of_item(item)), **parameters)
    except Planned as planned:
        return planned.question
    except KdcheckError as error:
        raise pytest.UsageError(f"kdcheck: {item.nodeid}: {error}") from error
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
        # pytest has no test yet that could fail: it would call this an error of its own.
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(item.path)]
        where = f"{item.path}:{lines[-1] if lines else item.location[1] + 1}"
        raise pytest.UsageError(
            f"kdcheck: {item.nodeid}: {where}: {type(error).__name__}: {error}. A claim is called "
            "once to be planned, with the fixture study and its parameters alone."
        ) from error
    raise pytest.UsageError(
        f"kdcheck: {item.nodeid}: got a claim test that never calls study.judge; wanted one call. "
        "Build a contrast and hand it to study.judge(...)."
    )


def _say_what_is_stale(session: pytest.Session, study: Session) -> None:
    """One line on expected verdicts of claims that are gone; a warning would be an error in CI."""
    from kdcheck.plugin.outcome import stale_claims

    config = session.config
    stale = stale_claims(config, study)  # also where nothing is said: it checks the file
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if stale and reporter and not session.testsfailed and _has_every_claim(config):
        text = f"claims that do not exist: {', '.join(stale)}. Remove their entries."
        reporter.write_line(f"kdcheck: expected.toml names {text}", yellow=True)


def _has_every_claim(config: pytest.Config) -> bool:
    """Whether whole folders were asked for and no claim in them was left out."""
    parts = ("lf", "ignore", "ignore_glob")  # these leave out files, which deselects nothing
    here = config.invocation_params.dir
    return (
        all((here / each).is_dir() for each in config.args)
        and not config.stash.get(LEFT_OUT, False)
        and not any(getattr(config.option, part, None) for part in parts)
    )


def _load_scale(config: pytest.Config) -> Any:
    from kdcheck.study.scale import load

    return load(_scale_name(config))


def _make_session(config: pytest.Config, questions: list[Question]) -> Session:
    from kdcheck.study.session import Session, Where

    scale = _load_scale(config)
    store = store_of(config)
    if _xdist_worker(config) is None and config.getoption("--workers") != 0:
        config.stash[EXECUTOR] = _executor(config, store, scale)
    where = Where(
        store=store,
        folder=_work_folder(config, store),
        data_dir=config.getoption("--data-dir"),
        model_dir=config.getoption("--model-dir"),
    )
    seeds = config.getoption("--seeds") or str(scale.seeds)
    return Session(questions, scale, seeds, where, is_worker=_xdist_worker(config) is not None)


def _executor(config: pytest.Config, store: str, scale: Any) -> LocalExecutor:
    """Workers, already started if there is no store yet, so that they will surely be needed."""
    from kdcheck.evidence.location import Location
    from kdcheck.study.local import LocalExecutor

    executor = LocalExecutor(_work_folder(config, store), config.getoption("--workers"))
    if Location.parse(store).is_new:
        with suppress(OSError):  # a folder that cannot be made is refused, and explained, later
            executor.start(scale.training.get("threads", 1))
    return executor


def _xdist_worker(config: pytest.Config) -> str | None:
    """Name of this worker of pytest-xdist; none in its controller and without it."""
    # Not from the environment: a pytest that a worker's test starts is no worker itself.
    workerinput: dict[str, str] | None = getattr(config, "workerinput", None)
    return workerinput["workerid"] if workerinput else None


def store_of(config: pytest.Config) -> str:
    """The evidence store: the option, the environment, or ``.kdcheck/store`` in the root folder.

    Source: none.

    >>> from types import SimpleNamespace
    >>> store_of(SimpleNamespace(getoption={"--store": "/data/store"}.get))
    '/data/store'
    """
    named = config.getoption("--store") or os.environ.get("KDCHECK_STORE")
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    return str(named or tracking or config.rootpath / ".kdcheck" / "store")


def _work_folder(config: pytest.Config, store: str) -> Path:
    """Locks and checkpoints: beside a local store, else in the root folder."""
    return Path(store).parent / "work" if "://" not in store else config.rootpath / ".kdcheck/work"


def _cuda_or_skip(config: pytest.Config, items: list[pytest.Item], scale: str) -> bool:
    from kdcheck.study.local import cuda_devices

    if cuda_devices():
        return True
    reason = f"scale {scale!r} needs a CUDA device and none is visible; these claims were NOT_RUN"
    if config.getoption("--require-gpu"):
        raise pytest.UsageError(
            f"kdcheck: {reason}. Check CUDA_VISIBLE_DEVICES and the build of torch, or leave out "
            "--require-gpu to skip them."
        )
    print(f"\nkdcheck: {reason}")  # pytest itself gives reasons under -ra alone
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))
    return False


def _or_usage_error(make: Any, *arguments: Any) -> Any:
    from kdcheck.errors import KdcheckError

    try:
        return make(*arguments)
    except KdcheckError as error:
        raise pytest.UsageError(f"kdcheck: {error}") from error
