"""Networks that are built here, kept in the user's cache as a model and its card.

A folder of the cache is whole or not there: it is written under another name and renamed. What
is damaged is built again, and where nothing can be written, the network is used without a cache.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError
from lookalike.extractors import cards, runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.extractors.cards import Card

_STEM = "model"


def converted(key: str, build: Callable[[], tuple[Any, Card]]) -> tuple[Any, Card]:
    """A network from the cache, put there first if it is not.

    Args:
        key: names the network and everything that went into it.
        build: makes the `openvino.Model` and its card.

    Returns:
        The `openvino.Model`, and its card.
    """
    path = runtime.cache_folder() / "models" / key / f"{_STEM}.xml"
    try:
        return open_model(path)
    except ModelError:  # not there yet, or damaged
        model, card = build()
    try:
        _keep(model, card, path.parent)
        return open_model(path)  # as every later run will find it, so that it is compiled only once
    except (OSError, RuntimeError, ModelError):  # a cache is a convenience
        return model, card


def open_model(path: Path) -> tuple[Any, Card]:
    """A network in OpenVINO's own form, and the card beside it.

    Args:
        path: of the `.xml` file.

    Raises:
        ModelError: network or card can't be read, or do not belong together.
    """
    card = cards.read(path.with_suffix(".json"))
    try:
        return runtime.core().read_model(path), card
    except RuntimeError as error:
        raise ModelError(f"{path} is no network that OpenVINO can read; convert it again") from error


def _keep(model: Any, card: Card, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as scratch:
        written = Path(scratch) / "written"
        written.mkdir()
        runtime.openvino().serialize(model, written / f"{_STEM}.xml")
        cards.write(card, written / f"{_STEM}.json")
        # What is there is damaged, or another process was faster: either way, this one is good.
        if folder.exists():
            folder.rename(Path(scratch) / "replaced")
        written.rename(folder)
