"""The card beside a model's file: found, or written where there is none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError
from lookalike.extractors import cards, runtime
from lookalike.extractors.trials import files_of, has_numbers_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lookalike.extractors.cards import Card

ENDINGS = (".onnx", ".xml", ".keras", ".h5")
"""How the file of a network ends."""


def described(
    path: Path,
    guess: Callable[[], tuple[Card, tuple[str, ...]]],
    model: Any = None,
    *,
    keep: bool = True,
) -> tuple[Card, tuple[str, ...]]:
    """The card of a file, written first if there is none; its weights are the file's digest.

    Args:
        path: of the model.
        guess: makes a card, and notes on what was assumed, where there is none.
        model: the `openvino.Model`, for the numbers that an ONNX file keeps elsewhere.
        keep: whether a card is written where there is none.

    Returns:
        The card, and notes for the user; none where there was a card.

    Raises:
        ModelError: the card is damaged, or describes another file.
    """
    weights = _digest(path, model)
    kept = runtime.cache_folder() / "cards" / f"{weights[:32]}.json"
    for place in (path.with_suffix(".json"), kept):
        if (card := _card(place, path)) is not None:
            return replace(card, weights=weights), ()
    card, notes = guess()
    card = replace(card, weights=weights)
    return card, (*_written(card, path, kept), *notes) if keep else notes


def _card(place: Path, path: Path) -> Card | None:
    """The card at a place; None if there is none, or one of another model, or no card at all."""
    try:
        small = place.stat().st_size <= cards.LARGEST_CARD
        content = json.loads(place.read_text(encoding="utf-8")) if small else None
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not {"format", "features"} <= content.keys():
        return None  # others, too, keep JSON beside a network: its architecture, its labels
    files = content.get("files")
    if isinstance(files, dict) and files.keys() - {".npz"} and path.suffix not in files:
        return None
    try:
        return cards.read(place)
    except ModelError as error:
        raise ModelError(
            f"{error}; if the model was changed on purpose, delete {place} and a new one is written"
        ) from error


def _written(card: Card, path: Path, kept: Path) -> tuple[str, ...]:
    """Write a card beside a model, or else into the cache; a note on where."""
    beside = path.with_suffix(".json")
    try:
        if beside.exists():
            raise FileExistsError(beside)
        cards.write(card, beside, endings=[file.suffix for file in files_of(path)])
    except OSError:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            cards.write(card, kept, endings=())
        except OSError:
            return (f"{path.name} has no card, and none could be written; this was assumed:",)
        return (
            f"{path.name} had no card; {kept} was written, copy it to {beside} and correct it if needed:",
        )
    return (f"{path.name} had no card; {beside} was written, correct it if needed:",)


def _digest(path: Path, model: Any) -> str:
    """Hexadecimal SHA-256 of a model's files, and of the numbers that an ONNX file keeps elsewhere."""
    state = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as opened:
            state.update(hashlib.file_digest(opened, "sha256").digest())
    if model is not None and path.suffix.lower() == ".onnx" and has_numbers_elsewhere(path):
        for op in model.get_ordered_ops():
            if op.get_type_name() == "Constant":
                state.update(op.get_friendly_name().encode() + op.data.tobytes())
    return state.hexdigest()
