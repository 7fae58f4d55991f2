"""The package under the name of its distribution: ``from what_happens_to_bert import similarity``.

Its code is in ``helpers``, a name that a file of yours may have as well. Imported first, this package sees
to it that ``helpers`` is the folder beside it, whatever the working folder has under that name.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).resolve().parents[1] / "helpers"


def _load() -> None:
    """Put the folder's ``helpers`` among the imported modules. Raises ImportError if another one is there."""
    if "helpers" in sys.modules:
        file = sys.modules["helpers"].__file__
        if file is None or Path(file).resolve().parent != _FOLDER:
            raise ImportError(f"another helpers was imported before: {file}; import {__name__} first")
        return
    spec = importlib.util.spec_from_file_location("helpers", _FOLDER / "__init__.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["helpers"] = module
    spec.loader.exec_module(module)


def __getattr__(name: str) -> ModuleType:
    if importlib.util.find_spec(f"helpers.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"helpers.{name}")


_load()
