"""What a verdict means for its test, and the table at the end."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdcheck.errors import InputError, KdcheckError, OptionError
from kdcheck.evidence.location import without_credentials
from kdcheck.places import check_writable
from kdcheck.study.graph import Question
from kdcheck.study.record import judged, store_claim
from kdcheck.verdict import Verdict, Word

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store
    from kdcheck.study.session import Session

EXPECTED = "expected.toml"
COLOURS = {Word.SUPPORTED: "green", Word.REFUTED: "red", Word.INVALID: "red"}


def judge_item(item: Any, session: Session, question: Question) -> None:
    """Judge one claim for its test: record it, put its row aside, and fail, skip or pass.

    Raises:
        pytest.fail.Exception: REFUTED, EQUIVALENT or INVALID where it is not expected, or a verdict
            that is not the expected one.
        pytest.skip.Exception: NOT_RUN.

    Source: none.

    >>> from types import SimpleNamespace
    >>> from kdcheck.study.samples import SampleStore, sample_graph, sample_judged, sample_question
    >>> graph, verdict = sample_graph(), sample_judged().verdict
    >>> session = SimpleNamespace(verdicts={"ls_raises_entropy": verdict}, graph=graph,
    ...     scale=graph.scale, store=SampleStore(), num_classes=lambda task: 3, counts=(5,))
    >>> config = SimpleNamespace(getoption=lambda name: None)
    >>> item = SimpleNamespace(stash={}, user_properties=[], config=config)
    >>> judge_item(item, session, sample_question())
    >>> list(item.stash.values()), session.store.claims()[0].claim_id
    (['SUPPORTED'], 'ls_raises_entropy')
    """
    from kdcheck.plugin import PROPERTY, WORD

    claim_id = question.claim.id
    verdict = session.verdicts[claim_id]
    classes = [session.num_classes(task) for task in session.scale.tasks]
    record = judged(question, verdict, session.graph, classes)
    store_claim(record, session.store)
    item.stash[WORD] = verdict.word.value
    item.user_properties.append((PROPERTY, json.dumps(row(verdict))))
    expectation = expected_verdicts(item.config, session).get(claim_id)
    _act(verdict, expectation, undecided_fails=item.config.getoption("--undecided-fails"))


def _act(verdict: Verdict, expectation: Mapping[str, str] | None, *, undecided_fails: bool) -> None:
    word = verdict.word
    if expectation is not None:
        wanted, because = expectation["verdict"], expectation["because"]
        if word != wanted:
            pytest.fail(
                f"{verdict}\nExpected {wanted}: {because}. The verdict has changed: look at the "
                f"evidence with `kdcheck ui`, then correct {EXPECTED}.",
                pytrace=False,
            )
        return
    if word is Word.NOT_RUN:
        pytest.skip(str(verdict))
    if word in (Word.REFUTED, Word.EQUIVALENT, Word.INVALID):
        advice = f"\n{verdict.fault.advice}" if verdict.fault else ""
        pytest.fail(f"{verdict}{advice}", pytrace=False)
    if word is Word.UNDECIDED and undecided_fails:
        pytest.fail(f"{verdict}\n--undecided-fails was given.", pytrace=False)


def expected_verdicts(config: pytest.Config, session: Session) -> Mapping[str, Mapping[str, str]]:
    """Expected verdicts of the session's scale, with reasons; none with another number of seeds.

    Raises:
        InputError: the file cannot be read, or an entry lacks its verdict or reason.

    Source: none.

    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> from kdcheck.study.samples import sample_scale
    >>> session = SimpleNamespace(counts=(3,), scale=sample_scale())
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     _ = file.write('[invented.c]\\nverdict = "REFUTED"\\nbecause = "see Table 2"')
    ...     file.flush()
    ...     expected_verdicts(SimpleNamespace(getoption={"--expected": Path(file.name)}.get), session)
    {'c': {'verdict': 'REFUTED', 'because': 'see Table 2'}}
    """
    if session.counts != (session.scale.seeds,):
        return {}
    path: Path = config.getoption("--expected") or config.rootpath / "claims" / EXPECTED
    if not path.exists():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get(session.scale.name, {})
    except tomllib.TOMLDecodeError as error:
        raise InputError(str(path), str(error), "TOML", "Correct the file.") from error
    for claim, entry in entries.items():
        if set(entry) != {"verdict", "because"} or entry["verdict"] not in set(Word):
            raise InputError(
                f"{path}, {session.scale.name}, {claim!r}",
                repr(entry),
                f"verdict (one of {', '.join(Word)}) and because",
                "Say in `because` why that verdict is known and accepted.",
            )
    return dict(entries)


def stale_claims(config: pytest.Config, session: Session) -> list[str]:
    """Ids in the expected file that no claim of the session has.

    Raises:
        InputError: the file cannot be read, or an entry lacks its verdict or reason.

    Source: none.

    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> from kdcheck.study.samples import sample_question, sample_scale
    >>> session = SimpleNamespace(counts=(3,), scale=sample_scale(), questions=[sample_question()])
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     _ = file.write('[invented.gone]\\nverdict = "REFUTED"\\nbecause = "see Table 2"')
    ...     file.flush()
    ...     stale_claims(SimpleNamespace(getoption={"--expected": Path(file.name)}.get), session)
    ['gone']
    """
    known = {question.claim.id for question in session.questions}
    return sorted(set(expected_verdicts(config, session)) - known)


def check_page(config: pytest.Config) -> None:
    """Refuse a page that could not be written, before anything is trained.

    Raises:
        OptionError: its name does not end in ``.html``, or nothing can be written there.

    Source: none.

    >>> from types import SimpleNamespace
    >>> check_page(SimpleNamespace(getoption={"--report": Path("page.pdf")}.get))
    Traceback (most recent call last):
        ...
    kdcheck.errors.OptionError: --report: got page.pdf; wanted a file whose name ends in .html. The \
other formats are written beside the page.
    """
    page = _page(config)
    if page.suffix != ".html" or page.is_dir():
        next_step = "The other formats are written beside the page."
        raise OptionError("--report", str(page), "a file whose name ends in .html", next_step)
    check_writable("--report", page)


def row(verdict: Verdict) -> dict[str, Any]:
    """One row of the verdict table, as JSON values.

    Source: none.

    >>> from kdcheck.study.samples import sample_judged
    >>> shown = row(sample_judged().verdict)
    >>> shown["word"], shown["figures"], shown["tasks"]
    ('SUPPORTED', '+0.494 [+0.467, +0.522] nats', '1 of 1')
    """
    figures = ""
    if verdict.effect is not None and verdict.seeds >= 2:
        low, high = verdict.interval()
        figures = f"{verdict.effect:+.3f} [{low:+.3f}, {high:+.3f}] {verdict.criterion.unit}"
    more = verdict.more_seeds
    return {
        "claim": verdict.criterion.claim,
        "word": verdict.word.value,
        "scale": verdict.criterion.scale,
        "figures": figures,
        "seeds": verdict.seeds,
        "tasks": f"{verdict.tasks_as_claimed} of {len(verdict.criterion.tasks)}",
        "more": "" if not more else f"about {more} more seeds",
    }


def summarise(reporter: Any, lines: Sequence[str], config: pytest.Config) -> None:
    """Print the verdict table and say where the evidence is.

    Args:
        reporter: pytest's terminal reporter.
        lines: rows of :func:`row`, each as JSON.
        config: names the store and the page, which is written anew. A page that cannot be is said
            in red and noted in the stash, for the exit code.

    Source: none.

    >>> summarise.__annotations__["lines"]  # a call needs a store
    'Sequence[str]'
    """
    from kdcheck.plugin import NO_PAGE, SESSION, store_of

    rows = sorted((json.loads(line) for line in lines), key=lambda each: str(each["claim"]))
    reporter.section(f"verdicts at {rows[0]['scale']} scale", sep="=")
    width = max(len(each["claim"]) for each in rows)
    head = f"{'claim':{width}}  {'verdict':10}  {'effect, 95 % interval':36}  seeds  tasks"
    reporter.write_line(head, bold=True)
    for each in rows:
        colour = COLOURS.get(Word(each["word"]), "yellow")
        reporter.write(f"{each['claim']:{width}}  ")
        reporter.write(f"{each['word']:10}", **{colour: True})
        reporter.write_line(
            f"  {each['figures']:36}  {each['seeds']:5}  {each['tasks']:6}  {each['more']}".rstrip()
        )
    store = store_of(config)
    session = config.stash.get(SESSION, None)
    try:
        source = session.store if session else _store_of_workers(store)
        page = _write_page(config, source, rows[0]["scale"])
        reporter.write_line(f"page: {_shown(str(page), config)}")
    except KdcheckError as error:
        reporter.write_line(f"page: not written. {error}", red=True)
        config.stash[NO_PAGE] = True
    reporter.write_line(f"evidence: kdcheck ui --store {_shown(store, config)}")


def _store_of_workers(store: str) -> Store:
    """For the controller of pytest-xdist, which opens the store only now, when its workers ended."""
    from kdcheck.evidence.store import Store

    source = Store.open(store)
    source.reap()
    return source


def _write_page(config: pytest.Config, source: Store, scale: str) -> Path:
    from kdcheck.report import build, write
    from kdcheck.study.record import stored_claims

    page = _page(config)
    write(build(stored_claims(source, scale), source), page)
    return page


def _page(config: pytest.Config) -> Path:
    page: Path = config.getoption("--report") or config.rootpath / "kdcheck-report.html"
    return page


def _shown(place: str, config: pytest.Config) -> str:
    return without_credentials(place).removeprefix(f"{config.rootpath}/")
