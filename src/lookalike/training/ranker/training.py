"""Train a ranker: a linear map behind a model's vector, learnt in seconds, that never makes it worse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lookalike import extractors
from lookalike.errors import ModelError
from lookalike.evaluation.folder import PictureFolder
from lookalike.extractors import extending
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.training.ranker import labelled, paired, pairs
from lookalike.training.ranker import vectors as stored
from lookalike.training.ranker.labelled import Labelled
from lookalike.training.recipes import RankerRecipe
from lookalike.training.run import Run

if TYPE_CHECKING:
    import os

    from lookalike.evaluation.labels import LabelsLike
    from lookalike.training.result import Trained
    from lookalike.training.run import OnProgress


def train_ranker(
    pictures: str | os.PathLike[str],
    recipe: RankerRecipe | None = None,
    *,
    labels: LabelsLike = "folder",
    base: str = extractors.DEFAULT,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Learn a linear map of a model's vectors by which pictures of the same label score higher.

    The vectors come from a gallery that the folder has, if one of the base knows every file; otherwise the
    pictures are described first. What is learnt is steps behind the base's own, so a gallery of the base
    can be converted without a picture being opened. Where a check on pictures and labels held out finds no
    map that is better and safe, no steps are added, and the result's notes say so. The part never seen is
    the base's own if that was trained on these pictures.

    Args:
        pictures: a folder, or CIFAR-10's batches.
        recipe: how; `RankerRecipe()` by default.
        labels: where labels are, as `lookalike.evaluate` has them; or a table with the columns query,
            better and worse, ids or paths of pictures.
        base: the model whose vectors are mapped, any that has a network: `efficientnet-lite0`,
            `keras:VGG16@fc1`, a model that was trained here.
        out: folder of the model.
        resume: what was stopped begins anew; there are no epochs to go on from.
        overwrite: replace a model that is there already.
        progress: told of pictures described.

    Returns:
        What was reached, as P@5 and mAP@100, each with its `base_…` before: `seen_p5` of pictures held out
        of labels learnt from, `unseen_p5` of labels held out, `test_p5` of the part never seen asking itself.
        Of pairs `pairs_right` and `test_right`, the share in the right order.

    Raises:
        UsageError: there are too few labels, pictures or pairs, or `out` holds something else.
        UnknownModel: there is no such base.
        ModelError: the base has no network that can be written, or the model can't be written.

    Example:
        >>> train_ranker("photos", labels="folder", out="my-ranker")  # doctest: +SKIP
    """
    recipe = recipe or RankerRecipe()
    with Run(Path(out), recipe, progress, resume=resume, overwrite=overwrite) as run:
        place = PictureFolder.look(pictures)
        run.notes += place.notes
        # Whatever can be wrong with these is found before the long part.
        table = pairs.table_of(labels)
        triples = [] if table is None else paired.find(place, table, recipe)
        given = Labelled.find(place, labels, recipe) if table is None else None
        extractor = extractors.load(base)
        if not isinstance(extractor, OpenVinoExtractor):
            raise ModelError(
                f"{base} is run by {type(extractor).__name__} and has no network that can be written; "
                "expected a model of OpenVINO, such as efficientnet-lite0 or keras:VGG16@fc1"
            )
        ids = paired.pictures_of(triples) if given is None else given.ids
        unseen = stored.never_seen(extractor.name, place).intersection(ids)
        if unseen:
            run.notes.append("measured on pictures that the base has never seen, those of its own test part")
        vectors = stored.vectors_of(place, extractor, ids, progress=progress)
        if given is None:
            learnt = paired.learn(triples, vectors, extractor.metric, recipe, unseen=unseen)
        else:
            learnt = labelled.learn(given.keeping(unseen), vectors, extractor.metric, recipe)
        run.notes += learnt.notes()
        if vectors.gallery is not None:
            run.notes.append(f"the vectors were read from the gallery {vectors.gallery} of the folder")
        about = {"root": place.path, "base": extractor.name, "labels": given.what if given else str(table)}
        record = run.record(None, learnt.split, learnt.measures, **about, **learnt.record())
        card = extending.extended(
            extractor.name, learnt.steps, run.folder, training=record | {"digest": vectors.digest}
        )
        return run.finished(card, learnt.split, learnt.measures, vectors.skipped)
