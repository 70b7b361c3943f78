"""Learn a map from pairs: for a query, one picture is the better answer than another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation.quality import similarity
from lookalike.evaluation.splits import Split, split
from lookalike.extractors.steps import apply as applied
from lookalike.training.ranker import model_selection, pairs
from lookalike.training.ranker import vectors as stored
from lookalike.training.ranker.methods import OfPairs
from lookalike.training.ranker.model_selection import Gain
from lookalike.training.ranker.result import Learnt, named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.evaluation.folder import PictureFolder
    from lookalike.evaluation.splits import Part
    from lookalike.extractors.steps import Step
    from lookalike.training.ranker.pairs import Triple
    from lookalike.training.ranker.vectors import Stored
    from lookalike.training.recipes import RankerRecipe, TrainingRecipe
    from lookalike.types import Floats

    Rows = NDArray[np.intp]

_FEWEST = 2 * model_selection.PARTS
"""Queries, so that some can be held out."""


def find(place: PictureFolder, file: Path, recipe: TrainingRecipe) -> list[Triple]:
    """The pairs of a table, of as many queries as the recipe's limit says.

    Raises:
        UsageError: they can't be read, or are too few.
    """
    triples = pairs.read_pairs(file, place.path, sorted(place.found))
    queries = sorted({triple.query for triple in triples})
    if recipe.limit is not None:
        chosen = set(np.random.default_rng(recipe.seed).permutation(queries)[: recipe.limit].tolist())
        triples = [triple for triple in triples if triple.query in chosen]
        queries = sorted(chosen)
    _require_enough(len(queries), str(file))
    return triples


def pictures_of(triples: Sequence[Triple]) -> list[str]:
    """The ids of their pictures, sorted."""
    return sorted({id_ for triple in triples for id_ in triple})


def learn(
    given: Sequence[Triple],
    vectors: Stored,
    metric: str,
    recipe: RankerRecipe,
    *,
    unseen: AbstractSet[str] = frozenset(),
) -> Learnt:
    """Learn from the training part, check by what of it is held out, and measure on the test part.

    Args:
        given: the pairs.
        vectors: of their pictures.
        metric: by which they are compared without a map.
        recipe: how.
        unseen: pictures that the base never saw; if there are any, only those among them are measured by.

    Raises:
        UsageError: of too few queries all pictures could be read.
    """
    triples = pairs.as_rows(given, vectors.ids)
    _require_enough(len(np.unique(triples[:, 0])), "what could be read")
    learnt, tested, divided = _divided(triples, vectors.ids, recipe, unseen)
    _require_enough(len(np.unique(learnt[:, 0])), "what is left to learn from")
    first, centred = stored.centred(vectors.vectors, np.arange(len(vectors.ids)))
    way = OfPairs(
        centred, learnt, recipe.seed, ("closed", "pairwise") if recipe.way == "auto" else (recipe.way,)
    )
    verdict = model_selection.of_pairs(way, scores(vectors.vectors, learnt, metric), learnt, recipe.seed)
    steps: tuple[Step, ...] = ()
    reached: dict[str, float] = {}
    if verdict.chosen is not None:
        steps = (*first, *way.steps(verdict.chosen.name))
        reached = named(verdict.chosen.gains)
    if len(tested):
        moved = applied(steps, vectors.vectors)
        before = model_selection.right(scores(vectors.vectors, tested, metric))
        after = model_selection.right(scores(moved, tested, "cosine")) if steps else before
        reached |= named({"test": Gain((float(before.mean()),), (float(after.mean()),), len(tested))})
    return Learnt(steps, verdict, divided, reached)


def _divided(
    triples: Rows, ids: Sequence[str], recipe: RankerRecipe, unseen: AbstractSet[str]
) -> tuple[Rows, Rows, Split]:
    """Triples to learn from and to measure by; no query of these is anywhere in those."""
    queries = np.unique(triples[:, 0])
    drawn = split(
        [ids[row] for row in queries if ids[row] not in unseen],
        test=0.0 if unseen else recipe.test,
        validation=recipe.validation,
        seed=recipe.seed,
    )
    part_of: dict[str, Part] = {**dict.fromkeys(unseen, "test"), **drawn.part_of}
    out, tested = (
        np.array([row for row in queries if part_of[ids[row]] in parts], np.intp)
        for parts in (("test", "validation"), ("test",))
    )
    learnt = triples[~np.isin(triples, out).any(axis=1)]
    seen = frozenset(np.unique(learnt).tolist())
    parts = Split({ids[row]: "train" if row in seen else "test" for row in np.unique(triples).tolist()})
    return learnt, triples[np.isin(triples[:, 0], tested)], parts


def scores(vectors: Floats, triples: Rows, metric: str) -> Floats:
    """Of the better and the worse picture of each triple: (t, 2)."""
    return np.concatenate(
        [similarity(vectors[[query]], vectors[[better, worse]], metric) for query, better, worse in triples]
    )


def _require_enough(queries: int, where: str) -> None:
    if queries < _FEWEST:
        raise UsageError(
            f"{where} has pairs for {queries} queries; expected {_FEWEST} or more, so that some can be "
            "held out"
        )
