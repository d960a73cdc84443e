"""From collected tests to a session: each claim is called once, to learn what it needs."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdcheck.claims import Claim, Paper, claim_of
from kdcheck.encoders import pair_at_hand
from kdcheck.engine.settings import emulated_on_cpu
from kdcheck.errors import InputError, KdcheckError
from kdcheck.places import Places
from kdcheck.plugin.config import (
    EXECUTOR,
    LEFT_OUT,
    SESSION,
    execution_of,
    is_claim,
    or_usage_error,
    places_of,
    xdist_worker,
)
from kdcheck.plugin.outcome import check_page, stale_claims
from kdcheck.study import local
from kdcheck.study.lock import FILE, Lock, read
from kdcheck.study.rehearsal import rehearsal_of
from kdcheck.study.resources import Resources
from kdcheck.study.scale import Scale, load
from kdcheck.study.session import Session
from kdcheck.study.study import Planned, Study


def plan_all(session: pytest.Session, items: Sequence[pytest.Item]) -> None:
    """Put a session of all claims into the stash; nothing is trained yet.

    Raises:
        pytest.UsageError: claims of two papers, a claim that cannot be planned, or an option that
            cannot be used.
    """
    config = session.config
    if getattr(config.option, "reruns", 0):
        raise pytest.UsageError(
            "kdcheck: got --reruns; wanted none: a claim that is tried until it passes is not "
            "tested. Leave --reruns out, or run the claims by themselves."
        )
    # Not raised as it is: pytest calls this hook even where the one before has failed.
    scale = or_usage_error(scale_of, config, one_paper(items))
    needs_cuda = scale.needs_cuda or config.getoption("--require-gpu")
    if needs_cuda and not _cuda_or_skip(config, items, scale.name):
        return
    or_usage_error(check_page, config)
    claims = [plan(item) for item in items]
    lock = or_usage_error(_read_lock, config, items)
    config.stash[SESSION] = or_usage_error(_make_session, config, claims, scale, lock)
    or_usage_error(_say_what_is_stale, session, config.stash[SESSION])


def scale_of(config: pytest.Config, paper: Paper) -> Scale:
    """The scale asked for: ``--scale``, or the one that the paper names for this run.

    Raises:
        InputError: it cannot be read, or there is none.
    """
    own = paper.gpu_scale if config.getoption("-m") == "gpu" else ""
    name = config.getoption("--scale") or own or paper.default_scale
    if not name:
        step = "Give --scale FILE.toml; docs/guides/scales.md says what is in it."
        raise InputError(f"claims of {paper.name!r}", "no scale", "--scale", step)
    scale = load(name, paper)
    return replace(scale, needs_cuda=False) if config.getoption("--rehearse") else scale


def papers_of(items: Sequence[pytest.Item]) -> dict[str, Paper]:
    """The papers whose claims the tests declare, by name."""
    papers = [claim_of_item(item).paper for item in items]
    return {paper.name: paper for paper in papers}


def claim_of_item(item: Any) -> Claim:
    """The claim of a test; a parametrised one carries its parameters in brackets."""
    callspec = getattr(item, "callspec", None)
    found = claim_of(item.obj, callspec.id if callspec else "")
    assert found is not None
    return found


def plan(item: Any) -> Claim:
    """The claim of a test with its contrast.

    Raises:
        pytest.UsageError: its test fails, or asks for more than the study; the message has the line.
    """
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec else {}
    try:
        item.obj(study=Study(claim_of_item(item)), **parameters)
    except Planned as planned:
        return planned.claim
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


def require_claim(item: Any) -> None:
    """Fail a test that asks for a study and is no claim: skipped, it would look judged."""
    if not is_claim(item):
        pytest.fail(
            f"kdcheck: {item.nodeid}: got a test that is no claim; wanted one declared with @claim. "
            "Declare it, or do not ask for the fixture `study`.",
            pytrace=False,
        )


def one_paper(items: Sequence[pytest.Item]) -> Paper:
    """The paper whose claims the tests declare.

    Raises:
        pytest.UsageError: there are two.
    """
    papers = papers_of(items)
    if len(papers) > 1:
        raise pytest.UsageError(
            f"kdcheck: got claims of {' and '.join(sorted(papers))}; wanted those of one paper: claims "
            "are judged as one family. Run the folder of each by itself."
        )
    return next(iter(papers.values()))


def lock_path(items: Sequence[pytest.Item], root: Path) -> Path:
    """The lock beside the claims: in the folder that holds them all, or the nearest one around it."""
    beside = Path(os.path.commonpath([item.path.parent for item in items]))
    around = [each for each in (beside, *beside.parents) if each == root or root in each.parents]
    return next((each / FILE for each in around if (each / FILE).exists()), beside / FILE)


def _read_lock(config: pytest.Config, items: Sequence[pytest.Item]) -> Lock:
    """The lock that is asked for, or that lies beside the claims.

    Raises:
        InputError: the file that is asked for is not there, or one cannot be read.
    """
    asked: Path | None = config.getoption("--lock")
    if asked is not None and not asked.is_file():
        step = "Write it with kdcheck lock, or leave --lock out."
        raise InputError("--lock", str(asked), "a file", step)
    return read(asked or lock_path(items, config.rootpath))


def _make_session(
    config: pytest.Config, claims: Sequence[Claim], scale: Scale, lock: Lock
) -> Session:
    places = places_of(config)
    resources = Resources(places)
    if config.getoption("--rehearse"):
        scale = _rehearsed(scale, places, resources)
    is_worker = xdist_worker(config) is not None
    if not is_worker and config.getoption("--workers") != 0:
        config.stash[EXECUTOR] = _executor(config, places, scale)
    seeds = config.getoption("--seeds") or str(scale.seeds)
    first = config.getoption("--first-seed")
    retry = execution_of(config) if config.getoption("--retry-failed") else ""
    return Session(
        claims,
        scale,
        seeds,
        places,
        lock=lock,
        first_seed=first,
        is_worker=is_worker,
        retry_failed=retry,
        resources=resources,
    )


def _rehearsed(scale: Scale, places: Places, resources: Resources) -> Scale:
    """The scale's rehearsal, with the encoders at hand and in precisions that this machine has."""
    pair = pair_at_hand(scale.pair, places.model_dir)
    emulated = () if local.cuda_devices() else emulated_on_cpu()
    return rehearsal_of(scale, pair, resources.load_task, emulated)


def _executor(config: pytest.Config, places: Places, scale: Scale) -> local.LocalExecutor:
    """Workers, already started if there is no store yet, so that they will surely be needed."""
    executor = config.stash.get(EXECUTOR, None)
    executor = executor or local.LocalExecutor(places.work, config.getoption("--workers"))
    if places.store.is_new:
        with suppress(OSError):  # a folder that cannot be made is refused, and explained, later
            executor.import_ahead()
            executor.start(scale.training.get("threads", 1))
    return executor


def _cuda_or_skip(config: pytest.Config, items: Sequence[pytest.Item], scale: str) -> bool:
    if local.cuda_devices():
        return True
    reason = f"scale {scale!r} needs a CUDA device and none is visible; these claims were NOT_RUN"
    if config.getoption("--require-gpu"):
        step = "Check CUDA_VISIBLE_DEVICES and the build of torch"
        step += ", or leave out --require-gpu to skip them."
        raise pytest.UsageError(f"kdcheck: {reason}. {step}")
    print(f"\nkdcheck: {reason}")  # pytest itself gives reasons under -ra alone
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))
    return False


def _say_what_is_stale(session: pytest.Session, planned: Session) -> None:
    """One line on expected verdicts of claims that are gone; a warning would be an error in CI."""
    config = session.config
    stale = stale_claims(config, planned)  # also where nothing is said: it checks the file
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
