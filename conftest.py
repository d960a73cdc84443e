"""For every test: Hypothesis profiles, one compute thread, and a fixed torch seed.

``ci`` is the default and is deterministic: the same examples on every run, on every machine.
Choose another with ``pytest --hypothesis-profile=thorough`` or ``KDCHECK_HYPOTHESIS=thorough``.
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# Set before torch is imported, and inherited by subprocesses: the order in which threads add decides
# the last bits of a sum, and test workers must not fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Deadlines measure the machine, not the code; a stored example would make two runs differ.
settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, database=None, max_examples=40
)
settings.register_profile("dev", deadline=None, print_blob=True, max_examples=40)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=1000)
settings.register_profile(
    "fuzz",
    derandomize=True,
    deadline=None,
    print_blob=True,
    database=None,
    max_examples=20_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("KDCHECK_HYPOTHESIS", "ci"))


@pytest.fixture(autouse=True)
def fixed_torch_seed():
    """Seed torch where a test has it loaded; Hypothesis does the same for random and numpy."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
