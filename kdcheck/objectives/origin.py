"""Where objectives of other projects are defined, so that another process can load them too."""

from __future__ import annotations

import importlib
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from kdcheck.errors import ParameterError, brief
from kdcheck.objectives.objective import Objective

_INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")
)


def modules_of(objectives: Iterable[Objective]) -> tuple[str, ...]:
    """The modules outside kdcheck that define the objectives, each once, in order.

    Args:
        objectives: any, those of kdcheck among them.

    Returns:
        The name of an installed module, else the path of its file, which any process can load.

    Raises:
        ParameterError: an objective made at a prompt, where no file defines it.

    >>> from kdcheck.objectives import ERM
    >>> modules_of([ERM()])
    ()
    """
    found = (_module_of(type(objective)) for objective in objectives)
    return tuple(dict.fromkeys(module for module in found if module))


def _module_of(cls: type[Objective]) -> str | None:
    name = cls.__module__
    if name.partition(".")[0] == "kdcheck":
        return None
    file = _file_of(name)
    if file is None:
        got = f"module {name!r}, which is no file"
        wanted = "a class in a file, which workers can load"
        step = "Put the class into a .py file and import it from there."
        raise ParameterError(f"objective {cls.name!r}", got, wanted, step)
    is_installed = any(file.is_relative_to(folder) for folder in _INSTALLED)
    return name if is_installed and name != "__main__" else str(file)


def load_modules(modules: Iterable[str]) -> None:
    """Import modules that define objectives; one that this process has loaded is left alone.

    Args:
        modules: names, or paths of ``.py`` files. The folder of a file, or of the outermost package
            that holds it, is put first on ``sys.path``, as Python does for a script.

    Raises:
        ParameterError: a module that cannot be imported; the message says why.

    >>> load_modules(["no_such_module"])
    Traceback (most recent call last):
        ...
    kdcheck.errors.ParameterError: module of an objective: got 'no_such_module', whose import fails: \
ModuleNotFoundError: No module named 'no_such_module'; wanted the name of a module or the path of a \
.py file that can be imported. Check the spelling, and whether the file is still there.
    """
    for module in modules:
        try:
            _load(module)
        except (Exception, SystemExit) as error:
            got = f"{module!r}, whose import fails: {brief(error)}"
            wanted = "the name of a module or the path of a .py file that can be imported"
            step = "Check the spelling, and whether the file is still there."
            raise ParameterError("module of an objective", got, wanted, step) from error


def _load(module: str) -> None:
    if not module.endswith(".py"):
        importlib.import_module(module)
        return
    file = Path(module).resolve(strict=True)
    # Under whatever name: a class that is made twice would be two objectives of one name.
    if any(_file_of(name) == file for name in list(sys.modules)):
        return
    names, folder = [file.stem] if file.stem != "__init__" else [], file.parent
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    importlib.import_module(".".join(names))


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None
