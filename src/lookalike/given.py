"""What was given to `Gallery.add`, sorted into folders, files and what is no file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lookalike.errors import UsageError
from lookalike.walk import path_of, prefix_of, under

if TYPE_CHECKING:
    from lookalike.images.given import Picture
    from lookalike.types import Store

    Given: TypeAlias = str | os.PathLike[str] | tuple[str, Picture]


class Sorted(NamedTuple):
    """What was given, sorted: folders and files as absolute paths, and the rest, which are no files."""

    folders: list[str]
    files: list[str]
    rest: Iterable[Given]


def sort(pictures: Given | Iterable[Given] | None, root: str, store: Store | None) -> Sorted:
    """Sort what was given to `Gallery.add`; nothing means the folders indexed before, else the root.

    No file is in two of the parts: folders inside others, and files inside folders, go with those,
    and so does what is given by another path to the same place.

    Raises:
        UsageError: a path that is not there, and from below which the gallery has no pictures.
    """
    if pictures is None:
        return Sorted(_existing(_known_folders(root, store), root, store), [], [])
    if isinstance(pictures, str | os.PathLike) or _is_pair(pictures) or not isinstance(pictures, Iterable):
        pictures = [pictures]  # type: ignore[list-item]
    if not isinstance(pictures, Sized):
        # A generator may give more than fits in memory: it is taken one by one, later.
        return Sorted([], [], pictures)
    given: list[tuple[Given, str | None]] = [(item, path_given(item)) for item in pictures]  # type: ignore[arg-type, misc]
    paths = dict.fromkeys(_seen_from(path, root) for _, path in given if path is not None)
    folders = _outermost(path for path in paths if not os.path.isfile(path))  # noqa: PTH113
    if any(_inside(root, folder) and root != folder for folder in folders):
        folders.append(root)  # the root's own pictures have relative ids
    files = [
        path
        for path in paths
        if os.path.isfile(path) and not any(_inside(path, folder) for folder in folders)  # noqa: PTH113
    ]
    return Sorted(_existing(folders, root, store), files, [item for item, path in given if path is None])


def _is_pair(given: object) -> bool:
    """Whether this is one (id, picture) pair, and not a tuple of paths."""
    return (
        isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], str | os.PathLike | tuple)
    )


def _seen_from(path: str, root: str) -> str:
    """The path, spelled as below the root if it leads there by way of links."""
    if _inside(path, root):
        return path
    real, top = os.path.realpath(path), os.path.realpath(root)
    return root + real.removeprefix(top.rstrip("/")) if _inside(real, top) else path


def _outermost(folders: Iterable[str]) -> list[str]:
    """Folders without those inside others, sorted."""
    kept: list[str] = []
    for folder in sorted(folders):
        if not any(_inside(folder, other) for other in kept):
            kept.append(folder)
    return kept


def _known_folders(root: str, store: Store | None) -> list[str]:
    """The folders that were indexed before, without what lies below them; else the root."""
    known = [] if store is None else store.folders()
    paths = [path_of(folder.prefix, root).rstrip("/") or "/" for folder in known]
    above = any(_inside(root, path) and root != path for path in paths)
    return [*_outermost(paths), *([root] if above else [])] or [root]


def _existing(folders: list[str], root: str, store: Store | None) -> list[str]:
    for path in folders:
        if os.path.isdir(path):  # noqa: PTH112
            continue
        prefix = prefix_of(path, root)
        if store is None or not any(under(state.id, prefix) for state in store.states()):
            what = "is not a folder" if os.path.lexists(path) else "does not exist"
            raise UsageError(f"{path} {what}; expected a folder, a file, an address or an (id, picture) pair")
    return folders


def path_given(given: Given) -> str | None:
    """The absolute path that was given; None for an address or a pair."""
    if isinstance(given, tuple) or (
        isinstance(given, str) and given.lower().startswith(("http://", "https://"))
    ):
        return None
    if not isinstance(given, str | os.PathLike):
        raise UsageError(
            f"{type(given).__name__} can't be added; expected a path, an address or an (id, picture) pair"
        )
    return os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111  # a link in it stays


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
