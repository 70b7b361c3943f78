"""What is not to be indexed: the patterns of the user, and the folders that other programs keep.

Patterns are as in `.gitignore`, and the last that matches decides. Names are compared in one spelling: an `ü`
of one character and one of two, as macOS writes it, are the same.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from lookalike.errors import UsageError
from lookalike.system import posix
from lookalike.system.text import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IGNORE_FILE = ".lookalikeignore"
"""Patterns of what not to index, one a line, as in `.gitignore`; one file at the top of a folder."""

LARGEST = 16_000_000
"""The bytes of the largest ignore file that is read."""

FOLDERS_OF_PROGRAMS = (
    # Network storage: thumbnails and trash of Synology, QNAP, Samba, Netatalk, and their snapshots.
    "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "@__thumb", ".@__thumb", ".recycle",
    "Network Trash Folder",
    # Windows.
    "$RECYCLE.BIN", "RECYCLER", "System Volume Information",
    # macOS, its photo libraries (Photos, iPhoto, Aperture), and its archives.
    ".Trashes", ".fseventsd", ".Spotlight-V100", ".DocumentRevisions-V100", ".TemporaryItems", "__MACOSX",
    "*.photoslibrary/resources", "*.photoslibrary/database", "*.photoslibrary/private",
    "*.photoslibrary/internal", "*.photoslibrary/scopes", "*.photoslibrary/Thumbnails",
    "*.photolibrary/Thumbnails", "*.photolibrary/Previews", "*.photolibrary/resources",
    "*.migratedphotolibrary/Thumbnails", "*.migratedphotolibrary/Previews",
    "*.aplibrary/Thumbnails", "*.aplibrary/Previews",
    # Linux' desktops, Android.
    ".thumbnails", ".Trash", ".Trash-*",
    # Lightroom, Capture One, Picasa, digiKam.
    "*.lrdata", "*.lrcat-data", "CaptureOne/Cache", "*.cocatalog/Cache", ".picasaoriginals", ".dtrash",
    # Nextcloud and ownCloud, Syncthing, Dropbox.
    "appdata_*/preview", "files_trashbin", "files_versions", ".stversions", ".dropbox.cache",
)  # fmt: skip
"""Names of folders of thumbnails, previews and trash, in any case; before a slash: of the folder around."""

_ALONE = [name.casefold() for name in FOLDERS_OF_PROGRAMS if "/" not in name]
_NAMES = frozenset(name for name in _ALONE if "*" not in name)
_WITHIN = [name.casefold() for name in FOLDERS_OF_PROGRAMS if "/" in name]
_INNER = frozenset(name.partition("/")[2] for name in _WITHIN)
_MARKS = (
    # That of UTF-32 begins as that of UTF-16 does.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")


def is_of_programs(path: str) -> bool:
    """Whether a folder is one in which other programs keep thumbnails, previews or trash, by its path.

    >>> is_of_programs("/photos/2024/@eaDir"), is_of_programs("/photos/2024")
    (True, False)
    """
    around, _, name = path.rstrip("/").casefold().rpartition("/")
    alone, within = _patterns()
    if name in _INNER and within.fullmatch(f"{around.rpartition('/')[2]}/{name}"):
        return True
    return name in _NAMES or alone.fullmatch(name) is not None


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Names with a star, alone and within a folder of a name; only a walk needs them."""
    alone = "|".join(translate(name) for name in _ALONE if "*" in name)
    return re.compile(alone), re.compile("|".join(map(translate, _WITHIN)))


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns of what to leave out; paths are relative to the folder they are of, folders end in `/`."""

    _matcher: Any

    def excludes(self, path: str) -> bool:
        """Whether this is to be left out."""
        return bool(self._matcher.match_file(_one_spelling(path)))

    def includes(self, path: str) -> bool:
        """Whether a pattern with `!` before it says that this is not to be left out."""
        return self._matcher.check_file(_one_spelling(path)).include is False


def of_folder(top: Path, exclude: Sequence[str]) -> Patterns | None:
    """Return the patterns of a folder's ignore file and those of the user; None if there are none.

    Raises:
        UsageError: the file is there and can't be read, or a pattern is none.
    """
    file = top / IGNORE_FILE
    return matching(lines_of(_content(file), str(file)), exclude, str(file))


def matching(lines: Sequence[str], exclude: Sequence[str], file: str) -> Patterns | None:
    """Return the patterns of an ignore file's lines and those of the user; None if there are none.

    Raises:
        UsageError: a pattern is none.
    """
    every = [_one_spelling(line) for line in (*lines, *exclude)]
    if not every:
        return None
    from pathspec import GitIgnoreSpec

    for number, line in enumerate(every, 1):
        if not _is_pattern(line):
            place = f"{file}, line {number}" if number <= len(lines) else "--exclude"
            raise UsageError(
                f"{place}: {line!r} is no pattern, and would leave nothing out; expected one as in "
                ".gitignore, such as private/ or *.gif (and / between folders, on every system)"
            )
    return Patterns(GitIgnoreSpec.from_lines(every))


def _is_pattern(line: str) -> bool:
    """Whether a line leaves something out or takes it in; one that is empty or a remark need not."""
    from pathspec import GitIgnoreSpec

    if not line.strip() or line.startswith("#"):
        return True
    try:
        return all(pattern.include is not None for pattern in GitIgnoreSpec.from_lines([line]).patterns)
    except ValueError:
        return False


def lines_of(content: bytes, file: str) -> list[str]:
    """Return the lines of an ignore file, which is UTF-8 unless a byte order mark says otherwise.

    Raises:
        UsageError: it is not, or too large to be one.
    """
    mark, encoding = next(((m, e) for m, e in _MARKS if content.startswith(m)), (b"", "utf-8"))
    if len(content) > LARGEST:
        raise unusable(file, f"it has more than {LARGEST:,} bytes")
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(content[: error.start].decode(encoding, "replace"))) + 1
        raise unusable(file, f"line {line} is not {encoding.upper()}; save it as UTF-8") from None
    if "\0" in text:
        raise unusable(file, "it holds NULs, as text in UTF-16 without a mark does; save it as UTF-8")
    return _LINE_END.split(text) if text else []


def unusable(file: str, reason: str) -> UsageError:
    """Return the error of an ignore file that can't be used."""
    return UsageError(
        f"{file}: {reason}. Nothing was indexed, for what it leaves out can't be told; mend it or remove it"
    )


def _content(file: Path) -> bytes:
    """The bytes of an ignore file; none if there is no such file."""
    try:
        # A pipe of that name must not hold us.
        descriptor = posix.open_to_read(file)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise unusable(str(file), "it is not a file")
            return opened.read(LARGEST + 1)
    except OSError as error:
        if os.path.isdir(file):  # noqa: PTH112  # which raises nothing
            raise unusable(str(file), "it is a folder") from None
        if os.path.lexists(file):
            raise unusable(str(file), f"it can't be read: {error.strerror or error}") from None
        return b""


def _one_spelling(text: str) -> str:
    return text if text.isascii() else normalize("NFC", as_text(text))
