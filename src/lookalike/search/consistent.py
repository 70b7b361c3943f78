"""Answers of one gallery, though another process may put another one in its place at any moment."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import ModelError, StoreBusy, StoreChanged, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lookalike.types import Floats, Header, Store

_T = TypeVar("_T")

_TRIES = 5
"""How often a question is asked of a gallery that is replaced meanwhile."""


def of_one_gallery(store: Store, ask: Callable[[Header], _T]) -> _T:
    """Return an answer to which vectors, classes and pictures of one and the same gallery led.

    Args:
        store: where the gallery is.
        ask: asks it; it gets the header that the gallery has, and is called anew if that has changed.

    Raises:
        StoreBusy: the gallery was replaced again and again.
    """
    for _ in range(_TRIES):
        header = store.header
        with suppress(StoreChanged), _unless_changed(store, header):
            found = ask(header)
            if store.header == header:
                return found
    raise StoreBusy(
        f"the gallery was replaced {_TRIES} times while it was asked; ask again when what rebuilds it is done"
    )


def fitting(vectors: Floats, dim: int) -> Floats:
    """Return vectors (n, dim) as they are.

    Raises:
        StoreChanged: they have another length: they are of another gallery, put in the place of the first.
    """
    if vectors.shape[1] != dim:
        raise StoreChanged(f"vectors have {vectors.shape[1]} numbers, expected {dim}; ask again")
    return vectors


@contextmanager
def _unless_changed(store: Store, header: Header) -> Iterator[None]:
    """Raise `StoreChanged` in place of an error that may come of the change alone."""
    try:
        yield
    except (ModelError, UsageError) as error:
        store.count()  # a store in a cluster notices only when it is asked
        if store.header != header:
            raise StoreChanged("the gallery was replaced while it was asked; ask again") from error
        raise
