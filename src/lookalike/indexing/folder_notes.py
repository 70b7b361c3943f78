"""What a report says of folders that were not seen, not listed, or left out."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from lookalike.reports import Skip
from lookalike.sources.folder import path_of
from lookalike.sources.ignoring import IGNORE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.indexing.plan import Plan

_SHOWN = 8  # names of folders in a note


def notes(planned: Plan, root: str) -> list[str]:
    """Return what the user should know of the folders."""
    return [*_kept(planned, root), *_new(planned), *_of_programs(planned)]


def left_out(planned: Plan) -> dict[str, int]:
    """Return how many folders that other programs keep were left out, by their names."""
    return dict(Counter(_name(prefix) for prefix in planned.aside))


def unlisted(planned: Plan) -> list[Skip]:
    """Return every folder that could not be listed, with the reason."""
    return [
        Skip(_path(prefix), f"a folder that can't be listed: {reason}")
        for prefix, reason in planned.unlisted.items()
    ]


def unlistable(reasons: Mapping[str, str]) -> list[str]:
    """Return a note of the folders that could not be listed, from their prefixes with the reasons."""
    if not reasons:
        return []
    prefix, reason = next(iter(reasons.items()))
    count = "1 folder" if len(reasons) == 1 else f"{len(reasons):,} folders"
    return [f"{count} can't be listed, and what is in there is left out: {_path(prefix)} ({reason})"]


def _kept(planned: Plan, root: str) -> list[str]:
    """A note for each folder whose pictures are kept though they were not seen."""
    return [
        f"{path_of(prefix, root)}: {planned.unseen[prefix]}; the {count:,} pictures from there "
        "are kept, --prune removes them"
        for prefix, count in planned.kept.items()
    ]


def _new(planned: Plan) -> list[str]:
    """A note of the folders that could not be listed and of which the gallery has no picture."""
    return unlistable({prefix: why for prefix, why in planned.unlisted.items() if prefix not in planned.kept})


def _of_programs(planned: Plan) -> list[str]:
    """A note of the folders that were left out for their names, and of what had come in from there before."""
    names = left_out(planned)
    if not names:
        return []
    folders = ", ".join(f"{count:,} {name}" for name, count in islice(names.items(), _SHOWN))
    folders += f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    aside = frozenset(planned.aside)
    gone = sum(any(id_[: slash + 1] in aside for slash in _slashes(id_)) for id_ in planned.vanished)
    taken = f"; {gone:,} pictures from there are taken out" if gone else ""
    example = f"!{next(iter(names))}/"
    what = "folders of thumbnails, previews and trash of other programs are left out"
    return [f"{what} ({folders}){taken}; a line {example} in {IGNORE_FILE} takes such in"]


def _slashes(id_: str) -> list[int]:
    return [place for place, character in enumerate(id_) if character == "/"]


def _name(prefix: str) -> str:
    return prefix.partition("::")[0].rstrip("/").rpartition("/")[2]


def _path(prefix: str) -> str:
    """A folder as its pictures' ids begin; the root itself as `./`."""
    return prefix or "./"
