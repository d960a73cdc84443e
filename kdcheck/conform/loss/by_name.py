"""A loss by its name, ``package.module:name`` or ``file.py:name``, imported from where it is."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from kdcheck.errors import ConformError, brief


def named(text: str) -> Any:
    """The function, class or object of that name.

    Args:
        text: a module, a colon, and a name in it; dots lead on to attributes.

    Returns:
        What stands under the name.

    Raises:
        ConformError: there is no such module or name, or the import fails.

    >>> named("math:tau") / named("math:pi")
    2.0
    """
    where, colon, name = text.rpartition(":")
    if not (colon and where and name):
        step = "As in my_package.losses:kd_loss or losses.py:kd_loss."
        raise ConformError("conform", repr(text), "MODULE:NAME", step)
    found: Any = _module(where)
    for part in name.split("."):
        if not hasattr(found, part):
            known = ", ".join(sorted(each for each in vars(found) if each[0] != "_")[:12])
            wanted = f"a name in {where}, such as {known}"
            raise ConformError(text, f"the name {part!r}", wanted, "Check the spelling.")
        found = getattr(found, part)
    return found


def _module(where: str) -> ModuleType:
    sys.path.insert(0, "")  # as `python -m` does: modules of this folder come first
    try:
        return _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as error:  # one that exits would end kdcheck, with its own code
        got = f"an import that fails: {brief(error)}"
        step = "Install the package, or check the spelling and the folder."
        raise ConformError(where, got, "a module or a .py file", step) from error
    finally:
        sys.path.remove("")


def _from_file(path: Path) -> ModuleType:
    """The module of a file; of the packages around it nothing is run but what it imports itself."""
    file = path.resolve(strict=True)
    folder, names = file.parent, [file.stem]
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    for depth in range(1, len(names)):  # so that its relative imports are found
        package = ModuleType(".".join(names[:depth]))
        package.__spec__ = ModuleSpec(package.__name__, None, is_package=True)
        package.__path__ = [str(folder.joinpath(*names[:depth]))]
        sys.modules.setdefault(package.__name__, package)
    spec = importlib.util.spec_from_file_location(".".join(names), file)
    assert spec is not None
    assert spec.loader is not None  # a .py file has one
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(module.__name__, module)
    spec.loader.exec_module(module)
    return module
