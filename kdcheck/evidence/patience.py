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
PROXY = ("error code 502", "error code 503", "error code 504")
"""What a proxy answers whose server is away."""


class Patient:
    """A client whose every call waits while its server is away, and is then made again.

    What was asked may have been done before the answer was lost. Asking again changes nothing but for a
    new run, of which a second is taken for one that a dead process left.

    Args:
        client: of MLflow, told to try once.
        location: whose server it asks.
        answers: raises an EvidenceError while the server does not answer.
        say: what tells the user; the standard error, so that it is seen where output is kept.
    """

    def __init__(
        self,
        client: Any,
        location: Location,
        answers: Callable[[Location], None],
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        self._client, self._location = client, location
        self._answers, self._say = answers, say

    def __getattr__(self, name: str) -> Any:
        """A method of the client, patient."""
        method = getattr(self._client, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except Exception as error:  # whatever the client, requests or urllib3 raise
                if not _is_gone(error):
                    raise
                self._wait(error)
            return method(*args, **kwargs)

        return call

    def _wait(self, error: Exception) -> None:
        """Return when the server answers.

        Raises:
            EvidenceError: it does not in all the time that it has.
        """
        where = f"the tracking server {self._location.address}"
        self._say(f"kdcheck: {where} does not answer; waiting up to {WAIT_SECONDS} s for it")
        started = time.monotonic()
        while (waited := time.monotonic() - started) < WAIT_SECONDS:
            try:
                self._answers(self._location)
            except EvidenceError:
                time.sleep(LOOK_SECONDS)
            else:
                self._say(f"kdcheck: {where} answers again after {waited:.0f} s; going on")
                return
        got = f"no answer in {WAIT_SECONDS} s ({_first_line(error)})"
        raise EvidenceError(
            f"store {self._location}", got, SERVER.wanted, SERVER.next_step
        ) from None


def _is_gone(error: Exception) -> bool:
    text = str(error).lower()
    # What has an error code was answered, if only by a proxy before the server.
    signs = PROXY if "error code" in text else SERVER.signs
    return any(sign in text for sign in signs)


def _first_line(error: Exception) -> str:
    return without_credentials(str(error).strip().split("\n")[0])[:200]
