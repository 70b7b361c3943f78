"""Which galleries may reach outside of their folder: those that this user made here, or said to trust.

The record is a small file a gallery in the user's state folder, by the gallery's token and its real path: one
that is moved, copied in or put in the place of another is not the one that was recorded.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


ENVIRONMENT = "LOOKALIKE_TRUST"
"""The environment variable of the paths, addresses and models that every gallery may reach."""

_LARGEST = 65_536  # bytes of a file of the record


@dataclass(frozen=True, slots=True)
class Grant:
    """What a gallery was trusted with.

    gallery: its real path, or the address of its store.
    token: the gallery's own.
    made: whether this user made it here; else it was trusted later.
    private: whether an address that names a machine may lead into this one and its network.
    """

    gallery: str
    token: str
    made: bool
    private: bool


def place_of(address: str) -> str:
    """Return what stands for a gallery in the record: its real path, or an address without its options."""
    if "://" in address:
        return address.partition("?")[0].rstrip("/")
    return os.path.realpath(address)


def grant(address: str, token: str, *, made: bool, private: bool) -> str:
    """Record that a gallery is trusted.

    Returns:
        Why that can't be recorded; "" if it was.
    """
    import tempfile

    entry = Grant(place_of(address), token, made, private)
    if not token:
        return "its store gives it no token"
    folder = Path()
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(asdict(entry), file)
            os.replace(name, folder / _name(entry.gallery, token))  # noqa: PTH105
        except BaseException:
            os.unlink(name)  # noqa: PTH108
            raise
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        reason = getattr(error, "strerror", None)
        return f"{folder}: {reason}" if reason else str(error)
    return ""


def find(address: str, token: str) -> Grant | None:
    """Return what a gallery was trusted with; None if it was not, or that can't be told."""
    place = place_of(address)
    with suppress(OSError, RuntimeError):
        found = _read(_folder() / _name(place, token)) if token else None
        return found if found is not None and (found.gallery, found.token) == (place, token) else None
    return None


def grants() -> list[Grant]:
    """Return the whole record, by the galleries' places.

    Raises:
        StoreUnavailable: it can't be read.
    """
    return sorted((entry for _, entry in _entries()), key=lambda entry: (entry.gallery, entry.token))


def revoke(address: str) -> int:
    """Take a gallery's place out of the record, whatever gallery is there; how many entries there were.

    Raises:
        StoreUnavailable: it can't be changed.
    """
    place = place_of(address)
    count = 0
    for path, entry in _entries():
        if entry.gallery == place:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"{path} can't be deleted: {error.strerror}") from error
            count += 1
    return count


def listed() -> list[str]:
    """Return what `LOOKALIKE_TRUST` names: addresses and models as they are, paths absolute, too."""
    parts = [part.strip() for part in os.environ.get(ENVIRONMENT, "").split(",") if part.strip()]
    paths = [part for part in parts if "://" not in part]
    return [*parts, *(os.path.abspath(os.path.expanduser(path)) for path in paths)]  # noqa: PTH100, PTH111


def _entries() -> Iterator[tuple[Path, Grant]]:
    try:
        paths = sorted(_folder().glob("*.json"))
    except (OSError, RuntimeError) as error:
        raise StoreUnavailable(f"the record of trusted galleries can't be read: {error}") from error
    for path in paths:
        with suppress(OSError):
            if (entry := _read(path)) is not None:
                yield path, entry


def _folder() -> Path:
    """Where the record is: in `LOOKALIKE_STATE`, or the user's state folder."""
    from platformdirs import user_state_path

    chosen = os.environ.get("LOOKALIKE_STATE")
    state = Path(chosen).expanduser().absolute() if chosen else user_state_path("lookalike", appauthor=False)
    return state / "galleries"


def _name(place: str, token: str) -> str:
    key = f"{token}\0{place}".encode("utf-8", "surrogatepass")
    return f"{blake2b(key, digest_size=16).hexdigest()}.json"


def _read(path: Path) -> Grant | None:
    """An entry; None if there is none, or it was not written by this module."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_LARGEST))
        entry = Grant(**content)
        texts = all(isinstance(text, str) for text in (entry.gallery, entry.token))
        sound = texts and isinstance(entry.made, bool) and isinstance(entry.private, bool)
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    return entry if sound else None
