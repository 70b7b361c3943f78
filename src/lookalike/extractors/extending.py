"""A model made of another one by more steps behind its vector: what a ranker learns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lookalike import extractors
from lookalike.errors import ModelError
from lookalike.extractors import trained
from lookalike.extractors.network import OpenVinoExtractor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lookalike.extractors.cards import Card
    from lookalike.extractors.steps import Step
    from lookalike.types import Metric


def extended(
    name: str, steps: Sequence[Step], folder: Path, *, training: Mapping[str, Any] | None = None
) -> Card:
    """Write a model that sends the vector of another one through more steps.

    Galleries of the other model can be converted to it without a picture being opened.

    Args:
        name: of the other model, as it is typed; its vector is what comes before the steps.
        steps: to add; may be none.
        folder: to write into.
        training: the record of how the steps came about.

    Raises:
        ModelError: that model has no network to write; and all that loading it raises.
    """
    extractor = extractors.load(name)
    if not isinstance(extractor, OpenVinoExtractor):
        raise ModelError(
            f"{name} is run by {type(extractor).__name__} and has no network that can be written; expected a "
            "model of OpenVINO, such as efficientnet-lite0, keras:VGG16@fc1 or a file of your own"
        )
    model, card, layer = extractor.uncompiled()
    own = replace(
        card,
        name=folder.name,
        features=layer,
        steps=(*extractor.steps, *steps),
        metric="cosine" if steps else cast("Metric", extractor.metric),
        training=training,
        files={},
    )
    return trained.write(folder, model, own)
