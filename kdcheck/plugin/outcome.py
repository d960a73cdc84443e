"""What a verdict means for its test, and the table at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from kdcheck.border import read_toml
from kdcheck.errors import InputError, KdcheckError, OptionError
from kdcheck.evidence import board
from kdcheck.places import check_writable
from kdcheck.plugin.config import NO_PAGE, PROPERTY, SESSION, WORD, page_of, places_of
from kdcheck.plugin.terminal import print_board
from kdcheck.verdict import Verdict, Word
from kdcheck.verdict.guards import DegenerateRun, IdenticalDifferences, SeedIgnored

if TYPE_CHECKING:
    from pathlib import Path

    from kdcheck.claims import Claim
    from kdcheck.evidence.judged import Judged
    from kdcheck.evidence.source import EvidenceSource
    from kdcheck.evidence.store import Store
    from kdcheck.study.session import Session

EXPECTED = "expected.toml"
FEW_ROWS = (DegenerateRun, IdenticalDifferences, SeedIgnored)
"""Faults that a few rows may have where nothing is wrong."""


def judge_item(item: Any, session: Session, claim: Claim) -> None:
    """Judge one claim for its test: record it, put its row aside, and fail, skip or pass.

    Raises:
        pytest.fail.Exception: REFUTED, EQUIVALENT or INVALID where it is not expected, or a verdict
            that is not the expected one; in a rehearsal what few rows do not explain.
        pytest.skip.Exception: NOT_RUN.
    """
    try:
        judged, verdict = session.judged(claim), session.verdicts[claim.id]
        session.record(judged)
    except KdcheckError as error:
        pytest.fail(f"kdcheck: {error}", pytrace=False)
    item.stash[WORD] = verdict.word.value
    item.user_properties.append((PROPERTY, json.dumps(row(judged))))
    expectation = expected_verdicts(item.config, session).get(claim.id)
    if session.scale.rehearsal:
        _check_machinery(verdict)
        return
    undecided_fails = item.config.getoption("--undecided-fails")
    _act(verdict, expectation, undecided_fails=undecided_fails, data=judged.data_said)


def _check_machinery(verdict: Verdict) -> None:
    """Of a rehearsal any word will do; what cannot be judged fails it, unless too few rows explain it."""
    if verdict.fault is not None and not isinstance(verdict.fault, FEW_ROWS):
        pytest.fail(f"{verdict}\n{verdict.fault.advice}", pytrace=False)
    if verdict.word is Word.NOT_RUN:
        pytest.fail(str(verdict), pytrace=False)


def _act(
    verdict: Verdict,
    expectation: Mapping[str, str] | None,
    *,
    undecided_fails: bool,
    data: Sequence[str] = (),
) -> None:
    word = verdict.word
    said = f"\n{verdict.standing}: ".join([str(verdict), *verdict.exploratory])
    said = "\nRows: ".join([said, *data])
    if expectation is not None:
        wanted, because = expectation["verdict"], expectation["because"]
        if word != wanted:
            step = f"look at the evidence with `kdcheck ui`, then correct {EXPECTED}."
            changed = f"Expected {wanted}: {because}. The verdict has changed: {step}"
            pytest.fail(f"{said}\n{changed}", pytrace=False)
        return
    if word is Word.NOT_RUN:
        pytest.skip(said)
    if word in (Word.REFUTED, Word.EQUIVALENT, Word.INVALID):
        advice = f"\n{verdict.fault.advice}" if verdict.fault else ""
        pytest.fail(f"{said}{advice}", pytrace=False)
    if word is Word.UNDECIDED and undecided_fails:
        pytest.fail(f"{said}\n--undecided-fails was given.", pytrace=False)


def expected_verdicts(config: pytest.Config, session: Session) -> Mapping[str, Mapping[str, str]]:
    """Expected verdicts of the session's scale, with reasons; none with other seeds or more of them.

    Raises:
        InputError: a file that was asked for is not there, one cannot be read, or an entry lacks its
            verdict or reason.
    """
    scale = session.scale
    if session.counts != (scale.seeds,) or session.seeds[0] != scale.first_seed:
        return {}
    asked: Path | None = config.getoption("--expected")
    path = asked or config.rootpath / "claims" / EXPECTED
    if asked is None and not path.exists():
        return {}
    try:
        entries = read_toml(path).get(session.scale.name, {})
    except (OSError, ValueError) as error:
        next_step = "Correct the file, or leave --expected out."
        raise InputError(f"--expected {path}", str(error), "a TOML file", next_step) from error
    who = f"{path}, {session.scale.name}"
    if not isinstance(entries, dict):
        step = f"Write [{session.scale.name}.CLAIM] above each."
        raise InputError(who, repr(entries), "a table of claims", step)
    for claim, entry in entries.items():
        _check_expectation(f"{who}, {claim!r}", entry)
    return dict(entries)


def _check_expectation(who: str, entry: Any) -> None:
    texts = isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
    if not texts or set(entry) != {"verdict", "because"} or entry["verdict"] not in set(Word):
        wanted = f"verdict (one of {', '.join(Word)}) and because"
        next_step = "Say in `because` why that verdict is known and accepted."
        raise InputError(who, repr(entry), wanted, next_step)


def stale_claims(config: pytest.Config, session: Session) -> list[str]:
    """Ids in the expected file that no claim of the session has."""
    return sorted(set(expected_verdicts(config, session)) - {claim.id for claim in session.claims})


def check_page(config: pytest.Config) -> None:
    """Refuse a page that could not be written, before anything is trained.

    Raises:
        OptionError: its name does not end in ``.html``, or nothing can be written there.
    """
    page = page_of(config)
    if page.suffix != ".html" or page.is_dir():
        next_step = "The other formats are written beside the page."
        raise OptionError("--report", str(page), "a file whose name ends in .html", next_step)
    check_writable("--report", page)


def row(judged: Judged) -> dict[str, Any]:
    """One row of the verdict table, as JSON values."""
    paper, scale = judged.family
    return board.row(judged) | {"paper": paper, "scale": scale}


def summarise(reporter: Any, lines: Sequence[str], config: pytest.Config) -> None:
    """Print the verdict table from rows as JSON, write the page, and say where the evidence is.

    A page that cannot be written is said in red and noted in the stash, for the exit code.
    """
    rows = [json.loads(line) for line in lines]
    reporter.section(f"verdicts at {rows[0]['scale']} scale", sep="=")
    print_board(reporter, rows)
    store = places_of(config).store
    session = config.stash.get(SESSION, None)
    try:
        # The controller of pytest-xdist opens the store only now, when its workers have ended.
        opened = session.store if session else _store_of_workers(config)
        source = session.evidence if session else opened
        page, *tables = _write_page(config, source, rows[0]["paper"], rows[0]["scale"])
        opened.describe_claims()
        reporter.write_line(f"page: {_shown(page, config)}")
        if tables:
            reporter.write_line(f"tables: {_shown(tables[0], config)}")
    except KdcheckError as error:
        reporter.write_line(f"page: not written. {error}", red=True)
        config.stash[NO_PAGE] = True
    reporter.write_line(f"evidence: kdcheck ui --store {_shown(store, config)}")


def _store_of_workers(config: pytest.Config) -> Store:
    from kdcheck.evidence.store import Store

    source = Store.open(places_of(config).store)
    source.reap()
    return source


def _write_page(
    config: pytest.Config, source: EvidenceSource, paper: str, scale: str
) -> list[Path]:
    """The page, and the files of the paper's tables if it has some."""
    from kdcheck.report import build, write, write_tables

    page = page_of(config)
    record = build(source.claims(paper=paper, scale=scale), source)
    return [*write(record, page)[:1], *write_tables(record, page)]


def _shown(place: object, config: pytest.Config) -> str:
    return str(place).removeprefix(f"{config.rootpath}/")
