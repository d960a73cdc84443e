"""Waiting for a tracking server that went away: said at once, for a stated time, then an error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from kdcheck.errors import EvidenceError
from kdcheck.evidence.faults import SERVER
from kdcheck.places import Location, without_credentials

WAIT_SECONDS = 180
"""How long a server may be away: long enough to be started again."""
LOOK_SECONDS = 2.0
BUSY = tuple(f"error code {code}" for code in (408, 429, 500, 502, 503, 504))
"""What a server answers that is overloaded, or a proxy whose server is away."""


def to_stderr(text: str) -> None:
    """Tell the user, so that it is seen where output is kept."""
    print(text, file=sys.stderr, flush=True)


class Patient:
    """A client whose calls are made again while its server is away.

    What was asked may have been done before the answer was lost. Asking again changes nothing but for a
    new run, of which a second is taken for one that a dead process left.

    Args:
        client: of MLflow, told to try once.
        location: whose server it asks.
        say: what tells the user.
    """

    def __init__(
        self, client: Any, location: Location, say: Callable[[str], None] = to_stderr
    ) -> None:
        self._client, self._location, self._say = client, location, say

    def __getattr__(self, name: str) -> Any:
        """A method of the client, patient."""
        method = getattr(self._client, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._until_answered(lambda: method(*args, **kwargs))

        return call if callable(method) else method

    def _until_answered(self, ask: Callable[[], Any]) -> Any:
        """The answer.

        Raises:
            EvidenceError: there is none in all the time that the server has.
        """
        gone_at: float | None = None
        while True:
            try:
                found = ask()
            except Exception as error:  # whatever the client, requests or urllib3 raise
                if not _is_gone(error):
                    raise
                gone_at = self._wait(error, gone_at)
            else:
                if gone_at is not None:
                    self._tell(f"answers again after {time.monotonic() - gone_at:.0f} s; going on")
                return found

    def _wait(self, error: Exception, gone_at: float | None) -> float:
        """Wait a little; when the server was first away."""
        if gone_at is None:
            gone_at = time.monotonic()
            self._tell(f"does not answer; trying again for up to {WAIT_SECONDS} s")
        elif time.monotonic() - gone_at >= WAIT_SECONDS:
            got = f"no answer in {WAIT_SECONDS} s ({_first_line(error)})"
            who = f"store {self._location}"
            raise EvidenceError(who, got, SERVER.wanted, SERVER.next_step) from None
        time.sleep(LOOK_SECONDS)
        return gone_at

    def _tell(self, text: str) -> None:
        self._say(f"kdcheck: the tracking server {self._location.address} {text}")


def _is_gone(error: Exception) -> bool:
    text = str(error).lower()
    signs = BUSY if "error code" in text else SERVER.signs
    return any(sign in text for sign in signs)


def _first_line(error: Exception) -> str:
    return without_credentials(str(error).strip().split("\n")[0])[:200]
