"""The vectors of a gallery sent through the further steps of a model: no picture is opened.

A vector is a layer's output sent through steps. Where a model cuts the same network at the same layer, and
its first steps are all those that a gallery's vectors were made by, the others make its vectors of them.
"""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from lookalike import extractors, stores
from lookalike.errors import ModelError, ModelMismatch, NotFound, StoreError, UsageError
from lookalike.extractors import network
from lookalike.extractors import steps as vector_steps
from lookalike.extractors.model import Model
from lookalike.extractors.steps import Flatten
from lookalike.indexing import copy
from lookalike.reports import Report
from lookalike.stores import location

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.extractors.steps import Step
    from lookalike.reports import Progress
    from lookalike.types import Extractor, Header, Store


def convert(
    source: Store,
    header: Header,
    address: str,
    extractor: Extractor,
    *,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Make a gallery of another one, or bring it up to date with that.

    Args:
        source: whose vectors.
        header: of the gallery to make.
        address: where it is to be.
        extractor: whose vectors it is to have.
        progress: called after every commit.

    Raises:
        ModelMismatch: the vectors can't be made of those, or there is a gallery of another model.
        UsageError: it is the very same gallery.
    """
    started = time.monotonic()
    if address == source.address:
        raise UsageError(f"{address} can't be converted into itself; tell another --name")
    steps = further(source.header, extractor)
    with closing(stores.open_store(address, create=header)) as target:
        Model(extractor, metric=header.space.metric).check(target.header, address)
        report = Report(root=header.root, gallery=address, model=extractor.name)
        with target.writing():
            copy.bring(source, target, report, change=partial(vector_steps.apply, steps), progress=progress)
    report.notes.append(
        f"made of the vectors of {source.address} ({source.header.space.extractor}); no picture was opened"
    )
    report.seconds = time.monotonic() - started
    return report


def further(header: Header, extractor: Extractor) -> tuple[Step, ...]:
    """The steps that lead from the vectors of a gallery to those of an extractor.

    Raises:
        ModelMismatch: there is no way from the ones to the others.
        ModelError: the extractor has been run already.
    """
    found = _further(header, extractor)
    if found is None:
        raise ModelMismatch(
            f"vectors made by {header.space.extractor} can't be converted to {extractor.name}: "
            f"{_why(extractor)}"
        )
    return found


def fitting(root: str, model: str | Extractor) -> str:
    """The name of a folder's gallery that can be converted to a model: `default` if that one can.

    Raises:
        NotFound: the folder has no gallery.
        ModelMismatch: none of them can.
    """
    extractor = extractors.load(model) if isinstance(model, str) else model
    top = location.absolute(root)
    known = location.names(top)
    if not known:
        raise NotFound(location.absent(location.inside(top, location.DEFAULT_NAME), location.DEFAULT_NAME))
    made: list[str] = []
    same: list[str] = []
    for name in sorted(known, key=lambda name: (name != location.DEFAULT_NAME, name)):
        try:
            with closing(stores.open_store(location.inside(top, name))) as store:
                header = store.header
        except StoreError:
            continue
        if header.space.digest == extractor.digest:
            same.append(name)
        elif _further(header, extractor) is not None:
            return name
        made.append(f"{name} by {header.space.extractor}")
    if same:
        # Mostly one of the model itself from before; but a model may also add no steps at all.
        return same[0]
    raise ModelMismatch(
        f"no gallery of {top} can be converted to {extractor.name} (there are {', '.join(made)}): "
        f"{_why(extractor)}"
    )


def _further(header: Header, extractor: Extractor) -> tuple[Step, ...] | None:
    if not isinstance(extractor, network.OpenVinoExtractor):
        return None
    _, card, layer = extractor.uncompiled()
    steps = extractor.steps
    for count in range(len(steps), -1, -1):
        # Without any step a layer's output is kept as a row.
        first = steps[:count] or (Flatten(),)
        if network.digest(card, layer, first) == header.space.digest:
            return steps[count:] if _fits(steps[count:], header.space.dim, extractor.dim) else None
    return None


def _fits(steps: tuple[Step, ...], before: int, after: int) -> bool:
    try:
        return vector_steps.dim(steps, (before,)) == after
    except ModelError:  # a map was flattened that is to be pooled
        return False


def _why(extractor: Extractor) -> str:
    """What a model needs, and what to do instead."""
    hint = f"describe the pictures by it, `lookalike index FOLDER --name NAME --model {extractor.name}`"
    if not isinstance(extractor, network.OpenVinoExtractor):
        return f"nothing is known of how {type(extractor).__name__} makes its vectors; {hint}"
    return (
        "that needs vectors of the same network and layer, made by the first of its steps, and a network "
        f"that was trained further is another one; {hint}"
    )
