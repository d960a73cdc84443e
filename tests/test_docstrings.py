"""Every public name is documented by one template, and the checker catches each missing part.

Examples are run by ``pytest --doctest-modules``. Hooks are pytest's names, documented there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from types import ModuleType

import pytest

import kdcheck

ROOMS = [
    "kdcheck.engine.loop",
    "kdcheck.evidence.record",
    "kdcheck.evidence.store",
    "kdcheck.objectives.family",
    "kdcheck.objectives.losses",
    "kdcheck.objectives.targets",
    "kdcheck.study.arms",
    "kdcheck.study.measures",
    "kdcheck.study.scale",
    "kdcheck.study.study",
]
"""Modules below a package that users import by themselves."""
MODULES = [
    *(f"kdcheck.{name}" for _, name, _ in pkgutil.iter_modules(kdcheck.__path__) if name[0] != "_"),
    *ROOMS,
]
"""Every module and package of the first level, found on disk; a package shows what it exports."""
ARRAY_TYPES = ("Tensor", "Array", "Floats")
IN_NATS = re.compile(r"entropy|kl_|nll|rate|constant|^erm$|label_smoothing|distillation|penalty$")


def public_names(module: ModuleType) -> list[str]:
    """Functions and classes of ``__all__``, or those that the module itself defines."""
    listed = getattr(module, "__all__", None)
    return sorted(
        name
        for name in listed or vars(module)
        if not name.startswith(("_", "pytest_"))
        and (inspect.isfunction(value := getattr(module, name)) or inspect.isclass(value))
        and (listed or value.__module__ == module.__name__)
    )


def parameters(function) -> dict[str, str]:
    """Names and annotations, without self and cls."""
    found = inspect.signature(function).parameters.values()
    return {p.name: str(p.annotation) for p in found if p.name not in {"self", "cls"}}


def gives_something(function) -> bool:
    return inspect.signature(function).return_annotation not in (None, "None")


def raises(function) -> bool:
    """Whether the body raises, or calls a check, which does."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called.lstrip("_").startswith("check"):
                return True
    return False


def function_faults(function) -> list[str]:
    text = inspect.cleandoc(function.__doc__ or "")
    arguments = parameters(function)
    has_arrays = any(kind in note for note in arguments.values() for kind in ARRAY_TYPES)
    wanted = {
        "shape": has_arrays,
        "nats": bool(IN_NATS.search(function.__name__)) and bool(arguments),
        "Raises:": raises(function),
        "Returns:": "Args:" in text and gives_something(function),
    }
    faults = [part for part, needed in wanted.items() if needed and part not in text]
    if "Args:" in text:
        described = text.partition("Args:")[2]
        faults += [f"argument {name}" for name in arguments if f"    {name}:" not in described]
    return faults


def faults(value) -> list[str]:
    """What the docstring of a public function or class lacks."""
    text = inspect.cleandoc(value.__doc__ or "")  # its own, not what it inherits
    if not text.partition("\n\n")[0].endswith("."):
        return ["summary"]
    if inspect.isclass(value):
        methods = {k: v for k, v in vars(value).items() if inspect.isfunction(v) and k[0] != "_"}
        missing = [f"summary of {name}" for name, method in methods.items() if not method.__doc__]
        if issubclass(value, Exception):
            return missing  # an outcome, not a formula: its base class shows how it reads
    else:
        missing = function_faults(value)
    if not re.search(r"^Source: \S", text, re.MULTILINE):
        missing.append("Source:")
    if ">>> " not in text:
        missing.append("example")
    return missing


PUBLIC = [
    (module, name) for module in MODULES for name in public_names(importlib.import_module(module))
]


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_has_summary_shapes_units_errors_source_and_example(module, name):
    value = getattr(importlib.import_module(module), name)
    assert faults(value) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for_and_names_nothing_twice(module):
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    assert len(set(public_names(loaded))) == len(public_names(loaded))


def test_names_are_found_in_every_part_of_the_core():
    parts = {module.split(".")[1] for module, _ in PUBLIC}
    assert {"information", "objectives", "metrics", "theory", "paper", "tasks", "verdict"} <= parts
    assert len(PUBLIC) > 150


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


def test_the_checker_passes_a_whole_docstring():
    assert faults(documented(WHOLE)) == []


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
        ("Source: Shannon 1948, section 6.", "Source:", "Source:"),
        (">>> ", "", "example"),
    ],
)
def test_the_checker_catches_a_docstring_without_each_part(part, replacement, fault):
    assert part in WHOLE
    assert faults(documented(WHOLE.replace(part, replacement))) == [fault]


def test_the_checker_catches_a_function_that_raises_by_itself():
    def shout(text: str) -> None:
        """Say it loud.

        Source: none.

        >>> shout("a")
        """
        raise ValueError(text)

    assert faults(shout) == ["Raises:"]


def test_the_checker_catches_a_class_whose_method_is_not_documented():
    class Objective:
        """A loss.

        Source: Eq. 1.

        >>> Objective()
        """

        def per_example(self):
            return None

    assert faults(Objective) == ["summary of per_example"]


def test_the_checker_asks_an_exception_for_its_summary_alone():
    class Undocumented(Exception):  # noqa: N818
        pass

    class Documented(Exception):  # noqa: N818
        """What went wrong."""

    assert faults(Documented) == []
    assert faults(Undocumented) == ["summary"]
