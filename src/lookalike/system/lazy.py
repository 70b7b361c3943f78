"""Names of a package that are loaded when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def attributes(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` (PEP 562) of a package that loads each name with its module.

    Args:
        package: the package's name.
        places: for each name the module of the package that has it.

    >>> attributes("lookalike", {"Term": "types"})("Term").__name__
    'Term'
    """

    def load(name: str) -> object:
        if name in places:
            return getattr(import_module(f"{package}.{places[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
