"""What was given to `Gallery.add`, sorted into folders, files and what is no file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lookalike.errors import DownloadError, NotFound, NotTrusted, UsageError
from lookalike.sources import remote
from lookalike.sources import table as listed
from lookalike.sources.base import Guarded, is_source
from lookalike.sources.folder import is_address, is_text, path_of, prefix_of, under
from lookalike.sources.tables import is_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from lookalike.images.given import Picture
    from lookalike.sources.access import Access
    from lookalike.sources.base import Source
    from lookalike.types import Store

    Given: TypeAlias = str | os.PathLike[str] | tuple[str, Picture] | Source


class Sorted(NamedTuple):
    """What was given, sorted: folders and files as absolute paths or addresses, and the rest, no files.

    tables: files that name pictures.
    unread: folders that were indexed before, and that the gallery may not reach.
    sources: those given as they are.
    """

    folders: list[str]
    files: list[str]
    rest: Iterable[Given]
    tables: Sequence[str] = ()
    unread: Sequence[str] = ()
    sources: Sequence[Source] = ()


def sort(
    pictures: Given | Iterable[Given] | None,
    access: Access,
    store: Store | None,
    column: str | None = None,
) -> Sorted:
    """Sort what was given to `Gallery.add`; nothing means the folders indexed before, else the root.

    No file is in two of the parts: folders inside others, and files inside folders, go with those,
    and so does what is given by another path to the same place. Of tables a column may have been told.

    Raises:
        NotTrusted: nothing is given, and the gallery may reach none of the folders indexed before.
        UsageError: a path that is not there, and from below which the gallery has no pictures; or a table
            that can't be read, or of which it can't be said which column is meant.
        DownloadError: an address that can't be reached, of which the same is true.
    """
    root = access.root
    if pictures is None:
        here, there = _known_folders(root, store)
        unread = [folder for folder in (*here, *there) if access.refusal_at(folder)]
        here, there = ([f for f in folders if f not in unread] for folders in (here, there))
        if unread and not (here or there):
            raise NotTrusted(access.note(unread))
        return Sorted([*_existing(here, root, store), *there], [], [], unread=unread)
    one = isinstance(pictures, str | os.PathLike) or _is_pair(pictures) or is_source(pictures)
    several = not one and isinstance(pictures, Iterable)
    items: Iterable[Any] = pictures if several else [pictures]  # type: ignore[assignment]
    if not isinstance(items, Sized):
        # A generator may give more than fits in memory: it is taken one by one, later.
        return Sorted([], [], items)
    far = _Far(store, access)
    sources = [Guarded(item) for item in items if is_source(item)]
    plain = [item for item in items if not is_source(item)]
    tables = tables_among(plain, column)
    for table in tables:
        listed.require_column(table, column)
    among = frozenset[str | None](tables)
    given: list[tuple[Given, str | None]] = [
        (item, path) for item in plain if not far.takes(item) and (path := path_given(item)) not in among
    ]
    paths = dict.fromkeys(_seen_from(path, root) for _, path in given if path is not None)
    folders = _outermost(path for path in paths if not os.path.isfile(path))  # noqa: PTH113
    if any(_inside(root, folder) and root != folder for folder in folders):
        folders.append(root)  # the root's own pictures have relative ids
    files = [
        path
        for path in paths
        if os.path.isfile(path) and not any(_inside(path, folder) for folder in folders)  # noqa: PTH113
    ]
    rest = [item for item, path in given if path is None]
    folders = [*_existing(folders, root, store), *far.folders()]
    return Sorted(folders, [*files, *far.outside()], rest, tables, sources=sources)


def tables_among(pictures: Collection[Given], column: str | None = None) -> list[str]:
    """The files among what is given that name pictures, as absolute paths.

    A `.txt` or `.json` is one only where nothing else is given, or a column is told: such files lie beside
    pictures, too.
    """
    meant = column is not None or len(pictures) == 1
    paths = dict.fromkeys(path_given(item) for item in pictures)
    return [
        path
        for path in paths
        if path is not None and is_table(Path(path), meant=meant) and os.path.isfile(path)  # noqa: PTH113
    ]


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


def _outermost_far(folders: Iterable[str]) -> list[str]:
    """The same of remote folders, from their addresses."""
    kept: list[str] = []
    for folder in sorted(folders, key=len):  # of two archives' folders the outer need not be the lesser
        if not any(under(remote.prefix_of(folder), remote.prefix_of(other)) for other in kept):
            kept.append(folder)
    return sorted(kept)


def _known_folders(root: str, store: Store | None) -> tuple[list[str], list[str]]:
    """The folders that were indexed before, without what lies below them, else the root; and remote ones."""
    prefixes = [] if store is None else [folder.prefix for folder in store.folders()]
    far = _outermost_far(remote.folder_of(prefix) for prefix in prefixes if is_address(prefix))
    paths = [path_of(prefix, root).rstrip("/") or "/" for prefix in prefixes if not is_address(prefix)]
    above = any(_inside(root, path) and root != path for path in paths)
    folders = [*_outermost(paths), *([root] if above else [])]
    return folders if prefixes else [root], far


class _Far:
    """The remote folders and files among what was given."""

    def __init__(self, store: Store | None, access: Access) -> None:
        self._folders: list[str] = []
        self._files: list[str] = []
        self._store = store
        self._access = access

    def takes(self, item: object) -> bool:
        """Keep an address, and say whether it was one."""
        if not isinstance(item, str) or not remote.is_remote(item):
            return False
        address = remote.folder_of(remote.spelled(item))
        (self._folders if self._is_folder(address) else self._files).append(address)
        return True

    def folders(self) -> list[str]:
        """The folders without those inside others."""
        return _outermost_far(self._folders)

    def outside(self) -> list[str]:
        """The files that lie in none of the folders."""
        prefixes = [remote.prefix_of(folder) for folder in self.folders()]
        return [file for file in dict.fromkeys(self._files) if not any(under(file, p) for p in prefixes)]

    def _is_folder(self, address: str) -> bool:
        try:
            return self._access.is_folder(address)
        except (NotFound, DownloadError) as error:
            prefix = remote.prefix_of(address)
            if self._store is not None and any(folder.prefix == prefix for folder in self._store.folders()):
                return True  # the walk will say that it can't be seen
            if self._store is not None and self._store.get([address])[0] is not None:
                return False
            if isinstance(error, NotFound):
                raise UsageError(f"{error}; expected a folder or a file there") from None
            raise


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
    """The absolute path that was given, or a remote file's address; None for a web address or a pair."""
    if isinstance(given, tuple) or (
        isinstance(given, str) and given.lower().startswith(("http://", "https://"))
    ):
        return None
    if isinstance(given, str) and remote.is_remote(given):
        return remote.spelled(given)
    if not isinstance(given, str | os.PathLike):
        raise UsageError(
            f"{type(given).__name__} can't be added; expected a path, an address or an (id, picture) pair"
        )
    return os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111  # a link in it stays


def checked_id(item: tuple[str, Picture]) -> str:
    """Return the id of an (id, picture) pair. Raises `UsageError` for what is none."""
    try:
        id_, _ = item
        if is_text(id_):
            return id_
    except (ValueError, AttributeError):
        pass
    raise UsageError(f"{item!r:.80} can't be added; expected an (id, picture) pair with a text as the id")


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
