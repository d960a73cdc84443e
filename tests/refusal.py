"""A refusal that names what its reader needs to know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind: type[Exception], *facts: str) -> Iterator[pytest.ExceptionInfo]:
    """Around what is to be refused with an error whose message has every fact in it."""
    with pytest.raises(kind) as caught:
        yield caught
    for fact in facts:
        assert fact in str(caught.value)
