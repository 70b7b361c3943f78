r"""Walk a folder in the order of ids, and turn paths into ids and back.

An id is a path relative to the gallery's root with `/`, or an absolute one for files outside of
it. Bytes that are not UTF-8 are written as `\xNN`, and so a backslash is doubled: every name has
one id, every id one name. Nothing is normalised.

Order: the walk yields ids in the order of their code points, which is also the order of a store's
`states()`, so that the two can be merged without holding either in memory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from lookalike import images
from lookalike.sources.ignoring import IGNORE_FILE, is_of_programs
from lookalike.system.files import LEAST, MOST, fitting, stamp
from lookalike.system.text import as_path, as_text
from lookalike.types import Found, Survey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.images import ImageLimits
    from lookalike.sources.ignoring import Patterns
    from lookalike.types import Value

GALLERIES = ".lookalike"
"""The folder that holds a folder's galleries; never walked into."""

_ESCAPED = re.compile(r"\\(?:\\|x([89a-f][0-9a-f]))")  # of ASCII nothing is escaped
_KINDS = (
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)


def to_id(path: str) -> str:
    """A path as the operating system spells it, as an id."""
    if path.isascii() and "\\" not in path:
        return path
    doubled = as_text(path).replace("\\", "\\\\")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in doubled)


def to_path(id_: str) -> str:
    """The path that `to_id` made this id of."""
    if "\\" not in id_:
        return as_path(id_)
    return as_path(_ESCAPED.sub(lambda m: chr(0xDC00 + int(m[1], 16)) if m[1] else "\\", id_))


def id_of(path: str, root: str) -> str:
    """The id of an absolute path in a gallery of this root; an address is its own."""
    if is_address(path):
        return path
    inside = root.rstrip("/") + "/"
    return to_id(path.removeprefix(inside))


def is_address(id_: str) -> bool:
    """Whether this is an address, as `s3://bucket/a.jpg`: a path has no two slashes in a row."""
    return "://" in id_


def is_text(id_: str) -> bool:
    """Whether this can be an id: JSON can spell what can't be encoded, and a name may hold it."""
    try:
        return bool(id_.encode())
    except UnicodeEncodeError:
        return False


def path_of(id_: str, root: str) -> str:
    """The absolute path of an id in a gallery of this root; an address is its own."""
    if is_address(id_):
        return id_
    return os.path.join(root, to_path(id_))  # noqa: PTH118  # a hundred thousand times a run


def under(id_: str, prefix: str) -> bool:
    """Whether an id lies in the folder of this prefix: `""` is the root, others end in `/`.

    The prefix of a folder in an archive has the archive's own address behind it, as its ids have.
    """
    if not prefix:
        return not id_.startswith("/") and not is_address(id_)
    head, chained, tail = prefix.partition("::") if is_address(prefix) else (prefix, "", "")
    return id_.startswith(head) and id_.endswith(chained + tail)


def prefix_of(folder: str, root: str) -> str:
    """What the ids of a folder's files begin with in a gallery of this root."""
    return "" if folder == root else id_of(folder, root) + "/"


@dataclass(slots=True)
class Walk:
    """The pictures of a folder on this machine, found by a walk.

    top: the folder, an absolute path.
    prefix: what its ids begin with (`""` for the root, else ending in `/`).
    hidden: whether names that begin with a dot are walked too.
    ignored: patterns of what not to walk.
    left_out: absolute paths of folders that are not walked.
    known: prefixes whose device and files are told apart even where they are no mount points.
    survey: what the last walk saw, with a device for top, the mount points below it, and the known folders.
    """

    top: str
    prefix: str
    hidden: bool = False
    ignored: Patterns | None = None
    left_out: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    survey: Survey = field(default_factory=Survey)
    name: str = "walk"
    absence_deletes: bool = True
    keeps_thumbnail: bool = False
    private: bool = False

    def __iter__(self) -> Iterator[Found]:
        """Yield every file, in the order of ids. Symbolic links to folders are not followed."""
        self.survey = Survey()
        pending = [self._list(self.top, self.prefix, None, self.prefix)]
        while pending:
            entries, device, part = pending[-1]
            for key, entry in entries:
                if key[-1] != "/":
                    yield _examine(key, entry)
                elif self._enters(key, entry.path):
                    pending.append(self._list(entry.path, key, device, part))
                    break
            else:
                pending.pop()

    def stat(self, id_: str) -> tuple[int, int]:
        """Return size and mtime_ns of a picture's file. Raises `OSError` where they can't be had."""
        return stamp(os.stat(self._path(id_)))  # noqa: PTH116

    def read(self, id_: str, limits: ImageLimits) -> bytes:
        """Return the bytes of a picture's file. Raises `Unreadable` where it can't be read."""
        return images.read_file(self._path(id_), limits)

    def fields(self, _id: str, /) -> Mapping[str, Value]:
        """Return nothing: a file says itself what there is to know."""
        return {}

    def _path(self, id_: str) -> str:
        return os.path.join(self.top, to_path(id_.removeprefix(self.prefix)))  # noqa: PTH118

    def _list(self, folder: str, prefix: str, parent: int | None, part: str) -> tuple[_Entries, int, str]:
        """The wanted entries of a folder in the order of their ids, its device, and which part it is of."""
        try:
            device = fitting(os.stat(folder).st_dev)  # noqa: PTH116
            with os.scandir(folder) as listing:
                # What is not hidden needs no closer look, unless there are patterns.
                closely = self.ignored is not None
                # A folder sorts by its name and a slash, as its files' ids do.
                # Plain names are their own ids, which spares a call for each of what may be a million.
                entries = [
                    (
                        prefix
                        + (name if (name := e.name).isascii() and "\\" not in name else to_id(name))
                        + "/" * e.is_dir(follow_symlinks=False),
                        e,
                    )
                    for e in listing
                    if (e.name[0] != "." and not closely) or self._wanted(e)
                ]
        except OSError as error:
            self.survey.unlisted[prefix] = error.strerror or str(error)
            return iter(()), 0, part
        if device != parent or prefix in self.known:
            self.survey.devices[prefix] = device
            part = prefix
        self.survey.files[part] += sum(key[-1] != "/" for key, _ in entries)
        entries.sort(key=_first)
        return iter(entries), device, part

    def _wanted(self, entry: os.DirEntry[str]) -> bool:
        name = entry.name
        if name == GALLERIES:
            self.survey.galleries.append(entry.path.removesuffix(f"/{GALLERIES}"))
        if name[0] == "." and (not self.hidden or name in {GALLERIES, IGNORE_FILE}):
            return False
        if self.ignored is None:
            return True
        return not self.ignored.excludes(
            self._relative(entry.path) + "/" * entry.is_dir(follow_symlinks=False)
        )

    def _enters(self, prefix: str, path: str) -> bool:
        """Whether a folder is to be walked."""
        if path in self.left_out:
            return False
        if prefix in self.known or not is_of_programs(path):
            return True
        wanted = self.ignored is not None and self.ignored.includes(self._relative(path) + "/")
        if not wanted:
            self.survey.aside.append(prefix)
        return wanted

    def _relative(self, path: str) -> str:
        return path[len(self.top.rstrip("/")) + 1 :]


_Entries: TypeAlias = Iterator[tuple[str, "os.DirEntry[str]"]]
_first = itemgetter(0)


def _examine(id_: str, entry: os.DirEntry[str]) -> Found:
    try:
        status = entry.stat()
    except OSError as error:
        nowhere = isinstance(error, FileNotFoundError) and entry.is_symlink()
        fault = "a symbolic link that leads nowhere" if nowhere else error.strerror or str(error)
        return Found(id_, 0, 0, fault)
    if stat.S_ISREG(status.st_mode):
        # As `stamp` has them, without a call for each of what may be a million.
        mtime_ns = status.st_mtime_ns
        return Found(id_, status.st_size, mtime_ns if LEAST <= mtime_ns <= MOST else fitting(mtime_ns))
    fault = next((text for test, text in _KINDS if test(status.st_mode)), "")
    return Found(id_, 0, 0, fault or "a symbolic link to a folder (not followed)")
