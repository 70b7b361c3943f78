"""Galleries inside one another: which one a command finds is decided by the folder it is started in.

Commands look for a gallery in the current folder and upward, and take the first of the name that is wanted.
So one that is made inside a folder that is indexed already hides the other from whoever works there.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike import stores
from lookalike.errors import StoreError, UsageError
from lookalike.images import ImageLimits
from lookalike.sources import ignoring
from lookalike.sources.access import Access
from lookalike.sources.folder import path_of, prefix_of, under
from lookalike.stores import location
from lookalike.types import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.sources.base import Source
    from lookalike.types import Folder, Store


def around(root: str, name: str) -> str | None:
    """Return the nearest folder above whose gallery has what is in a folder, or would take it in.

    Args:
        root: the folder, an absolute path.
        name: of the gallery.
    """
    for folder in map(str, Path(root).parents):
        address = location.inside(folder, name)
        # One that can't be opened keeps nothing from anybody.
        with suppress(StoreError, OSError):
            if stores.exists(address) and _covers(address, folder, root):
                return folder
    return None


def notes(address: str, root: str, walks: Iterable[Source]) -> list[str]:
    """Return what to say of galleries around a new one, and inside of it.

    Args:
        address: of the new gallery.
        root: the folder of its pictures.
        walks: over its folders, which are done.
    """
    name = Path(address).name
    told = []
    if address == location.inside(root, name) and (above := around(root, name)):
        told.append(f"{above} has a gallery that covers {root}: commands in {root} now ask the new one")
    inner = [folder for walk in walks for folder in walk.survey.galleries]
    hiding = [folder for folder in inner if folder != root and stores.exists(location.inside(folder, name))]
    if hiding:
        count = "1 folder" if len(hiding) == 1 else f"{len(hiding):,} folders"
        has = "has a gallery of its own" if len(hiding) == 1 else "have galleries of their own"
        told.append(f"{count} inside {has} ({hiding[0]}): commands that are started there ask that one")
    return told


def _covers(address: str, folder: str, root: str) -> bool:
    """Whether the gallery of a folder has pictures below another, or walks there."""
    with closing(stores.open_store(address)) as store:
        top = store.header.root or folder
        inside = prefix_of(root, top)
        access = Access(top, ImageLimits.from_environment(), address, store.token)
        for _ in store.scan(where=[Condition("folder", "=", (inside.rstrip("/"),))], batch=1):
            return True  # the first will do
        above = (path_of(folder.prefix, top).rstrip("/") for folder in _around(store, inside))
        return any(_walked(path, root, access) for path in above)


def _around(store: Store, inside: str) -> list[Folder]:
    return [folder for folder in store.folders() if under(inside, folder.prefix)]


def _walked(top: str, root: str, access: Access) -> bool:
    """Whether a walk of one folder comes to another below it."""
    parts = os.path.relpath(root, top).split("/")
    try:
        refused = access.refusal_at(os.path.join(top, ignoring.IGNORE_FILE))  # noqa: PTH118
        patterns = None if refused else ignoring.of_folder(Path(top), ())
    except UsageError:
        patterns = None
    folders = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return not any(
        part.startswith(".")
        or ignoring.is_of_programs(f"{top}/{path}")
        or (patterns is not None and patterns.excludes(f"{path}/"))
        for part, path in zip(parts, folders, strict=True)
    )
