"""Where galleries are: in the folder of their pictures, in one of their own, or at a store's address."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lookalike import stores
from lookalike.errors import NotFound, UsageError
from lookalike.sources.folder import GALLERIES

DEFAULT_NAME = "default"
ENVIRONMENT = "LOOKALIKE_GALLERY"
"""The environment variable that names the gallery where nothing else does."""


def address(root: str | None, name: str, gallery: str | None) -> str:
    """The address of a gallery that may not be there yet.

    Args:
        root: the folder of the pictures, an absolute path.
        name: which of its galleries.
        gallery: where it is instead. Without root and gallery it is looked for, as `locate` says.

    Raises:
        UsageError: there can be no gallery of that name.
        NotFound: none is found.
    """
    if not name.strip(".") or "/" in name or "\0" in name:
        raise UsageError(
            f"{name!r} is no name for a gallery; expected one without / such as {DEFAULT_NAME!r}"
        )
    if gallery is not None:
        return _settle(gallery, name)
    return locate(".", name) if root is None else inside(root, name)


def inside(root: str, name: str) -> str:
    """The address of a gallery that lies in the folder of its pictures."""
    return os.path.join(root, GALLERIES, name)  # noqa: PTH118


def root_at(address: str, root: str) -> str:
    """The root as the header of a gallery at an address has it: one that lies in its folder moves with it."""
    return "" if address == inside(root, Path(address).name) else root


def destination(to: str, root: str, name: str) -> str:
    """The address meant by a place to copy to: the pictures' own folder has its galleries inside it."""
    if "://" in to:
        return to
    path = absolute(to)
    return inside(path, name) if path == root or names(path) else path


def locate(start: str | os.PathLike[str], name: str) -> str:
    """The gallery that is meant where none is named: `LOOKALIKE_GALLERY`, else upward from start.

    Raises:
        NotFound: no folder from start upward has a gallery of that name.
    """
    if os.environ.get(ENVIRONMENT):
        return _settle(os.environ[ENVIRONMENT], name)
    here = Path(absolute(start))
    for folder in (here, *here.parents):
        if stores.exists(inside(str(folder), name)):
            return inside(str(folder), name)
    raise NotFound(
        f"no gallery {name!r} in {here} or any folder above it: make one with `lookalike index FOLDER`, "
        f"or name one with --gallery or {ENVIRONMENT}"
    )


def names(root: str) -> list[str]:
    """The names of the galleries that a folder has, sorted."""
    with suppress(OSError):
        return sorted(entry.name for entry in Path(root, GALLERIES).iterdir() if stores.exists(entry))
    return []


def absent(address: str, name: str) -> str:
    """What to say where no gallery is; those that the folder has are told."""
    inner = Path(address).parent
    for folder in (address, str(inner.parent) if inner.name == GALLERIES else ""):
        if folder and "://" not in folder and (known := names(folder)):
            are = f"is {known[0]}" if len(known) == 1 else f"are {', '.join(known)}"
            return f"there is no gallery {name!r} in {folder}; there {are}, told by --name"
    return f"there is no gallery at {address}: make one with `lookalike index FOLDER`"


def absolute(path: str | os.PathLike[str]) -> str:
    """An absolute path; a link in it stays."""
    if "\0" in os.fspath(path):
        raise UsageError(f"{path!r} is no path: it holds a NUL")
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def _settle(gallery: str, name: str) -> str:
    """A gallery's address; a folder that has galleries of its own stands for the one of that name."""
    if "://" in gallery:
        return gallery
    path = absolute(gallery)
    own = inside(path, name)
    return own if not stores.exists(path) and stores.exists(own) else path
