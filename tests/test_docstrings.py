"""Docstrings hold what a reader needs, examples can fail, and the checker catches each fault.

Examples are run by ``pytest --doctest-modules``.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import kdcheck
from kdcheck.objectives import Objective
from kdcheck.verdict import Fault

ROOT = Path(kdcheck.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# Documented in full: a module stands for the names it defines, a package for its front door.
MATHEMATICS = (
    "kdcheck.information",
    "kdcheck.metrics",
    "kdcheck.objectives.losses",
    "kdcheck.objectives.members",
    "kdcheck.objectives.targets",
    "kdcheck.theory",
    "kdcheck.verdict.p_values",
    "kdcheck.verdict.seeds_needed",
    "kdcheck.verdict.published",
)
USED = (
    "kdcheck.claims",
    "kdcheck.conform.loss",
    "kdcheck.engine.loop:train",
    "kdcheck.objectives",
    "kdcheck.paper",
    "kdcheck.recipe:Recipe",
    "kdcheck.report:build,html,write",
    "kdcheck.study.study",
    "kdcheck.testing",
    "kdcheck.verdict",
)
ARRAY_TYPES = ("Tensor", "Array", "Floats")
IN_NATS = re.compile(r"entropy|kl_|nll|_rate|constant|^erm$|label_smoothing|distillation|penalty$")
NO_CHECK = re.compile(r"\.__\w+__|\b(?:hasattr|callable|isinstance|issubclass)\(")
COMPUTE = (ast.Call, ast.BinOp, ast.Subscript)
METHODS = (FunctionType, classmethod, staticmethod, property, cached_property)


def public_names(module: ModuleType) -> list[str]:
    """The front door of a package, or the functions and classes that a module itself defines."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if callable(getattr(module, name))]
    return [
        name
        for name, value in vars(module).items()
        if name[0] != "_" and callable(value) and value.__module__ == module.__name__
    ]


def raises(function) -> bool:
    """Whether the body raises, or calls a check, which does."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Raise) or re.search(r"(^|\.)_?check\w*$", called):
            return True
    return False


def function_faults(function, text: str) -> list[str]:
    signature = inspect.signature(function)
    notes = {p.name: str(p.annotation) for p in signature.parameters.values()}
    wanted = {
        "shape": any(kind in note for note in notes.values() for kind in ARRAY_TYPES),
        "nats": bool(IN_NATS.search(function.__name__)) and bool(notes),
        "Raises:": raises(function),
        "Returns:": "Args:" in text and signature.return_annotation not in (None, "None"),
    }
    if re.match(r".*\breturn\b", text):  # the first line says what
        wanted["Returns:"] = False
    faults = [part for part, needed in wanted.items() if needed and part not in text]
    described = text.partition("Args:")[2]
    lacking = (n for n in notes if not re.search(rf"^    \*{{0,2}}{n}:", described, re.MULTILINE))
    return faults + [f"argument {name}" for name in lacking if described]


def lacks(value, *, source: bool) -> list[str]:
    """What the docstring of a name that is documented in full lacks."""
    text = inspect.cleandoc(value.__doc__ or "")  # its own, not what it inherits
    if not text.partition("\n\n")[0].endswith("."):
        return ["summary"]
    if inspect.isclass(value):
        own = {n: e for n, e in vars(value).items() if n[0] != "_" and isinstance(e, METHODS)}
        missing = [f"summary of {name}" for name, each in own.items() if not each.__doc__]
        if issubclass(value, Exception) or Fault in value.__bases__ or not own:
            return missing  # an outcome or a record, which others return and take
        source = source and issubclass(value, Objective)
    else:
        missing = function_faults(value, text)
    if source and not re.search(r"^Source: \S", text, re.MULTILINE):
        missing.append("Source:")
    pages = re.findall(r"docs/\S+\.md has an example", text)
    return missing if ">>> " in text or pages else [*missing, "example"]


def docstrings(code: str) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, kinds):
            yield ast.get_docstring(node) or ""


def empty_words(text: str) -> list[str]:
    """What a docstring says that tells nothing: no source, and examples that cannot fail."""
    faults = re.findall(r"^Source: none.*", text, re.MULTILINE | re.IGNORECASE)
    examples = doctest.DocTestParser().get_examples(text)
    bound: set[str] = set()
    for example in examples:
        nodes = list(ast.walk(ast.parse(example.source)))
        names = {node.id: type(node.ctx) for node in nodes if isinstance(node, ast.Name)}
        computes = bound & set(names) or any(isinstance(node, COMPUTE) for node in nodes)
        bound |= {name for name, context in names.items() if context is ast.Store}
        if NO_CHECK.search(example.source) or (example.want and not computes):
            faults.append(example.source.strip())
    if examples and not (examples[-1].want or examples[-1].exc_msg):
        faults.append(examples[-1].source.strip())
    return faults


@pytest.mark.parametrize("where", [*MATHEMATICS, *USED])
def test_mathematics_and_what_users_call_is_documented_in_full(where):
    name, _, named = where.partition(":")
    module = importlib.import_module(name)
    found = {
        each: lacks(getattr(module, each), source=name in MATHEMATICS)
        for each in (named.split(",") if named else public_names(module))
    }
    assert found
    assert {each: missing for each, missing in found.items() if missing} == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_says_what_it_is_for_and_no_docstring_has_empty_words(file):
    summary, *others = docstrings(file.read_text(encoding="utf-8"))
    assert re.search(r"[.?]$", summary.partition("\n\n")[0])
    assert [fault for text in (summary, *others) for fault in empty_words(text)] == []


# Planted faults

WHOLE = """Shannon entropy of each row, in nats.

Args:
    posteriors_NK: shape (N, K).

Returns:
    Shape (N,).

Raises:
    PosteriorError: a row does not sum to 1.

Source: Shannon 1948, section 6.

>>> entropy([[1.0, 0.0]])
"""


def documented(text):
    def entropy(posteriors_NK: Array) -> Array:  # noqa: F821
        check_posteriors(posteriors_NK)  # noqa: F821

    entropy.__doc__ = text
    return entropy


@pytest.mark.parametrize(
    ("part", "replacement", "fault"),
    [
        (WHOLE, "", "summary"),
        ("each row, in nats.\n", "each row, in nats\n", "summary"),
        ("in nats", "in bits", "nats"),
        ("shape (N, K)", "some rows", "shape"),
        ("posteriors_NK:", "p:", "argument posteriors_NK"),
        ("Returns:", "Gives:", "Returns:"),
        ("Raises:", "Otherwise:", "Raises:"),
        ("Source: Shannon 1948, section 6.", "", "Source:"),
        (">>> ", "", "example"),
    ],
)
def test_the_checker_catches_a_full_docstring_without_each_part(part, replacement, fault):
    assert lacks(documented(WHOLE), source=True) == []
    assert lacks(documented(WHOLE.replace(part, replacement)), source=True) == [fault]
    no_source = [] if fault == "Source:" else [fault]
    assert lacks(documented(WHOLE.replace(part, replacement)), source=False) == no_source


def test_the_checker_sees_who_raises_and_whose_method_says_nothing():
    def shout(text: str) -> None:
        """Say it loud.

        >>> shout("a")
        """
        raise ValueError(text)

    class Loss:
        """A loss.

        >>> Loss()
        """

        def per_example(self):
            return None

        name = property(lambda _self: "loss")

    assert lacks(shout, source=False) == ["Raises:"]
    assert lacks(Loss, source=False) == ["summary of per_example", "summary of name"]


CANNOT_FAIL = """\
train.__name__
sorted(Order.__dataclass_fields__)
list(Order.__annotations__)
hasattr(Store, "put")
callable(train)
isinstance(Run(), Run)
issubclass(Run, Base)
Order.teaches
LIMIT is None
"""
NO_OUTPUT = ("import json", "run = Run()", "run = Run()\n>>> run.start()", "check(3)")


@pytest.mark.parametrize(
    "fault",
    [
        "Source: none.",
        "Source: none; fixed before the first run.",
        *(f">>> {example}\nTrue" for example in CANNOT_FAIL.splitlines()),
        *(f">>> {example}" for example in NO_OUTPUT),
    ],
)
def test_the_checker_catches_each_form_of_empty_words(fault):
    assert len(empty_words(f"A line.\n\n{fault}\n")) == 1


def test_the_checker_passes_examples_that_can_fail():
    whole = ">>> run = Run()\n>>> run.start()\n>>> run.steps, run.x is None\n(3, True)\n"
    refusal = ">>> fail()\nTraceback (most recent call last):\n    ...\nValueError: no\n"
    assert empty_words(f"Source: Shannon 1948.\n\n{whole}\n{refusal}") == []
