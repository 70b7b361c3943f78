"""What a report says of folders that could not be seen, or not be listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.results import Skip
from lookalike.walk import path_of

if TYPE_CHECKING:
    from lookalike.plan import Plan


def skips(planned: Plan) -> list[Skip]:
    """Return every folder that could not be listed, with the reason."""
    return [
        Skip(_path(prefix), f"a folder that can't be listed: {reason}")
        for prefix, reason in planned.unlisted.items()
    ]


def kept(planned: Plan, root: str) -> list[str]:
    """Return a note for each folder whose pictures are kept though they were not seen."""
    return [
        f"{path_of(prefix, root)}: {planned.unseen[prefix]}; the {count:,} pictures from there "
        "are kept, --prune removes them"
        for prefix, count in planned.kept.items()
    ]


def new(planned: Plan) -> list[str]:
    """Return a note of the folders that could not be listed and of which the gallery has no picture."""
    prefixes = [prefix for prefix in planned.unlisted if prefix not in planned.kept]
    if not prefixes:
        return []
    first = prefixes[0]
    count = "1 folder" if len(prefixes) == 1 else f"{len(prefixes):,} folders"
    example = f"{_path(first)} ({planned.unlisted[first]})"
    return [f"{count} can't be listed, and what is in there is not indexed: {example}"]


def _path(prefix: str) -> str:
    """A folder as its pictures' ids begin; the root itself as `./`."""
    return prefix or "./"
