"""Walk a remote folder in the order of ids, as `lookalike.walk.Walk` does one on a disk."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from lookalike.errors import LookalikeError
from lookalike.remote import (
    DIVIDING,
    Place,
    divided,
    forget_archives,
    mtime_ns_of,
    place_of,
    prefix_of,
    reason,
    size_of,
)
from lookalike.walk import GALLERIES, IGNORE_FILE, Found, matching, to_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lookalike.types import Source


class RemoteWalk:
    """One walk over a remote folder; its interface is that of `lookalike.walk.Walk`.

    Args:
        top: the folder's address.
        hidden: whether names that begin with a dot are walked too.
        exclude: patterns as in `.gitignore`; those of an ignore file in the folder count, too.
    """

    source: ClassVar[Source] = "walk"

    def __init__(self, top: str, *, hidden: bool = False, exclude: tuple[str, ...] = ()) -> None:
        self.top = top
        self.prefix = prefix_of(top)
        self._head, chained, tail = divided(self.prefix)
        self._tail = chained + tail
        self.unlisted: dict[str, str] = {}
        self.devices: dict[str, int] = {}
        self.files: Counter[str] = Counter()
        self._hidden = hidden
        self._exclude = exclude
        self._ignored: Callable[[str], bool] | None = None

    def again(self) -> RemoteWalk:
        """A fresh walk of the same folder."""
        return RemoteWalk(self.top, hidden=self._hidden, exclude=self._exclude)

    def __iter__(self) -> Iterator[Found]:
        """Yield every file, in the order of ids."""
        forget_archives()
        try:
            place = place_of(self.top)
            place.files.invalidate_cache()
            lines = [*_ignore_file(place), *self._exclude]
            self._ignored = matching(lines, f"{self.top}/{IGNORE_FILE}")
        except LookalikeError:
            raise
        except Exception as error:  # noqa: BLE001
            self.unlisted[self.prefix] = reason(error)
            return
        pending = [self._list(place, self._head)]
        while pending:
            for key, details in pending[-1]:
                if key[-1] != "/":
                    yield self._found(key, details)
                else:
                    pending.append(self._list(place._replace(path=details["name"].rstrip("/")), key))
                    break
            else:
                pending.pop()

    def _list(self, place: Place, prefix: str) -> Iterator[tuple[str, Any]]:
        """The wanted entries of a folder in the order of their ids; a folder sorts as its files do."""
        files, path, turn = place
        try:
            with turn:
                listed = files.ls(path, detail=True)
                files.invalidate_cache(path)  # a listing is held in memory else, and shown again next time
        except Exception as error:  # noqa: BLE001
            self.unlisted[prefix + self._tail] = reason(error)
            return iter(())
        if prefix == self._head:
            self.devices[self.prefix] = 0
        entries = []
        for details in listed:
            name = details["name"].rstrip("/").rpartition("/")[2]
            # Where there are no folders, an empty object may stand for one.
            itself = details["name"].rstrip("/") == path.rstrip("/")
            folder = details.get("type") == "directory"
            if name and not itself and self._wanted(prefix + name, name, folder=folder):
                walked = folder and "::" not in name
                entries.append((prefix + name + ("/" if walked else self._tail), details))
        self.files[self.prefix] += sum(key[-1] != "/" for key, _ in entries)
        entries.sort(key=itemgetter(0))
        return iter(entries)

    def _wanted(self, key: str, name: str, *, folder: bool) -> bool:
        if name[0] == "." and (not self._hidden or name in {GALLERIES, IGNORE_FILE}):
            return False
        return self._ignored is None or not self._ignored(key[len(self._head) :] + "/" * folder)

    def _found(self, key: str, details: Mapping[str, Any]) -> Found:
        size, mtime_ns = size_of(details), mtime_ns_of(details)
        try:
            key.encode()
        except UnicodeEncodeError:
            return Found(to_id(key), key, size, mtime_ns, "its name is not valid Unicode")
        dividing = "::" in key.removesuffix(self._tail) and (self._tail or details.get("type") == "directory")
        return Found(key, key, size, mtime_ns, DIVIDING if dividing else "")


def _ignore_file(place: Place) -> list[str]:
    """The lines of a folder's ignore file, if there is one."""
    with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError), place.turn:
        content: bytes = place.files.cat_file(f"{place.path.rstrip('/')}/{IGNORE_FILE}")
        return content.decode(errors="replace").splitlines()
    return []
