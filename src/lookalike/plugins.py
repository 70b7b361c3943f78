"""Plug-ins by entry points: extractors and stores, the built-in ones, too, and sources of pictures."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lookalike.errors import LookalikeError, NotFound

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

Group: TypeAlias = Literal["lookalike.extractors", "lookalike.sources", "lookalike.stores"]


def names(group: Group) -> list[str]:
    """The names registered in a group, sorted; nothing is imported for it."""
    return sorted(set(_entry_points(group).names))


@cache
def load(group: Group, name: str) -> Any:
    """The object that a name stands for, imported now.

    Args:
        group: which family.
        name: as `names` lists it.

    Raises:
        NotFound: no plug-in has that name.
        LookalikeError: the plug-in is there, but its module can't be imported.
    """
    points = _entry_points(group).select(name=name)
    if not points:
        raise NotFound(f"no plug-in {name!r} in {group}; there are {', '.join(names(group)) or 'none'}")
    point = next(iter(points))
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise LookalikeError(
            f"the plug-in {name!r} ({point.value}) can't be imported: {error}; install it again or remove it"
        ) from error


@cache
def _entry_points(group: Group) -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group=group)
