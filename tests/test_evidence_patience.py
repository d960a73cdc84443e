"""A tracking server that goes away: said at once, waited for, and then an error or on with the work."""

from __future__ import annotations

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence import patience
from kdcheck.evidence.patience import Patient
from kdcheck.places import Location

AT = Location.parse("http://me:secret@127.0.0.1:5000")
REFUSED = "API request to http://me:secret@127.0.0.1:5000 failed: Max retries exceeded (refused)"


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """A client whose server is away for some seconds."""

    def __init__(self, clock: Clock, away: float, error: str = REFUSED) -> None:
        self.clock, self.away, self.error = clock, away, error
        self.asked: list[float] = []

    def get_run(self, run_id: str, *, fresh: bool) -> str:
        self.asked.append(self.clock.now)
        if self.clock.now < self.away:
            raise RuntimeError(self.error)
        return f"{run_id} {fresh}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def patient(client: Client, said: list[tuple[float, str]]) -> Patient:
    return Patient(client, AT, lambda text: said.append((client.clock.now, text)))


def test_a_server_that_comes_back_is_waited_for_and_asked_again(clock: Clock) -> None:
    said: list[tuple[float, str]] = []
    client = Client(clock, away=31.0)
    assert patient(client, said).get_run("r", fresh=True) == "r True"
    assert client.asked == [float(2 * n) for n in range(17)]
    (first, waiting), (_, on) = said
    assert first == 0.0, "at once"
    assert waiting == (
        "kdcheck: the tracking server http://127.0.0.1:5000 does not answer; trying again for up to 180 s"
    )
    assert on.endswith("answers again after 32 s; going on")


def test_a_server_that_stays_away_ends_in_an_error_with_the_next_step(clock: Clock) -> None:
    with pytest.raises(EvidenceError) as caught:
        patient(Client(clock, away=1e9), []).get_run("r", fresh=False)
    assert clock.now == 180.0
    error = caught.value
    told = REFUSED.replace("me:secret@", "")
    assert (error.who, error.got, error.wanted, error.next_step) == (
        "store http://127.0.0.1:5000",
        f"no answer in 180 s ({told})",
        "a tracking server that answers",
        (
            "Start it (mlflow server), correct its address, or unset MLFLOW_TRACKING_URI to use a "
            "local store. Runs that were finished are safe; run again to go on."
        ),
    )
    assert error.__suppress_context__, "the cause repeats the password"


def test_of_a_long_complaint_the_start_of_its_first_line_is_told(clock: Clock) -> None:
    error = f"  timed out {'x' * 300}\nand more"
    with pytest.raises(EvidenceError) as caught:
        patient(Client(clock, away=1e9, error=error), []).get_run("r", fresh=False)
    assert caught.value.got == f"no answer in 180 s (timed out {'x' * 190})"


def test_a_second_absence_is_waited_for_as_long_as_the_first(clock: Clock) -> None:
    said: list[tuple[float, str]] = []
    client = Client(clock, away=150.0)
    asker = patient(client, said)
    asker.get_run("r", fresh=True)
    client.away = clock.now + 150.0
    assert asker.get_run("s", fresh=False) == "s False"
    start = "kdcheck: the tracking server http://127.0.0.1:5000"
    waits = f"{start} does not answer; trying again for up to 180 s"
    on = f"{start} answers again after 150 s; going on"
    assert said == [(0.0, waits), (150.0, on), (150.0, waits), (300.0, on)]


def test_what_is_no_method_is_handed_on_and_a_method_keeps_its_name(clock: Clock) -> None:
    client = Client(clock, away=0.0)
    asker = patient(client, [])
    assert asker.away == 0.0
    assert asker.get_run.__name__ == "get_run"


def test_it_is_said_on_standard_error_unless_another_way_is_given(clock, capsys) -> None:
    assert Patient(Client(clock, away=3.0), AT).get_run("r", fresh=True) == "r True"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split("5000 ")[1] for line in printed.err.splitlines()] == [
        "does not answer; trying again for up to 180 s",
        "answers again after 4 s; going on",
    ]


@pytest.mark.parametrize(
    "error",
    [
        *(
            f"API request to /x failed with error code {code} != 200"
            for code in (408, 429, 500, 502, 503, 504)
        ),
        *("Connection refused", "Read TIMED OUT", "max retries exceeded", "host unreachable"),
    ],
)
def test_a_server_that_is_overloaded_or_behind_a_proxy_counts_as_away(clock, error: str) -> None:
    assert patient(Client(clock, 3.0, error), []).get_run("r", fresh=True)
    assert clock.now >= 3.0


@pytest.mark.parametrize(
    "error",
    [
        *(
            "API request to /x failed with error code 404",
            "API request to /x failed with error code 400",
        ),
        "no such run",
    ],
)
def test_an_answer_that_is_an_error_is_not_waited_for(clock: Clock, error: str) -> None:
    said: list[tuple[float, str]] = []
    with pytest.raises(RuntimeError, match=error):
        patient(Client(clock, 3.0, error), said).get_run("r", fresh=True)
    assert (clock.now, said) == (0.0, [])
