"""Walk a remote folder in the order of ids, as `lookalike.sources.folder.Walk` does one on a disk."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lookalike.errors import LookalikeError
from lookalike.sources import ignoring, remote
from lookalike.sources.folder import GALLERIES, to_id
from lookalike.sources.ignoring import IGNORE_FILE
from lookalike.sources.remote import (
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
from lookalike.types import Found, Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.images import ImageLimits
    from lookalike.sources.ignoring import Patterns
    from lookalike.types import Value


class RemoteWalk:
    """The pictures of a remote folder, at any address that fsspec reads.

    Args:
        top: the folder's address.
        hidden: whether names that begin with a dot are walked too.
        exclude: patterns as in `.gitignore`; those of an ignore file in the folder count, too.
    """

    name = "walk"
    absence_deletes = True
    keeps_thumbnail = False
    private = False

    def __init__(self, top: str, *, hidden: bool = False, exclude: tuple[str, ...] = ()) -> None:
        self.top = top
        self.prefix = prefix_of(top)
        self._head, chained, tail = divided(self.prefix)
        self._tail = chained + tail
        self.survey = Survey()
        self._hidden = hidden
        self._exclude = exclude
        self._ignored: Patterns | None = None

    def stat(self, id_: str) -> tuple[int, int]:
        """Return size and mtime_ns of a file. Raises `OSError` where they can't be had."""
        return remote.stat(id_)

    def read(self, id_: str, limits: ImageLimits) -> bytes:
        """Return the bytes of a picture's file; raises as `lookalike.sources.remote.read` does."""
        return remote.read(id_, limits)

    def fields(self, _id: str, /) -> Mapping[str, Value]:
        """Return nothing: a file says itself what there is to know."""
        return {}

    def __iter__(self) -> Iterator[Found]:
        """Yield every file, in the order of ids."""
        self.survey = Survey()
        forget_archives()
        try:
            place = place_of(self.top)
            place.files.invalidate_cache()
            listed = _listed(place)
        except LookalikeError:
            raise
        except Exception as error:  # noqa: BLE001
            self.survey.unlisted[self.prefix] = reason(error)
            return
        self.survey.devices[self.prefix] = 0
        self._ignored = ignoring.matching(_ignore_file(place, listed), self._exclude, _ignore_name(place))
        pending = [self._sorted(listed, place.path, self._head)]
        while pending:
            for key, details in pending[-1]:
                if key[-1] != "/":
                    yield self._found(key, details)
                elif self._enters(key):
                    pending.append(self._list(place._replace(path=details["name"].rstrip("/")), key))
                    break
            else:
                pending.pop()

    def _list(self, place: Place, prefix: str) -> Iterator[tuple[str, Any]]:
        try:
            listed = _listed(place)
        except Exception as error:  # noqa: BLE001
            self.survey.unlisted[prefix + self._tail] = reason(error)
            return iter(())
        return self._sorted(listed, place.path, prefix)

    def _sorted(
        self, listed: Sequence[Mapping[str, Any]], path: str, prefix: str
    ) -> Iterator[tuple[str, Any]]:
        """The wanted entries of a folder in the order of their ids; a folder sorts as its files do."""
        entries = []
        for details in listed:
            name = details["name"].rstrip("/").rpartition("/")[2]
            # Where there are no folders, an empty object may stand for one.
            itself = details["name"].rstrip("/") == path.rstrip("/")
            folder = details.get("type") == "directory"
            if name and not itself and self._wanted(prefix + name, name, folder=folder):
                walked = folder and "::" not in name
                entries.append((prefix + name + ("/" if walked else self._tail), details))
        self.survey.files[self.prefix] += sum(key[-1] != "/" for key, _ in entries)
        entries.sort(key=itemgetter(0))
        return iter(entries)

    def _wanted(self, key: str, name: str, *, folder: bool) -> bool:
        if name[0] == "." and (not self._hidden or name in {GALLERIES, IGNORE_FILE}):
            return False
        return self._ignored is None or not self._ignored.excludes(key[len(self._head) :] + "/" * folder)

    def _enters(self, key: str) -> bool:
        """Whether a folder is to be walked, as `lookalike.sources.folder.Walk` has it."""
        if not ignoring.is_of_programs(key):
            return True
        wanted = self._ignored is not None and self._ignored.includes(key[len(self._head) :])
        if not wanted:
            self.survey.aside.append(key + self._tail)
        return wanted

    def _found(self, key: str, details: Mapping[str, Any]) -> Found:
        size, mtime_ns = size_of(details), mtime_ns_of(details)
        try:
            key.encode()
        except UnicodeEncodeError:
            return Found(to_id(key), size, mtime_ns, "its name is not valid Unicode")
        dividing = "::" in key.removesuffix(self._tail) and (self._tail or details.get("type") == "directory")
        return Found(key, size, mtime_ns, DIVIDING if dividing else "")


def _listed(place: Place) -> list[dict[str, Any]]:
    """What lies in a folder, as its file system has it."""
    files, path, turn = place
    with turn:
        listed: list[dict[str, Any]] = files.ls(path, detail=True)
        files.invalidate_cache(path)  # a listing is held in memory else, and shown again next time
    return listed


def _ignore_name(place: Place) -> str:
    return f"{place.path.rstrip('/')}/{IGNORE_FILE}"


def _ignore_file(place: Place, listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a folder's ignore file, if there is one.

    Raises:
        UsageError: there is one, and it can't be used.
    """
    file = _ignore_name(place)
    entry = next((e for e in listed if e["name"].rstrip("/").rpartition("/")[2] == IGNORE_FILE), None)
    if entry is not None and size_of(entry) > ignoring.LARGEST:
        raise ignoring.unusable(file, f"it has more than {ignoring.LARGEST:,} bytes")
    try:
        # Asked for whatever was listed: some servers do not list what begins with a dot.
        with place.turn:
            content: bytes = place.files.cat_file(file)
    except Exception as error:  # noqa: BLE001
        if entry is None and isinstance(error, FileNotFoundError | NotADirectoryError):
            return []
        raise ignoring.unusable(file, f"it can't be read: {reason(error)}") from None
    return ignoring.lines_of(content, file)
