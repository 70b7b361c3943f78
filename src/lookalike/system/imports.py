"""Names that are loaded when they are first asked for, and what to install where a package is missing."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lookalike.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OF_EXTRA = re.compile(r""";\s*(?:(?P<others>.*\S)\s+and\s+)?extra\s*==\s*['"](?P<extra>[\w-]+)['"]\s*$""")


def missing(what: str, extra: str) -> MissingExtra:
    """Return the error that says what an extra is needed for, and how to install it.

    >>> print(missing("a plot", "plot"))  # doctest: +SKIP
    a plot needs an extra package: pip install '.[plot]'
    """
    return MissingExtra(f"{what} needs an extra package: {install_command(extra)}")


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra, for the way lookalike itself was installed.

    No index of packages has lookalike: its bare name would fetch nothing, or what a stranger registered under
    it. So the command names the folder that lookalike was installed from, or else the packages that the
    extra consists of.

    Args:
        extra: a name from `[project.optional-dependencies]`.
    """
    folder, editable = _source()
    if folder is None:
        return f"pip install {shlex.join(_requirements(extra))}"
    here = "." if _is_here(folder) else str(folder)
    return f"pip install {'-e ' if editable else ''}{shlex.quote(f'{here}[{extra}]')}"


def _source() -> tuple[Path | None, bool]:
    """The folder that lookalike was installed from, if it still has the project; whether it runs from there.

    pip leaves both in `direct_url.json` (PEP 610).
    """
    from importlib.metadata import PackageNotFoundError, distribution

    with suppress(PackageNotFoundError, OSError, ValueError, KeyError, TypeError, AttributeError):
        origin = json.loads(distribution("lookalike").read_text("direct_url.json") or "")
        url = urlsplit(origin["url"])
        folder = Path(unquote(url.path))
        if url.scheme == "file" and (folder / "pyproject.toml").is_file():
            return folder, bool(origin["dir_info"].get("editable"))
    return None, False


def _is_here(folder: Path) -> bool:
    try:
        return folder.samefile(".")
    except OSError:
        return False


def _requirements(extra: str) -> list[str]:
    """The packages of an extra; a condition on the system stays behind its package."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("lookalike") or []
    except PackageNotFoundError:
        declared = []
    found = []
    for requirement in declared:
        condition = _OF_EXTRA.search(requirement)
        if condition and condition["extra"] == extra:
            others = condition["others"]
            found.append(requirement[: condition.start()].strip() + (f"; {others}" if others else ""))
    return found


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
