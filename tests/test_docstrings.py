"""Every public name is documented by one template, and the checker catches each missing part.

The modules are found on their own. Examples are run by ``pytest --doctest-modules``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from functools import cache, cached_property
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import kdcheck
from kdcheck.verdict import Fault

MODULES = [
    "kdcheck",
    *(module.name for module in pkgutil.walk_packages(kdcheck.__path__, "kdcheck.")),
]
MODULES.remove("kdcheck.__main__")  # importing it runs the command line
ARRAY_TYPES = ("Tensor", "Array", "Floats")
IN_NATS = re.compile(r"entropy|kl_|nll|_rate|constant|^erm$|label_smoothing|distillation|penalty$")


def public_names(module: ModuleType) -> list[str]:
    """Functions and classes that the module itself defines without an underscore.

    What it takes from elsewhere is checked where it is defined. Hooks are documented by pytest.
    """
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith(("_", "pytest_"))
        and (inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value)))
        and value.__module__ == module.__name__
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
        faults += [
            f"argument {name}"
            for name in arguments
            if not re.search(rf"^    \*{{0,2}}{name}:", described, re.MULTILINE)
        ]
    return faults


def methods(value: type) -> list[str]:
    """Public methods and properties that the class itself defines."""
    kinds = (FunctionType, classmethod, staticmethod, property, cached_property)
    return [
        name for name, each in vars(value).items() if name[0] != "_" and isinstance(each, kinds)
    ]


def faults(value) -> list[str]:
    """What the docstring of a public function or class lacks."""
    text = inspect.cleandoc(value.__doc__ or "")  # its own, not what it inherits
    if not text.partition("\n\n")[0].endswith("."):
        return ["summary"]
    if inspect.isclass(value):
        missing = [f"summary of {name}" for name in methods(value) if not vars(value)[name].__doc__]
        if issubclass(value, Exception) or Fault in value.__bases__:
            return missing  # an outcome, not a formula: its base class shows how it reads
    else:
        missing = function_faults(value)
    if not re.search(r"^Source: \S", text, re.MULTILINE):
        missing.append("Source:")
    if ">>> " not in text:
        missing.append("example")
    return missing


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_summary_shapes_units_errors_source_and_example(module):
    loaded = importlib.import_module(module)
    found = {name: faults(getattr(loaded, name)) for name in public_names(loaded)}
    assert {name: missing for name, missing in found.items() if missing} == {}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module):
    assert importlib.import_module(module).__doc__


def test_every_file_of_the_package_is_looked_at():
    root = Path(kdcheck.__file__).parent
    files = {path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")}
    files.remove(Path("kdcheck/__main__"))
    assert {".".join(file.parts).removesuffix(".__init__") for file in files} == set(MODULES)


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


def test_what_a_module_defines_is_public_and_what_it_borrows_hides_or_hooks_is_not():
    planted = ModuleType("planted")
    for name in ("plain", "_hidden", "pytest_configure", "cached"):

        def function():
            pass

        function.__module__ = "planted"
        vars(planted)[name] = cache(function) if name == "cached" else function
    vars(planted).update(borrowed=textwrap.dedent, constant=3)
    assert public_names(planted) == ["cached", "plain"]


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

        @property
        def name(self):
            return "loss"

        @classmethod
        def from_dict(cls):
            return cls()

    missing = [f"summary of {method}" for method in ("per_example", "name", "from_dict")]
    assert faults(Objective) == missing


def test_the_checker_asks_an_exception_for_its_summary_alone():
    class Undocumented(Exception):  # noqa: N818
        pass

    class Documented(Exception):  # noqa: N818
        """What went wrong."""

    assert faults(Documented) == []
    assert faults(Undocumented) == ["summary"]
