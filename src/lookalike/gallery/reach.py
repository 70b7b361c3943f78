"""What a gallery names outside of the folder that holds it, for whoever is to trust it."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from lookalike.errors import LookalikeError
from lookalike.extractors.model import IMPORTED
from lookalike.extractors.names import refused
from lookalike.sources import remote
from lookalike.sources.folder import is_address, path_of
from lookalike.system.text import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.sources.access import Access
    from lookalike.types import Store

_MOST = 10_000
"""Folders and hosts that are told apart."""


def reach(store: Store, access: Access) -> dict[str, Any]:
    """Return what `Owned.reach` says, but for the gallery's address."""
    alone = access.unnamed()
    header = store.header
    prefixes = [folder.prefix for folder in store.folders()]
    paths = (remote.folder_of(p) if is_address(p) else path_of(p, access.root) for p in prefixes)
    folders = sorted({redact_text(path.rstrip("/") or "/") for path in paths if alone.place_leads_out(path)})
    ids = (state.id for state in store.states() if state.status == "picture")
    return {
        "trusted": access.trusted,
        "private": access.grant is not None and access.grant.private,
        "home": access.home,
        "root": access.root,
        "root_outside": alone.place_leads_out(access.root),
        "folders": folders,
        "pictures": dict(_places((id_ for id_ in ids if alone.lies_outside(id_)), access.root)),
        "model": header.space.extractor if _model_needs(header.space.extractor, alone) else None,
    }


def _places(ids: Iterable[str], root: str) -> Counter[str]:
    """How many pictures lie at each place outside: a folder of this machine, or a host."""
    counts: Counter[str] = Counter()
    for id_ in ids:
        place = _host(id_) if is_address(id_) else os.path.dirname(path_of(id_, root))  # noqa: PTH120
        counts[place if place in counts or len(counts) < _MOST else "elsewhere"] += 1
    return Counter(dict(sorted(counts.items())))


def _host(address: str) -> str:
    scheme, _, rest = redact_text(address).rpartition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _model_needs(name: str, access: Access) -> bool:
    """Whether the model in the header is one that has to be trusted."""
    try:
        return name != IMPORTED and bool(refused(name, access))
    except LookalikeError:  # it is no model's name here
        return False
