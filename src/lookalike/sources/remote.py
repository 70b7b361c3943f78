"""Pictures in remote folders, at any address that fsspec reads, walked as folders on a disk are.

An id is the address as fsspec takes it: `s3://bucket/photos/a.jpg`. Who may read there is between fsspec
and its environment (`AWS_PROFILE`, `FSSPEC_FTP_USERNAME` …): neither ids nor messages hold a secret.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike import images
from lookalike.errors import DownloadError, LookalikeError, MissingExtra, NotFound, Unreadable, UsageError
from lookalike.images.limits import require_bytes
from lookalike.images.recognition import HEAD
from lookalike.system import forks, imports
from lookalike.system.files import MOST
from lookalike.system.text import has_secret_parameter, has_user, redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.images import ImageLimits

_WEB = ("http://", "https://")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)", re.IGNORECASE)
_SCHEMES = re.compile(r"(?:^|(?<=::))[a-z][a-z0-9+.-]*(?=://)", re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s'\"]*")
_STAMP = re.compile(r"(\d{14})(?:\.(\d{1,6})\d*)?", re.ASCII)  # as FTP tells it: from the year to the second
_MILLISECONDS = 1e11  # a larger number is one of these: as seconds it would mean the year 5138
_LARGE = 1 << 20  # bytes of a file of which only the beginning is read first: it may be no picture

UNKNOWN = -1
"""The size of a file whose system does not say it."""

DIVIDING = ":: in the name of a folder, or in an archive, divides an address"

_PACKAGES = {
    "abfs": "adlfs", "az": "adlfs", "gcs": "gcsfs", "gs": "gcsfs", "s3": "s3fs", "s3a": "s3fs",
    "sftp": "paramiko", "smb": "smbprotocol", "ssh": "paramiko",
}  # fmt: skip
"""What fsspec needs besides itself, for the commonest schemes."""

_ARCHIVES = {"libarchive", "tar", "zip"}
"""What is at a path inside of a file: behind `::` follows that file's own address."""

_NO_MACHINE = {
    "abfs", "abfss", "adl", "az", "box", "dropbox", "gcs", "gdrive", "gist", "github", "gs", "hf", "lakefs",
    "memory", "oci", "oss", "s3", "s3a", "tos", "wandb",
}  # fmt: skip
"""Schemes whose addresses name no machine: the user's own environment says which one is asked."""

_TIMES = (
    "mtime", "LastModified", "last_modified", "updated", "modified", "modificationTime", "modify", "created",
)  # fmt: skip
_VERSIONS = ("ETag", "etag", "md5Hash", "sha", "sha256", "checksum", "CRC", "date_time")


class Place(NamedTuple):
    """Where an address leads: a file system of fsspec, and a path in it.

    turn: to be held for every call: those who read an archive share the one file that it is.
    """

    files: Any
    path: str
    turn: AbstractContextManager[object] = nullcontext()


def is_remote(given: object) -> bool:
    """Whether this is the address of a remote folder or file; a picture on the web is not meant."""
    return isinstance(given, str) and bool(_SCHEME.match(given)) and not given.lower().startswith(_WEB)


def spelled(address: str) -> str:
    """An address in the one spelling that ids have: schemes in small letters."""
    return _SCHEMES.sub(lambda scheme: scheme[0].lower(), address)


def refusal(address: str, *, allow_private: bool) -> str:
    """Why an address out of a table is not read, for it may be a stranger's; "" if it is.

    Only downloads from the web can be held to public machines: any other address that names a machine may
    lead into this one or its network, which has to be allowed.
    """
    if has_user(address):
        return "an address with a password in it would be kept in the gallery"
    if has_secret_parameter(address):
        return "an address with a secret in it would be kept in the gallery"
    if allow_private:
        return ""
    head, chained, tail = divided(address)
    for part in [head, *tail.split("::")] if chained else [head]:
        scheme, colon, _ = part.partition("://")
        if not colon or scheme in {"file", "local"}:
            return "leads into this machine: a table names its files by their paths"
        if scheme not in _NO_MACHINE | _ARCHIVES:
            return f"{scheme}://… may lead into this machine or its network"
    return ""


def read(address: str, limits: ImageLimits, *, size: int | None = None) -> bytes:
    """The bytes of a picture at an address.

    Args:
        address: of a file.
        limits: on what is read.
        size: of the file, if known: a large one that does not begin as a picture is not read to its end.

    Raises:
        Unreadable: it is gone, refused, or out of reach.
        ImageError: not a picture, or larger than the limit.
        UsageError, MissingExtra: as `is_folder` says.
    """
    require_bytes(size or 0, limits)
    try:
        files, path, turn = place_of(address)
        if size == 0:
            images.recognise(b"")  # of which there is no first byte to ask for
        with turn:
            if size is not None and size > _LARGE:
                images.recognise(files.cat_file(path, start=0, end=HEAD))
            content: bytes = files.cat_file(path, start=0, end=limits.max_bytes + 1)
    except LookalikeError:
        raise
    except Exception as error:  # noqa: BLE001  # what a file system raises is its own affair
        raise Unreadable(f"can't be read: {reason(error)}") from None
    require_bytes(len(content), limits)
    images.recognise(content[:HEAD])
    return content


def stat(address: str) -> tuple[int, int]:
    """Size and mtime_ns of a file. Raises `OSError` where it can't be had."""
    try:
        files, path, turn = place_of(address)
        with turn:
            details = files.info(path)
    except LookalikeError:
        raise
    except Exception as error:  # noqa: BLE001
        raise OSError(reason(error)) from None
    if details.get("type") == "directory":
        raise IsADirectoryError("a folder, not a file")
    return size_of(details), mtime_ns_of(details)


def is_folder(address: str) -> bool:
    """Whether an address leads to a folder, not to a file.

    Raises:
        NotFound: there is nothing.
        DownloadError: it can't be reached.
        UsageError, MissingExtra: it is no address of a kind that is known, or can be used.
    """
    try:
        files, path, turn = place_of(address)
        with turn:
            files.invalidate_cache()
            folder = bool(files.info(path).get("type") == "directory")
    except FileNotFoundError:
        raise NotFound(f"{address} does not exist") from None
    except LookalikeError:
        raise
    except Exception as error:  # noqa: BLE001
        raise DownloadError(f"{address} can't be reached: {reason(error)}") from None
    if folder and "::" in divided(address)[0]:
        raise UsageError(f"{address} can't be walked: {DIVIDING}; name its files one by one")
    return folder


def prefix_of(folder: str) -> str:
    """What the ids of a folder's files begin with, from its address; an archive's own address ends them."""
    head, chained, tail = divided(folder)
    return (head if head.endswith("/") else head + "/") + chained + tail


def folder_of(prefix: str) -> str:
    """The address of a folder, from what the ids below it begin with."""
    head, chained, tail = divided(prefix)
    return (head if head.endswith("://") else head.rstrip("/")) + chained + tail


def divided(address: str) -> tuple[str, str, str]:
    """Return the address in an archive, `::`, and the archive's own; any other address is left whole."""
    archive = address.partition("://")[0] in _ARCHIVES
    return address.partition("::") if archive else (address, "", "")


def place_of(address: str) -> Place:
    """Open the file system that an address is of.

    Raises:
        UsageError: there is no such scheme, or a password in the address.
        MissingExtra: a package is not installed.
    """
    address = spelled(address)
    if has_user(address) or has_secret_parameter(address):
        scheme = address.partition("://")[0]
        raise UsageError(
            f"an address {scheme}://… with a password or another secret in it would be kept in the gallery; "
            f"tell it by the environment instead, as FSSPEC_{scheme.upper()}_USERNAME and "
            f"FSSPEC_{scheme.upper()}_PASSWORD"
        )
    head, chained, tail = divided(address)
    if chained:
        files, turn = _archive(head.partition("://")[0] + "://::" + tail)
    else:
        # What follows :: in a name fsspec would take for another address.
        files, turn = _open(address.partition("::")[0]), nullcontext()
    return Place(files, files._strip_protocol(head), turn)  # noqa: SLF001  # the way all of fsspec goes


@lru_cache(maxsize=4)
def _archive(address: str) -> tuple[Any, AbstractContextManager[object]]:
    """An archive, such as `zip://::s3://bucket/a.zip`, and its lock: fsspec would open it for every file."""
    return _open(address), Lock()


def forget_archives() -> None:
    """Let go of archives that are held open: they may have changed."""
    _archive.cache_clear()


forks.call_in_child(forget_archives)  # fsspec keeps its connections to the process that made them


def _open(address: str) -> Any:
    scheme = address.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise imports.missing(f"{scheme}://…", "remote") from error
    try:
        return url_to_fs(address)[0]
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        advice = f"pip install {package}" if package else str(error)
        raise MissingExtra(f"{scheme}://… needs another package: {advice}") from error
    except ValueError as error:
        raise UsageError(
            f"{address} can't be meant: {reason(error)}; expected s3://…, gs://… and so on"
        ) from error


def size_of(details: Mapping[str, Any]) -> int:
    """In bytes; `UNKNOWN` where that is not told, or told as what is no size."""
    with suppress(KeyError, TypeError, ValueError, OverflowError):  # none, a text, infinity
        return min(max(int(details["size"]), UNKNOWN), MOST)
    return UNKNOWN


def mtime_ns_of(details: Mapping[str, Any]) -> int:
    """When a file was changed; where that is not told, a number that changes with what is; else 0."""
    for name in _TIMES:
        if (told := details.get(name)) is not None and (moment := _nanoseconds(told)) is not None:
            return moment
    words = [str(details[name]) for name in (*_VERSIONS, *_TIMES) if details.get(name)]
    digest = blake2b("\n".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1 if words else 0


def _nanoseconds(told: object) -> int | None:
    """A moment in the words of a file system: a date, (milli)seconds, or text; None outside of 64 bits."""
    if isinstance(told, str):
        told = _date(told)
    moment = None
    if isinstance(told, datetime):
        aware = told if told.tzinfo else told.replace(tzinfo=UTC)
        moment = int(aware.replace(microsecond=0).timestamp()) * 10**9 + aware.microsecond * 1000
    elif isinstance(told, int | float) and abs(told) < 1 << 63:  # which is false of what is no number, too
        moment = int(told * (10**6 if abs(told) > _MILLISECONDS else 10**9))
    return moment if moment is not None and abs(moment) < 1 << 63 else None


def _date(text: str) -> datetime | None:
    with suppress(ValueError):
        if stamp := _STAMP.fullmatch(text):
            return datetime.strptime(f"{stamp[1]}.{stamp[2] or 0}+0000", "%Y%m%d%H%M%S.%f%z")
        return datetime.fromisoformat(text)
    return None


def reason(error: BaseException) -> str:
    """What a file system says went wrong, without what an address may hold of secrets."""
    text = str(getattr(error, "strerror", None) or error).strip()
    line = text.splitlines()[0] if text else ""
    return _QUERY.sub("?…", redact_text(line))[:300] or type(error).__name__
