"""What a source of pictures is; those of other packages are found by the schemes of their addresses."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeGuard

from lookalike import plugins
from lookalike.errors import LookalikeError, Unreadable, UsageError
from lookalike.sources import ignoring
from lookalike.system.text import redact_text
from lookalike.types import Found, Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.images import ImageLimits
    from lookalike.types import Value

__all__ = ["Found", "Guarded", "Source", "Survey", "explaining", "is_source", "is_whole", "registered"]

_BUILT_IN = {"file", "local", "http", "https"}


class Source(Protocol):
    """A place that pictures come from: a folder, a bucket, a mailbox.

    Another package adds one by a class or function in the entry point group `lookalike.sources`, under the
    scheme of its addresses: called with an address, or with the id of one of its pictures, it returns the
    source. `lookalike.testing.check_source` checks what is promised here. A class that names this one as its
    base needs but `name`, `prefix`, `__iter__`, `stat` and `read`.

    name: under which a gallery remembers where a picture came from: small letters, digits, `+`, `-`, `.`.
    prefix: what its ids begin with: its address and `/`; a folder's is a path relative to the gallery's root.
    absence_deletes: whether a picture that is not found any more is gone, and so leaves the gallery.
    keeps_thumbnail: whether a small picture is kept in the gallery, because reading it again is slow or
        impossible.
    private: whether its addresses may lead into this machine or its network.
    """

    name: str
    prefix: str
    absence_deletes: bool = True
    keeps_thumbnail: bool = True
    private: bool = False

    def __iter__(self) -> Iterator[Found]:
        """Yield every picture, in the order of ids (of code points); called again it looks again."""
        ...

    def stat(self, id_: str, /) -> tuple[int, int]:
        """Return the size and mtime_ns of a picture, as iterating finds it. Raises `OSError` without it."""
        ...

    def read(self, id_: str, limits: ImageLimits, /) -> bytes:
        """Return the bytes of a picture's file, at most `limits.max_bytes`; may run on several threads.

        Raises:
            OSError, LookalikeError: it can't be read.
        """
        ...

    def fields(self, id_: str, /) -> Mapping[str, Value]:  # noqa: ARG002  # what a source may leave out
        """Return what the source knows of a picture, to be kept as the user's own fields."""
        return {}

    @property
    def survey(self) -> Survey:
        """What it has seen besides its pictures."""
        return Survey(devices={self.prefix: 0})


def is_source(given: object) -> TypeGuard[Source]:
    """Whether something is a source, and not a path or a picture."""
    return hasattr(given, "absence_deletes") and hasattr(given, "prefix")


def registered(address: str) -> Source | None:
    """Return the source at an address, or of a picture's id, by the entry point of its scheme.

    Returns:
        The source; None where no other package has registered the scheme.

    Raises:
        LookalikeError: it can't be imported, or does not take such an address.
    """
    scheme = address.partition("://")[0].lower()
    if scheme in _BUILT_IN or scheme not in plugins.names("lookalike.sources"):
        return None
    with explaining():
        source: Source = plugins.load("lookalike.sources", scheme)(address)
    return source


def is_whole(address: str, source: Source) -> bool:
    """Whether an address is that of a source, and not of one of its pictures."""
    return source.prefix.rstrip("/") == address.rstrip("/")


@contextmanager
def explaining() -> Iterator[None]:
    """Make of whatever another package's source raises an error of this one's.

    Raises:
        Unreadable: something else than an error of this package was raised in the block.
    """
    try:
        yield
    except LookalikeError:
        raise
    except Exception as error:
        line = redact_text(str(getattr(error, "strerror", None) or error).partition("\n")[0])[:300]
        raise Unreadable(f"can't be read: {line or type(error).__name__}") from error


class Guarded:
    """A source of another package, of which ids out of order could make pictures look gone.

    Args:
        source: which one.
        exclude: patterns as in `.gitignore`, of ids without the prefix.
    """

    def __init__(self, source: Source, exclude: tuple[str, ...] = ()) -> None:
        self._source = source
        self._excluded = ignoring.matching([], exclude, "")
        self.name, self.prefix = source.name, source.prefix
        self.absence_deletes = source.absence_deletes
        self.keeps_thumbnail = source.keeps_thumbnail
        self.private = source.private
        self.survey = Survey()

    def __iter__(self) -> Iterator[Found]:
        """Yield every picture that is not excluded.

        Raises:
            UsageError: an id that is not the source's own, or not behind the one before.
        """
        files: Counter[str] = Counter()
        unlisted: dict[str, str] = {}
        last = ""
        try:
            for found in self._source:
                if not (found.id.startswith(self.prefix) and found.id > last):
                    raise UsageError(
                        f"the source {self.name} gave {found.id!r} behind {last!r}; expected ids that begin "
                        f"with {self.prefix!r}, each once, in the order of code points"
                    )
                last = found.id
                files[self.prefix] += 1
                if self._excluded is None or not self._excluded.excludes(last.removeprefix(self.prefix)):
                    yield found
        except OSError as error:
            unlisted[self.prefix] = error.strerror or str(error)
        said = self._source.survey
        devices = {} if unlisted else {self.prefix: 0}
        self.survey = Survey(unlisted | said.unlisted, devices | said.devices, files, said.aside)

    def stat(self, id_: str) -> tuple[int, int]:
        """Return what the source says."""
        return self._source.stat(id_)

    def read(self, id_: str, limits: ImageLimits) -> bytes:
        """Return what the source gives."""
        return self._source.read(id_, limits)

    def fields(self, id_: str) -> Mapping[str, Value]:
        """Return what the source knows."""
        return self._source.fields(id_)
