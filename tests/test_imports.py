"""Which way imports may point, and what loading the core may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "kdcheck"
HEAVY = ("mlflow", "transformers", "datasets")
CORE = ("information", "objectives", "metrics", "theory")

# Rooms from the bottom up: a room may import itself and rooms named before it. What one paper says
# stands above the machinery, which would serve another paper without a changed line.
ROOMS = (
    *(
        "errors",
        "plural",
        "places",
        "border",
        "checks",
        "theory",
        "information",
        "metrics",
        "objectives",
    ),
    *("claims", "verdict", "fetch", "pins", "tasks", "encoders", "recipe", "evidence", "engine"),
    *("study", "report", "planning", "plugin", "testing", "conform", "zoo", "paper", "cli"),
)
# Rooms of arithmetic: nothing but these third parties may be imported, at any depth of the file.
PURE = {
    "checks": {"numpy"},
    "theory": {"numpy"},
    "information": {"numpy", "torch"},
    "objectives": {"numpy", "torch"},
    "metrics": {"numpy"},
    "claims": {"numpy", "scipy"},
    "verdict": {"numpy", "scipy"},
}


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh process has loaded after running the code."""
    report = "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports, at any depth, type-checking blocks included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "kdcheck" and parts[1] in ROOMS else None


def upward_imports(package: Path) -> list[str]:
    """Imports that point from a lower room to a higher one."""
    found = []
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).with_suffix("").parts[0]
        if room.startswith("__"):
            continue
        for name in sorted(imports_of(path)):
            other = room_of(name)
            if other is not None and ROOMS.index(other) > ROOMS.index(room):
                found.append(f"{room} -> {other} ({path.name})")
    return found


def test_importing_the_core_loads_no_heavy_library() -> None:
    loaded = loaded_after("; ".join(f"import kdcheck.{name}" for name in CORE))
    assert "torch" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("heavy", HEAVY)
def test_a_heavy_library_that_is_loaded_would_be_noticed(heavy: str) -> None:
    # Stand-ins are enough: what is tested is the reader of sys.modules, not the library.
    planted = f"import sys, types; sys.modules[{heavy!r}] = types.ModuleType({heavy!r})"
    assert heavy in loaded_after(planted)


def test_importing_kdcheck_loads_neither_torch_nor_numpy() -> None:
    assert not loaded_after("import kdcheck") & {"torch", "numpy", *HEAVY}


def test_building_the_command_line_loads_nothing_heavy() -> None:
    loaded = loaded_after("from kdcheck.cli import build_parser; build_parser()")
    assert not loaded & {"torch", "scipy", "pandas", *HEAVY}


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {room for room in rooms if not room.startswith("_")} <= {*ROOMS, "py"}


def test_no_import_points_upwards() -> None:
    assert upward_imports(PACKAGE) == []


def test_an_upward_import_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "theory.py").write_text("def f():\n    from kdcheck.engine import loop\n")
    assert upward_imports(tmp_path) == ["theory -> engine (theory.py)"] * 2


@pytest.mark.parametrize("room", PURE)
def test_arithmetic_imports_its_own_few_libraries_alone(room: str) -> None:
    path = PACKAGE / room
    files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else path.rglob("*.py")
    third_parties = {
        name.partition(".")[0]
        for file in files
        for name in imports_of(file)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "kdcheck"}
    }
    assert third_parties <= PURE[room]


# Imports inside functions are for what takes long to load and may not be needed: these libraries,
# and whatever a verb or a hook of the plugin needs, so that --help and other people's pytest runs stay
# quick (the tests above). Any other is listed here with its reason.
SLOW = {
    *(
        "alembic",
        "datasets",
        "filelock",
        "huggingface_hub",
        "mlflow",
        "pyarrow",
        "rich",
        "sqlalchemy",
    ),
    *("safetensors", "scipy", "tokenizers", "transformers"),
}
LAZY_ROOMS = ("cli", "plugin")
LISTED = {
    ("cli/doctor.py", "torch"): "a machine is asked about when it is looked at",
    ("engine/settings.py", "resource"): "Windows has none",
    ("study/resources.py", "kdcheck.encoders"): "transformers: verdicts on stored runs need none",
    ("study/resources.py", "kdcheck.engine.inputs"): "torch: a second run judges without it",
    ("study/resources.py", "kdcheck.study.tokens"): "tokenizers: planning needs no tokens",
    ("study/session.py", "kdcheck.evidence.store"): "mlflow: planning comes first",
    ("study/work.py", "kdcheck.engine.loop"): "torch: a job whose runs are all there needs none",
    ("study/work.py", "kdcheck.engine.settings"): "the same",
    ("study/nursery.py", "kdcheck.study"): "torch: what cannot be imported is told by a worker",
    ("study/worker.py", "kdcheck.engine.loop"): "a worker imports ahead while the study is planned",
    ("study/worker.py", "kdcheck.evidence.database"): "the same",
    ("study/worker.py", "kdcheck.evidence.store"): "the same",
}


def imports_in_functions(package: Path) -> list[tuple[str, str]]:
    """File and module of every import that stands inside a function."""
    found = set()
    for path in package.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    name = str(path.relative_to(package))
                    if isinstance(node, ast.Import):
                        found |= {(name, alias.name) for alias in node.names}
                    elif isinstance(node, ast.ImportFrom):
                        found.add((name, str(node.module)))
    return sorted(found)


def test_imports_inside_functions_are_of_slow_libraries_or_listed() -> None:
    found = [
        (file, name)
        for file, name in imports_in_functions(PACKAGE)
        if name.partition(".")[0] not in SLOW
        and not (file.startswith(LAZY_ROOMS) and name.startswith("kdcheck."))
    ]
    assert [each for each in found if each not in LISTED] == []
    assert [each for each in LISTED if each not in found] == [], "listed and gone"


def test_an_import_inside_a_function_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "theory.py").write_text("def f():\n    import json\n    from os import path\n")
    assert imports_in_functions(tmp_path) == [("theory.py", "json"), ("theory.py", "os")]


def modules_imported(path: Path, known: set[str]) -> set[str]:
    """Modules of the package that a file imports; ``from folder import module`` is that module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else str(node.module) for name in inner}
    return found & known


def circles(package: Path) -> list[list[str]]:
    """Modules that import each other, in whatever roundabout way; for type checkers alone counts."""
    names = {}
    for path in package.rglob("*.py"):
        dotted = ".".join(("kdcheck", *path.relative_to(package).with_suffix("").parts))
        names[dotted.removesuffix(".__init__")] = path
    graph = {name: modules_imported(path, set(names)) - {name} for name, path in names.items()}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    reach = {name: reached(name) for name in graph}
    found = {
        tuple(sorted({name, *(o for o in reach[name] if name in reach[o])}))
        for name in graph
        if name in reach[name]
    }
    return sorted(map(list, found))


def test_no_modules_import_each_other() -> None:
    assert circles(PACKAGE) == []


def test_a_circle_inside_a_folder_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "a.py").write_text("import kdcheck.engine.b\n")
    (tmp_path / "engine" / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from kdcheck.engine.a import x\n"
    )
    assert circles(tmp_path) == [["kdcheck.engine.a", "kdcheck.engine.b"]]
