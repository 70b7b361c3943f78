"""Stores: where a gallery lives.

An address is a folder (`sqlite`, the embedded store) or `SCHEME:…`, whose scheme names a plug-in
in the entry point group `lookalike.stores`: a module with
`open_store(address: str, *, create: Header | None = None) -> Store`, `exists(address: str) -> bool` and
`delete_store(address: str) -> None`; the entry point names its `open_store`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, cast

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lookalike.types import Header, Store

__all__ = ["delete_store", "exists", "open_store"]

# Two letters at least: `C:\Pictures` is a path, and so is `C://Pictures`.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):(?=//|[^/\\])")
_ADDRESS = re.compile(r"([^/\\:@]{2,})://")


def open_store(address: str | Path, *, create: Header | None = None) -> Store:
    """Open the store at an address.

    Args:
        address: a folder, or `SCHEME:…` of a plug-in.
        create: what to make there if nothing is there yet; a store that exists is opened as it is.

    Raises:
        NotFound: nothing is there, and `create` is None.
        StoreCorrupt: it is damaged, or is no gallery.
        StoreUnavailable: it can't be reached, read or made.
        UsageError: there is no store of that scheme, or it can't have such an address.

    >>> open_store("/tmp/no/gallery/here")
    Traceback (most recent call last):
    lookalike.errors.NotFound: there is no gallery in /tmp/no/gallery/here
    """
    opener = cast("Callable[..., Store]", _opener(str(address)))
    return opener(str(address), create=create)


def exists(address: str | Path) -> bool:
    """Whether there is a store at the address."""
    opener = _opener(str(address))
    return bool(sys.modules[opener.__module__].exists(str(address)))


def delete_store(address: str | Path) -> None:
    """Delete the store at an address with all that is in it, and nothing that is not its own.

    Raises:
        NotFound: nothing is there.
        StoreBusy: another process is writing to it.
        StoreCorrupt: what is there is no gallery.
        StoreUnavailable: it can't be reached, or not be deleted.
    """
    opener = _opener(str(address))
    sys.modules[opener.__module__].delete_store(str(address))


def _opener(address: str) -> Any:
    from lookalike import plugins

    scheme = _SCHEME.match(address)
    if scheme is not None and scheme[1] in plugins.names("lookalike.stores"):
        return plugins.load("lookalike.stores", scheme[1])
    unknown = _ADDRESS.match(address)
    if unknown is not None:
        known = ", ".join(plugins.names("lookalike.stores"))
        raise UsageError(f"{unknown[1]!r} is no kind of store; there are {known}, and plain folders")
    # Not by its entry point: importlib.metadata costs more than opening the store.
    from lookalike.stores.sqlite import open_store as open_folder

    return open_folder
