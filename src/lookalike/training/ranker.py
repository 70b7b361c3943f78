"""Train a ranker: a linear map of stored vectors by which pictures of one label score higher.

What it learns from is given by labels, or by a table of pairs that says which of two pictures is the better
answer to a query. The vectors are read from a gallery that the folder has, or made in a temporary one.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike import extractors
from lookalike.errors import ModelError, UsageError
from lookalike.evaluation import splits
from lookalike.evaluation.folder import PictureFolder, workshop
from lookalike.evaluation.labels import Pictures, ids_of, read
from lookalike.evaluation.splits import Split, split
from lookalike.extractors import extending
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.extractors.steps import Normalise
from lookalike.extractors.steps import apply as applied
from lookalike.gallery import Gallery
from lookalike.reports import Skip
from lookalike.sources.folder import path_of
from lookalike.sources.tables import is_table
from lookalike.sources.tables.rows import csv_rows
from lookalike.training import dataset
from lookalike.training.model_selection import learn_map
from lookalike.training.recipes import RankerRecipe
from lookalike.training.run import Run
from lookalike.training.trials import FOLDS, LabelTrials, PairTrials, within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from lookalike.evaluation.labels import Labels, LabelsLike
    from lookalike.evaluation.splits import Part
    from lookalike.extractors.steps import Step
    from lookalike.reports import Progress
    from lookalike.training.maps import Rows
    from lookalike.training.recipes import TrainingRecipe
    from lookalike.training.result import Trained
    from lookalike.training.run import OnProgress
    from lookalike.training.trials import Trials
    from lookalike.types import Extractor, Floats

    RankingExamples: TypeAlias = "LabelExamples | PairExamples"

COLUMNS = ("query", "better", "worse")
"""The columns that make a table one of pairs."""

_TABLES = (".csv", ".tsv")

_FEWEST = 2 * FOLDS
"""Queries of pairs, so that some can be held out."""

_TESTED = 2000
"""Pictures of the test part that ask, at most."""

_NEAR = 0.95
"""Cosine, less the mean of all, from which pictures are next to identical: mirrored stamps, both cases of a
letter, coins of two years."""


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
    pictures are extracted first. What is learned is steps behind the base's own, so a gallery of the base
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
        resume: a training that was stopped begins anew; there are no epochs to go on from.
        overwrite: replace a model that is there already.
        progress: called with how many pictures have been extracted.

    Returns:
        What was reached, as P@5 and mAP@100, each with its `base_…` before: `seen_p5` of pictures held out
        of labels learned from, `unseen_p5` of labels held out, `test_p5` of the part never seen asking
        itself. Of pairs `pairs_right` and `test_right`, the share in the right order.

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
        table = table_of(labels)
        examples: RankingExamples = (
            LabelExamples.find(place, labels, recipe)
            if table is None
            else PairExamples.find(place, table, recipe)
        )
        extractor = extractors.load(base)
        if not isinstance(extractor, OpenVinoExtractor):
            raise ModelError(
                f"{base} is run by {type(extractor).__name__} and has no network that can be written; "
                "expected a model of OpenVINO, such as efficientnet-lite0 or keras:VGG16@fc1"
            )
        unseen = _never_seen(extractor.name, place).intersection(examples.ids)
        if unseen:
            run.notes.append("measured on pictures that the base has never seen, those of its own test part")
        vectors = vectors_of(place, extractor, examples.ids, progress=progress)
        learned = learn(examples, vectors, extractor.metric, recipe, unseen=unseen)
        run.notes += learned.notes()
        if vectors.gallery is not None:
            run.notes.append(f"the vectors were read from the gallery {vectors.gallery} of the folder")
        record = run.record(
            vectors.digest,
            learned.split,
            learned.measures,
            root=place.path,
            base=extractor.name,
            labels=examples.what,
            method=learned.method,
            choices=learned.choices,
        )
        card = extending.extended(extractor.name, learned.steps, run.folder, training=record)
        return run.finished(card, learned.split, learned.measures, vectors.skipped)


class Lesson(NamedTuple):
    """Hold what a ranker learns from and is measured by.

    learned: trials to learn from.
    tested: trials of the part never seen; none where it is empty.
    split: the part of every picture.
    """

    learned: Trials
    tested: Trials | None
    split: Split


@dataclass(frozen=True, slots=True)
class LabelExamples:
    """Hold pictures with their labels.

    ids: sorted.
    labels: of each at least one.
    fixed: the parts that the data set itself names, by id.
    what: where the labels come from.
    """

    ids: list[str]
    labels: list[frozenset[str]]
    fixed: Mapping[str, Part]
    what: str

    def __post_init__(self) -> None:
        counts = Counter(label for several in self.labels for label in several)
        if len(counts) < 2:
            raise UsageError(
                f"by {self.what} {len(self.ids):,} pictures have a label, and all the same one, "
                f"{next(iter(counts), '')!r}; expected two labels or more, so that there is something to "
                "tell apart"
            )
        shared = sum(count > 1 for count in counts.values())
        if shared < 2:
            raise UsageError(
                f"by {self.what} there are {len(counts):,} labels, of which {shared} have more than one "
                "picture; expected two labels or more with several pictures each"
            )

    @classmethod
    def find(cls, place: PictureFolder, labels: LabelsLike, recipe: TrainingRecipe) -> LabelExamples:
        """Find the labelled pictures of a folder, as many as the recipe's limit says.

        Raises:
            UsageError: the labels can't be read, or say too little.
        """
        known = _labels(place, labels)
        fixed: dict[str, Part] = {}
        if place.packed is not None:
            fixed = {id_: "test" for id_, fields in place.packed.metadata() if fields.get("part") == "test"}
        rows = [row for row, several in enumerate(known.sets) if several]
        if recipe.limit is not None:
            ids = [known.ids[row] for row in rows]
            rows = [rows[row] for row in dataset.drawn(ids, fixed, recipe.limit, recipe.seed)]
        return cls([known.ids[row] for row in rows], [known.sets[row] for row in rows], fixed, known.what)

    def lesson(
        self, vectors: StoredVectors, metric: str, recipe: RankerRecipe, unseen: AbstractSet[str]
    ) -> Lesson:
        """Divide what could be read into trials to learn from and trials to measure by.

        Args:
            vectors: of the pictures that could be read.
            metric: by which they are compared without a map.
            recipe: the shares of the parts, and the seed.
            unseen: pictures that the base never saw; if there are any, only these are measured by.

        Raises:
            UsageError: of the pictures that could be read, too few have labels.
        """
        known = dict(zip(self.ids, self.labels, strict=True))
        labels = [known[id_] for id_ in vectors.ids]
        replace(self, ids=vectors.ids, labels=labels)  # is there still enough?
        groups = near(vectors.vectors)
        parts = self._divided(vectors.ids, labels, groups, recipe, unseen)
        learned, tested = (
            np.array([row for row, id_ in enumerate(vectors.ids) if parts.part_of[id_] == part], np.intp)
            for part in ("train", "test")
        )
        tested = tested[:: -(-len(tested) // _TESTED) or 1]
        return Lesson(
            LabelTrials.of(
                vectors.vectors[learned], metric, [labels[row] for row in learned], within(groups, learned)
            ),
            LabelTrials.of(vectors.vectors[tested], metric, [labels[row] for row in tested])
            if len(tested)
            else None,
            parts,
        )

    def _divided(
        self,
        ids: Sequence[str],
        labels: Sequence[frozenset[str]],
        groups: Sequence[Sequence[int]],
        recipe: RankerRecipe,
        unseen: AbstractSet[str],
    ) -> Split:
        """Return the split: that of the base, that of the data set, or a drawn one."""
        own: dict[str, Part] = {id_: "test" for id_ in ids if id_ in unseen}
        fixed = own or {id_: self.fixed[id_] for id_ in ids if id_ in self.fixed}
        free = [row for row, id_ in enumerate(ids) if id_ not in fixed]
        drawn = split(
            [ids[row] for row in free],
            [min(labels[row]) for row in free],
            groups=within(groups, np.array(free, np.intp)),
            test=0.0 if fixed else recipe.test,
            validation=recipe.validation,
            seed=recipe.seed,
        )
        return Split({**drawn.part_of, **fixed})


def _labels(place: PictureFolder, labels: LabelsLike) -> Labels:
    if place.packed is not None and labels == "folder":
        labels = "label"  # its own: in folders there are none
    if isinstance(labels, str | os.PathLike):  # a gallery's metadata may be meant
        return place.labels(labels, frozenset(place.found))
    return read(labels, Pictures(place.path, sorted(place.found)))


class Triple(NamedTuple):
    """Hold the ids of a query and of two pictures, the first of which is the better answer."""

    query: str
    better: str
    worse: str


@dataclass(frozen=True, slots=True)
class PairExamples:
    """Hold pairs of pictures, each with a query that the first is the better answer to.

    triples: in the order of the table.
    what: where they come from.
    """

    triples: list[Triple]
    what: str

    @classmethod
    def find(cls, place: PictureFolder, file: Path, recipe: TrainingRecipe) -> PairExamples:
        """Read the pairs of a table, of as many queries as the recipe's limit says.

        Raises:
            UsageError: they can't be read, or are too few.
        """
        triples = read_pairs(file, place.path, sorted(place.found))
        queries = sorted({triple.query for triple in triples})
        if recipe.limit is not None:
            chosen = set(np.random.default_rng(recipe.seed).permutation(queries)[: recipe.limit].tolist())
            triples = [triple for triple in triples if triple.query in chosen]
            queries = sorted(chosen)
        _require_queries(len(queries), str(file))
        return cls(triples, str(file))

    @property
    def ids(self) -> list[str]:
        """Return the ids of the pictures, sorted."""
        return sorted({id_ for triple in self.triples for id_ in triple})

    def rows(self, ids: Sequence[str]) -> Rows:
        """Return the rows of the triples all of whose pictures are among some ids, (t, 3)."""
        row_of = {id_: row for row, id_ in enumerate(ids)}
        known = [[row_of[id_] for id_ in triple] for triple in self.triples if row_of.keys() >= {*triple}]
        return np.array(known, np.intp).reshape(-1, len(COLUMNS))

    def lesson(
        self, vectors: StoredVectors, metric: str, recipe: RankerRecipe, unseen: AbstractSet[str]
    ) -> Lesson:
        """Divide them as `LabelExamples.lesson` does; no query to measure by is in a triple to learn from."""
        triples, ids = self.rows(vectors.ids), vectors.ids
        queries = np.unique(triples[:, 0])
        _require_queries(len(queries), "what could be read")
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
        learned = triples[~np.isin(triples, out).any(axis=1)]
        _require_queries(len(np.unique(learned[:, 0])), "what is left to learn from")
        seen = frozenset(np.unique(learned).tolist())
        parts = Split({ids[row]: "train" if row in seen else "test" for row in np.unique(triples).tolist()})
        trials = PairTrials.of(vectors.vectors, metric, learned)
        return Lesson(trials, replace(trials, order=triples[np.isin(triples[:, 0], tested)]), parts)


def _require_queries(queries: int, where: str) -> None:
    if queries < _FEWEST:
        raise UsageError(
            f"{where} has pairs for {queries} queries; expected {_FEWEST} or more, so that some can be "
            "held out"
        )


def table_of(labels: object) -> Path | None:
    """Return the table that is given in place of labels, if it has the columns of one of pairs.

    Raises:
        UsageError: it is a table that can't be read.
    """
    if not isinstance(labels, str | os.PathLike) or not os.fspath(labels).lower().endswith(_TABLES):
        return None
    file = Path(labels)
    return file if file.is_file() and set(COLUMNS) <= set(_table_rows(file)[0]) else None


def read_pairs(file: Path, root: str, ids: Sequence[str]) -> list[Triple]:
    """Return the pairs of a table, in its order.

    Args:
        file: CSV or TSV with the columns query, better and worse, UTF-8: ids, or paths from the folder,
            from the table or from the working directory.
        root: the folder of the pictures.
        ids: of its pictures.

    Raises:
        UsageError: it can't be read, names what is no picture of the folder, or a line has a picture twice.
    """
    head, *lines = _table_rows(file)
    places = [head.index(column) for column in COLUMNS]
    named = [(number, [row[place] for place in places]) for number, row in enumerate(lines, 2) if any(row)]
    if not named:
        raise UsageError(f"{file} has no pairs; expected lines below {','.join(COLUMNS)}")
    id_of = _ids_of({name for _, names in named for name in names}, file, root, ids)
    triples: list[Triple] = []
    for number, names in named:
        unknown = [name for name in names if name not in id_of]
        if unknown:
            raise UsageError(
                f"{file}, line {number}: {unknown[0]!r} is no picture of {root}; expected an id such as "
                f"{ids[0]!r}, or a path that leads to one"
            )
        triple = Triple(*(id_of[name] for name in names))
        if len(set(triple)) < len(triple):
            raise UsageError(f"{file}, line {number}: a picture stands there twice; expected three pictures")
        triples.append(triple)
    return triples


def _table_rows(file: Path) -> list[list[str]]:
    """Return the lines of a table, the head first; every line has as many cells as the head."""
    rows = [[cell.strip() for cell in row] for row in csv_rows(file)]
    head = [name.lower() for name in rows[0]] if rows else []
    width = len(head)
    return [head, *((row + [""] * width)[:width] for row in rows[1:])]


def _ids_of(names: set[str], file: Path, root: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the ids that names stand for, as labels have them: every name is a label of its picture."""
    own = {name: frozenset([name]) for name in names}
    beside = {os.path.join(os.path.abspath(file.parent), name): frozenset([name]) for name in names}  # noqa: PTH100, PTH118
    try:
        known = read(beside | own, Pictures(root, list(ids)))
    except UsageError:  # not one is known: the message is about the first of them, with its line
        return {}
    return {name: id_ for id_, several in zip(known.ids, known.sets, strict=True) for name in several}


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Hold pictures with their vectors.

    ids: of n pictures.
    vectors: as the model gives them, ndarray of shape (n, dim), float32.
    gallery: the name of the folder's gallery they were read from; None if they were made.
    skipped: pictures that could not be read, with their reasons.
    """

    ids: list[str]
    vectors: Floats = field(repr=False)
    gallery: str | None
    skipped: tuple[Skip, ...] = ()

    @property
    def digest(self) -> str:
        """Return the hexadecimal digest of ids and vectors."""
        state = blake2b("\0".join(self.ids).encode(errors="surrogateescape"), digest_size=32)
        state.update(np.ascontiguousarray(self.vectors).tobytes())
        return state.hexdigest()


def vectors_of(
    place: PictureFolder,
    extractor: Extractor,
    ids: Sequence[str],
    *,
    progress: Callable[[Progress], object] | None = None,
) -> StoredVectors:
    """Return the vectors of some pictures of a folder by a model.

    A gallery of that model that the folder has and that knows every file is only read. Otherwise the
    pictures are extracted into a temporary one; the folder is not written to.

    Args:
        place: the folder.
        extractor: the model.
        ids: of the pictures.
        progress: called with how many have been extracted.
    """
    name = place.finished(extractor, extractor.metric, None)
    if name is not None:
        with place.open(name) as gallery:
            return _read(gallery, ids, name)
    with (
        workshop("train") as folder,
        Gallery.open(place.path, gallery=Path(folder, "gallery"), model=extractor) as gallery,
    ):
        gallery.add(_paths(place, ids), progress=progress)
        return _read(gallery, ids, None)


def _paths(place: PictureFolder, ids: Sequence[str]) -> list[str] | None:
    """Return the files of some pictures; None for the whole folder if they are most of it or packed.

    What would be taken for a table that names other pictures is left out.
    """
    if place.packed is not None or 2 * len(ids) > len(place.found):
        return None
    paths = (path_of(id_, place.path) for id_ in ids)
    return [path for path in paths if not is_table(Path(path), meant=True)]


def _read(gallery: Gallery, ids: Sequence[str], name: str | None) -> StoredVectors:
    known = frozenset(ids_of(gallery))
    reasons = {skipped.id: skipped.reason for skipped in gallery.store.skipped()}
    kept = [id_ for id_ in ids if id_ in known]
    lost = [Skip(id_, reasons.get(id_, "it is not in the gallery")) for id_ in ids if id_ not in known]
    return StoredVectors(kept, gallery.vectors(kept), name, tuple(lost))


def _never_seen(base: str, place: PictureFolder) -> frozenset[str]:
    """Return the pictures of a folder that a base trained here, and what that was made of, never saw.

    A base that comes with lookalike has no split, and gives none.
    """
    with suppress(UsageError):  # it has no split, or one of other pictures
        return splits.pictures_of_part([base], "test", place.path, frozenset(place.found))
    return frozenset()


def near(vectors: Floats) -> list[list[int]]:
    """Return groups of two or more rows of pictures that are next to identical, directly or through others.

    Args:
        vectors: ndarray of shape (n, dim), float32.
    """
    return dataset.linked(Normalise().apply(vectors - vectors.mean(0)), _NEAR)


@dataclass(frozen=True, slots=True)
class LearnedMap:
    """Hold what to add to the base.

    steps: that make the map; none where the base stays as it is.
    method: which choice of the check it is, `plain` for none.
    split: the part of every picture.
    measures: what was reached, by name; `base_…` is the same without the map.
    choices: of every choice of the check its name, whether it is safe, and what it gained.
    """

    steps: Sequence[Step]
    method: str
    split: Split
    measures: Mapping[str, float]
    choices: list[dict[str, Any]]

    def notes(self) -> list[str]:
        """Return what the user should know."""
        if self.steps:
            return [f"chosen by pictures and labels held out: {self.method}"]
        if not self.choices:
            return ["there was too little to hold out and check by: the model gives the base's own vectors"]
        fallen_back = "no map was better on pictures held out and safe for labels never seen"
        return [f"{fallen_back}: the model gives the base's own vectors"]


def learn(
    examples: RankingExamples,
    vectors: StoredVectors,
    metric: str,
    recipe: RankerRecipe,
    *,
    unseen: AbstractSet[str] = frozenset(),
) -> LearnedMap:
    """Learn from the training part, check by what of it is held out, and measure on the test part.

    Args:
        examples: what says which pictures are alike.
        vectors: of these pictures.
        metric: by which they are compared without a map.
        recipe: how.
        unseen: pictures that the base never saw; if there are any, only these are measured by.

    Raises:
        UsageError: of the pictures that could be read, too few have labels or are in pairs.
    """
    learned, tested, parts = examples.lesson(vectors, metric, recipe, unseen)
    verdict, steps = learn_map(learned, recipe.method, recipe.seed)
    method, reached = "plain", {}
    if verdict.chosen is not None:
        method, reached = verdict.chosen.name, learned.named(verdict.chosen.gains)
    if tested is not None:
        reached |= tested.gain(applied(steps, tested.base), "cosine" if steps else metric)
    choices = [
        {"name": choice.name, "safe": choice.safe, **learned.named(choice.gains)}
        for choice in verdict.choices
    ]
    return LearnedMap(steps, method, parts, reached, choices)
