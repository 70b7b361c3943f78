"""What a report says of how pictures were described."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.indexing.pipeline import Pipeline
    from lookalike.reports import Skip

_NAMED = 10


def notes(pipeline: Pipeline) -> Iterator[str]:
    """Yield what the user should know of a pipeline that has ended."""
    kept = pipeline.store.header.space.precision
    for precision in pipeline.precisions - {kept}:
        yield (
            f"new pictures were described in {precision}, the gallery is in {kept}: they can be "
            "compared, but not to the last digit"
        )
    yield from _damaged(pipeline.damaged)


def _damaged(pictures: Sequence[Skip]) -> Iterator[str]:
    for picture in pictures[:_NAMED]:
        yield f"{picture.path}: {picture.reason}"
    if len(pictures) > _NAMED:
        yield f"{len(pictures) - _NAMED:,} more pictures are damaged, and were indexed all the same"
