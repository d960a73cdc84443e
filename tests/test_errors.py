"""Exceptions: four facts each, kept across processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from kdcheck import errors
from kdcheck.errors import InputError, KdcheckError

ALL = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__
]
FACTS = ("entropy", "K = 1", "at least 2 classes", "Check the last axis.")


@pytest.mark.parametrize("cls", ALL)
def test_the_message_says_who_got_wanted_and_the_next_step(cls):
    error = cls(*FACTS)
    assert str(error) == "entropy: got K = 1; wanted at least 2 classes. Check the last axis."
    assert (error.who, error.got, error.wanted, error.next_step) == FACTS
    assert error.args == FACTS


@pytest.mark.parametrize("cls", ALL)
def test_type_message_and_facts_survive_pickling(cls):
    copy = pickle.loads(pickle.dumps(cls(*FACTS)))  # noqa: S301 - our own bytes
    assert type(copy) is cls
    assert str(copy) == str(cls(*FACTS))
    assert vars(copy) == vars(cls(*FACTS))


@pytest.mark.parametrize("cls", ALL)
def test_everything_raised_on_purpose_is_caught_by_one_except_clause(cls):
    assert issubclass(cls, KdcheckError)
    assert cls.__doc__


def test_errors_about_a_value_are_value_errors_and_failures_of_the_world_are_not():
    about_values = {cls.__name__ for cls in ALL if issubclass(cls, ValueError)}
    assert about_values == {cls.__name__ for cls in ALL if issubclass(cls, InputError)}
    assert {"PosteriorError", "LogitError", "LabelError", "ParameterError"} <= about_values
    assert not {"TrainingError", "FetchError", "EvidenceError"} & about_values
