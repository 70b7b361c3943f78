"""The one door through which a gallery reaches what it names: pictures, folders, addresses, its model.

A gallery may be a stranger's, and so may every id, root, folder and model's name in it. What lies in the
folder that holds it is read. What lies outside, by its real path, is read, and a connection opened, only
where this user made the gallery on this machine or trusted it (`lookalike.sources.trust`), or where the
caller named the very place. Between the look at a path and the reading, somebody else who may write to the
folder could still replace a part of that path by a link.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from stat import S_ISLNK
from typing import TYPE_CHECKING, Any

from lookalike import images
from lookalike.errors import NotTrusted, Unreadable
from lookalike.images.limits import require_bytes
from lookalike.images.recognition import HEAD
from lookalike.sources import base, remote, trust
from lookalike.sources.folder import GALLERIES, is_address, path_of, to_id, to_path, under
from lookalike.system.files import stamp
from lookalike.system.text import quoted, redact_text, was_redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.images import ImageLimits
    from lookalike.sources.base import Source
    from lookalike.sources.resolve import Sorted
    from lookalike.sources.trust import Grant
    from lookalike.types import Value

_WEB = ("http://", "https://")
_HERE = ("file://", "local://")
_SECRET = "its address held a secret, which was not kept: it can't be read again"  # noqa: S105  # a message


@dataclass(frozen=True)
class Access:
    """What one gallery may reach; every read of a picture by its id goes through here.

    root: the folder that the gallery's ids are relative to.
    limits: on what is opened.
    gallery: its address; "" where there is none.
    token: its own.
    named: paths, addresses and models that the caller named.
    granted: what this process trusted it with, which need not be on record.
    everything: whether the caller named all that is read: a run over folders that he gave.
    sources: those that the caller gave as they are; others are found by the schemes of their addresses.
    """

    root: str
    limits: ImageLimits
    gallery: str = ""
    token: str = ""
    named: tuple[str, ...] = ()
    granted: Grant | None = None
    everything: bool = False
    sources: tuple[Source, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Take along what was decided here: elsewhere, as on a worker, the record may be another."""
        _ = self.grant, self._places
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    @cached_property
    def grant(self) -> Grant | None:
        """What the gallery was trusted with."""
        return self.granted or (trust.find(self.gallery, self.token) if self.gallery else None)

    @cached_property
    def home(self) -> str | None:
        """The real path of the folder that holds the gallery; None for one that is in no folder."""
        if not self.gallery or "://" in self.gallery:
            return None
        real = os.path.realpath(self.gallery)
        holders = (Path(path).parent for path in (self.gallery, real))
        return next((os.path.realpath(f.parent) for f in holders if f.name == GALLERIES), real)

    @property
    def trusted(self) -> bool:
        """Whether the gallery may reach outside of its folder."""
        return self.grant is not None

    def naming(self, *sources: str) -> Access:
        """Return what the gallery may reach where the caller named these, too."""
        return replace(self, named=(*self.named, *sources)) if sources else self

    def unnamed(self) -> Access:
        """Return what the gallery may reach by itself, whatever the caller named."""
        return replace(self, named=())

    def of_run(self, *, everything: bool, sources: Sequence[Source] = ()) -> Access:
        """Return what it may reach in a run; in one over what the caller named that is everything."""
        return replace(self, everything=True, sources=tuple(sources)) if everything else self

    # Pictures.

    def refusal(self, id_: str) -> str:
        """Return why a picture is not read; "" if it may be."""
        if was_redacted(id_):
            return _SECRET
        if self.everything or (not is_address(id_) and self.trusted) or not self.leads_out(id_):
            return ""
        return self._refusal_outside(id_)

    def unread(self, ids: Iterable[str]) -> list[str]:
        """Return those of some pictures that are not read, as `refusal` says; quick for an answer's hits."""
        if self.everything:
            return []
        if self.trusted:
            return [id_ for id_ in ids if is_address(id_) and self.refusal(id_)]
        return [id_ for id_ in ids if self.lies_outside(id_) and self.refusal(id_)]

    def read(self, id_: str, *, size: int | None = None) -> bytes:
        """Return the bytes of a picture that was found by a walk, or named as a file, wherever it is.

        Raises:
            Unreadable: it may not be read, or can't be.
            DownloadError, ImageError, MissingExtra, UsageError: as `lookalike.sources.remote.read` says.
        """
        if reason := self.refusal(id_):
            raise Unreadable(reason)
        if id_.lower().startswith(_WEB):
            return self.download(id_, private=id_ in self.named)
        path = _path(id_, self.root)
        if path is not None:
            return images.read_file(path, self.limits)
        source = self.source_of(id_)
        return remote.read(id_, self.limits, size=size) if source is None else _read(source, id_, self.limits)

    def source_of(self, id_: str) -> Source | None:
        """Return the source of another package that a picture is from; None for the built-in ones."""
        if not is_address(id_):
            return None
        known = (*self.sources, *self._opened)
        source = next((source for source in known if id_.startswith(source.prefix)), None)
        if source is None and (source := base.registered(id_)) is not None:
            self._opened.append(source)
        return source

    @cached_property
    def _opened(self) -> list[Source]:
        """The sources of other packages that were opened here."""
        return []

    def fields(self, id_: str) -> Mapping[str, Value]:
        """Return what the source of another package knows of a picture.

        Raises:
            Unreadable: it may not be read, or can't be.
        """
        source = self.source_of(id_)
        if source is None:
            return {}
        if reason := self.refusal(id_):
            raise Unreadable(reason)
        with base.explaining():
            return source.fields(id_)

    def keeps_thumbnail(self, id_: str) -> bool:
        """Whether a small picture is kept of one that was named by its id."""
        source = self.source_of(id_)
        return source is not None and source.keeps_thumbnail

    def head(self, id_: str) -> bytes:
        """Return the first bytes of a picture on a disk, which mostly hold its header.

        Raises:
            Unreadable: it may not be read, or can't be.
            ImageError: it is no picture.
        """
        if reason := self.refusal(id_):
            raise Unreadable(reason)
        return images.read_head(path_of(id_, self.root), self.limits)

    def read_named(self, path: str) -> bytes:
        """Return the bytes of a picture's file that the caller named.

        Raises:
            ImageError: as `lookalike.images.read_file` says.
        """
        return images.read_file(path, self.limits)

    def download(self, address: str, *, private: bool) -> bytes:
        """Return the bytes of a picture on the web, which the caller named, or a table that he named.

        Args:
            address: `http://…` or `https://…`.
            private: whether it may lead into this machine or its network.

        Raises:
            DownloadError: it gave nothing.
        """
        from lookalike.sources.web import download

        return download(address, max_bytes=self.limits.max_bytes, allow_private=private).content

    def stat(self, id_: str) -> tuple[int, int]:
        """Return size and mtime_ns of a picture's file. Raises `OSError` where they can't be had."""
        if reason := self.refusal(id_):
            raise PermissionError(errno.EACCES, reason)
        if is_address(id_):
            source = self.source_of(id_)
            return remote.stat(id_) if source is None else source.stat(id_)
        return stamp(os.stat(path_of(id_, self.root)))  # noqa: PTH116

    # Folders.

    def refusal_at(self, place: str) -> str:
        """Return why a file or folder, by its whole path or its address, is not opened; "" if it may be."""
        return self.refusal(place if is_address(place) else to_id(place))

    def is_folder(self, address: str) -> bool:
        """Whether an address that the caller named leads to a folder.

        Raises:
            NotFound, DownloadError, UsageError, MissingExtra: as `lookalike.sources.remote.is_folder` says.
        """
        source = base.registered(address)
        return remote.is_folder(address) if source is None else base.is_whole(address, source)

    def walk(self, folder: str, *, hidden: bool, exclude: tuple[str, ...]) -> Source:
        """Return the source of the pictures at an address.

        Raises:
            NotTrusted: it may not be looked into.
        """
        if reason := self.refusal_at(folder):
            raise NotTrusted(f"{folder} {reason}")
        if (source := base.registered(folder)) is not None:
            return base.Guarded(source, exclude)
        from lookalike.sources.remote_walk import RemoteWalk

        return RemoteWalk(folder, hidden=hidden, exclude=exclude)

    # The model.

    def may_load(self, name: str) -> bool:
        """Whether the model in the gallery's header may be loaded, whatever that takes."""
        return self.everything or name in self._places or self.trusted

    def may_open(self, path: str) -> bool:
        """Whether a file that the model needs, by its absolute path, may be opened."""
        return not self.leads_out(to_id(path)) or not self._refusal_outside(to_id(path))

    def notes_of_run(self, given: Sorted) -> list[str]:
        """What to say of folders that were passed over, and of those that a later run will pass over."""
        alone = self.unnamed()
        later = [] if given.unread else [folder for folder in given.folders if alone.refusal_at(folder)]
        told = [self.note(given.unread)] if given.unread else []
        return told + [
            f"{redact_text(folder)} is read because it was named; a run without it will pass it over, for "
            f"this gallery is not trusted to reach outside of its folder; {self.advice} allows it"
            for folder in later
        ]

    # In words.

    @property
    def advice(self) -> str:
        """The command that trusts the gallery."""
        place = Path(self.gallery)
        if place.parent.name != GALLERIES:
            return f"`lookalike trust --gallery {quoted(self.gallery)}`"
        named = "" if place.name == "default" else f" --name {quoted(place.name)}"
        return f"`lookalike trust {quoted(str(place.parent.parent))}{named}`"

    def note(self, unread: Sequence[str]) -> str:
        """What to say of pictures, or folders, that were not read; "" where there are none."""
        if not unread:
            return ""
        more = f" and {len(unread) - 1:,} more" if len(unread) > 1 else ""
        if self.trusted:
            return f"not read: {redact_text(unread[0])}{more}: {self.refusal(unread[0])}"
        where = f"outside of {self.home}" if self.home else "outside of the gallery"
        return (
            f"not read: {redact_text(unread[0])}{more}, {where}, where this gallery is not trusted to reach; "
            f"{self.advice} allows it, and shows what else it names"
        )

    # Where things lie.

    def place_leads_out(self, place: str) -> bool:
        """Whether a file or folder, by its whole path or its address, lies outside."""
        return self.leads_out(place if is_address(place) else to_id(place))

    @cached_property
    def _places(self) -> tuple[str, ...]:
        """What the caller named, and what the environment names."""
        return (*self.named, *trust.listed())

    @cached_property
    def _inner(self) -> dict[str, str]:
        """Folders of ids that were looked at, and their paths; "" for one outside of that of the gallery."""
        return {}

    def leads_out(self, id_: str) -> bool:
        """Whether a picture, a folder or a file lies outside of the folder that holds the gallery."""
        path = _local(id_, self.root)
        return path is None or not _inside(path, self.home)

    def lies_outside(self, id_: str) -> bool:
        """The same, quicker for many of a folder."""
        if is_address(id_) or id_.endswith("/.."):
            return self.leads_out(id_)
        folder, _, name = id_.rpartition("/")
        top = self._inner.get(folder)
        if top is None:
            inner = not self.leads_out(f"{folder}/" if id_[0] == "/" else folder)
            top = self._inner[folder] = path_of(folder, self.root) + "/" if inner else ""
        if not top or not name or name == "..":
            return self.leads_out(id_)
        try:
            return S_ISLNK(os.lstat(top + to_path(name)).st_mode) and self.leads_out(id_)
        except (OSError, ValueError):
            return False  # and so there is nothing to read

    def _refusal_outside(self, id_: str) -> str:
        if self._is_named(id_):
            return ""
        if self.grant is None:
            where = f"outside of {self.home}" if self.home else "outside of the gallery"
            return f"it lies {where}, where the gallery is not trusted to reach; {self.advice} allows it"
        if _local(id_, self.root) is not None or id_.lower().startswith(_WEB):
            return ""  # of the web, what is private is refused when it is fetched
        if reason := remote.refusal(id_, allow_private=self.grant.private):
            return f"{reason}; {self.advice[:-1]} --allow-private` allows it"
        return ""

    def _is_named(self, id_: str) -> bool:
        path = _local(id_, self.root)
        if path is not None:
            # Of places that are paths: one that is relative would lead below a root which is the gallery's.
            known = (to_id(p) if p[0] == "/" else p for p in self._places if p.startswith(("/", *_HERE)))
            return any(_inside(path, _local(place, "/")) for place in known)
        if "/.." in id_:
            return id_ in self._places
        return any(id_ == place or _is_below(id_, place) for place in self._places)


def _read(source: Source, id_: str, limits: ImageLimits) -> bytes:
    """The bytes that a source of another package gives, held to the limits."""
    with base.explaining():
        content = bytes(source.read(id_, limits))
    require_bytes(len(content), limits)
    images.recognise(content[:HEAD])
    return content


def _is_below(id_: str, address: str) -> bool:
    """Whether an address lies in a folder, and where that is in an archive, in the very same one."""
    in_archive = remote.divided(id_)[2] == remote.divided(address)[2]
    return is_address(address) and in_archive and under(id_, remote.prefix_of(address))


def _path(id_: str, root: str) -> str | None:
    """The path of what lies on this machine; None for other addresses."""
    if id_.lower().startswith(_HERE):
        path = id_.partition("://")[2]  # as it is: an address has none of the escapes of an id
        # None of the current folder, of a home, or of several parts.
        return path if path.startswith("/") and "::" not in path else None
    return None if is_address(id_) else path_of(id_, root)


def _local(id_: str, root: str) -> str | None:
    """The real path of what lies on this machine; None for other addresses, and for what can't be a path."""
    try:
        path = _path(id_, root)
        return None if path is None else os.path.realpath(path)
    except (ValueError, OSError):  # a null character, or one that no name has
        return None


def _inside(path: str, folder: str | None) -> bool:
    return folder is not None and (path == folder or path.startswith(folder.rstrip("/") + "/"))
