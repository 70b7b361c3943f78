"""The protocols held to what they promise: an `AssertionError` says what was expected, what was found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise, product
from typing import TYPE_CHECKING, cast, get_args

from lookalike.errors import LookalikeError, UsageError
from lookalike.images import ImageLimits
from lookalike.sources.folder import under
from lookalike.stores import where as where_language
from lookalike.stores.records import is_id, is_source
from lookalike.types import (
    Classes,
    Extraction,
    Folder,
    Header,
    Metric,
    Record,
    RowType,
    Skipped,
    Space,
    State,
    Term,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.sources.base import Source
    from lookalike.types import Extractor, Floats, Store, Value, Where


def check_extractor(extractor: Extractor) -> None:
    """Hold an extractor to the protocol.

    Raises:
        AssertionError: it does not keep a promise; the message says which.
    """
    import numpy as np
    from PIL import Image as Pillow

    rng = np.random.default_rng(0)
    shapes = ((40, 60), (200, 31), (1, 1))
    pictures = [Pillow.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for h, w in shapes]
    pictures.append(Pillow.new("RGB", (50, 50)))
    prepared = [extractor.prepare(picture) for picture in pictures]
    together = extractor.extract(prepared)
    alone = [extractor.extract([one]) for one in prepared]
    shape = (len(pictures), extractor.dim)
    _holds(
        together.vectors.shape == shape, f"vectors have the shape {together.vectors.shape}, expected {shape}"
    )
    _holds(together.vectors.dtype == np.float32, f"vectors are {together.vectors.dtype}, expected float32")
    _holds(bool(np.isfinite(together.vectors).all()), "vectors hold numbers that are not finite")
    tolerance = 1e-4 if extractor.precision == "f32" else 3e-2
    singles = np.concatenate([one.vectors for one in alone])
    scale = max(float(np.abs(singles).max()), 1e-6)
    apart = float(np.abs(singles - together.vectors).max()) / scale
    _holds(
        apart <= tolerance, f"a picture's vector depends on its batch, by {apart:.2g} of the largest number"
    )
    if extractor.normalized:
        lengths = np.linalg.norm(together.vectors, axis=1)
        unit = (np.abs(lengths - 1) < 1e-3) | (lengths == 0)
        _holds(bool(unit.all()), f"it says that vectors have unit length; they have {lengths}")
    _check_scores(extractor.classes, together)
    _check_visual_words(extractor, together)
    _holds(extractor.size is None or min(extractor.size) > 0, "size must be above 0, or None")
    _holds(extractor.parallel > 0, "parallel must be above 0")
    _holds(bool(extractor.name and extractor.digest), "it must have a name and a digest")


def check_source(source: Source) -> None:
    """Hold a source to the protocol.

    Args:
        source: with at least one picture that can be read; it does not change meanwhile.

    Raises:
        AssertionError: it does not keep a promise; the message says which.
    """
    name, prefix = source.name, source.prefix
    _holds(is_source(name), f"its name is {name!r}; expected small letters, digits, +, - and .")
    found = list(source)
    ids = [one.id for one in found]
    _holds(found == list(source), "iterated again it found other pictures")
    _holds(any(not one.fault for one in found), "it found no picture")
    _holds(all(map(is_id, ids)), "an id is empty, too long, or no text")
    ordered = all(before < id_ for before, id_ in pairwise(ids))
    _holds(ordered, "its ids are not unique, in the order of code points")
    strangers = [id_ for id_ in ids if not under(id_, prefix)]
    _holds(not strangers, f"the id {strangers[:1]} does not begin with the prefix {prefix!r}")
    survey = source.survey
    _holds(prefix in {**survey.devices, **survey.unlisted}, "its survey does not name its prefix")
    for one in [one for one in found if not one.fault][:_COUNT]:
        stamp = source.stat(one.id)
        expected = one.size, one.mtime_ns
        _holds(stamp == expected, f"stat of {one.id} is {stamp}, and it was found with {expected}")
        _check_bytes(source, one.id)
    _check_absent(source, f"{ids[-1]}.not-there")


def _check_bytes(source: Source, id_: str) -> None:
    """Read a picture from several threads, and ask what is known of it."""
    limits = ImageLimits()
    with ThreadPoolExecutor(4) as readers:
        contents = list(readers.map(lambda _: source.read(id_, limits), range(4)))
    _holds(type(contents[0]) is bytes and bool(contents[0]), f"read of {id_} gave no bytes")
    _holds(len(set(contents)) == 1, f"read of {id_} gave other bytes the next time")
    fields = source.fields(id_)
    sound = all(type(name) is str and type(value) in {str, int, float} for name, value in fields.items())
    _holds(sound, f"fields of {id_} are {fields}; expected names with texts or numbers")


def _check_absent(source: Source, id_: str) -> None:
    """Ask for a picture that is not there."""
    calls: dict[str, Callable[[], object]] = {
        "stat": lambda: source.stat(id_),
        "read": lambda: source.read(id_, ImageLimits()),
    }
    for name, call in calls.items():
        try:
            call()
        except (OSError, LookalikeError):
            continue
        raise AssertionError(
            f"{name} of {id_}, which is not there, raised neither OSError nor LookalikeError"
        )


def check_store(make: Callable[[Header], Store]) -> None:
    """Hold a store to the protocol, for every metric, type of row, with and without classes.

    Args:
        make: gives a new, empty store of a header each time it is called; it may raise `UsageError` for a
            metric that the store does not know.

    Raises:
        AssertionError: the store does not keep a promise; the message says which.
    """
    # Of the metrics that scikit-learn computes, one by which a loop is quickly written.
    metrics = (*get_args(Metric), *(("manhattan",) if find_spec("sklearn") else ()))
    for metric, row_type, classes in product(metrics, get_args(RowType), (None, _CLASSES)):
        unit = row_type == "float16"
        header = Header(Space("toy", "0" * 64, 8, metric, "f32", unit, row_type), "", classes)
        store = _made(make, header)
        if store is None:
            continue
        try:
            what = f"{metric}, {row_type}, {'with' if classes else 'without'} classes: "
            _holds(store.header == header, f"{what}the header came back as {store.header}")
            _check_contents(store, what)
            _check_lists(store, what)
        finally:
            store.close()


def _made(make: Callable[[Header], Store], header: Header) -> Store | None:
    """A store of a header; None where it is of a metric that this kind of store does not know."""
    try:
        store = make(header)
    except UsageError:
        _holds(header.space.metric not in get_args(Metric), f"a store of {header.space.metric} was refused")
        return None
    if store.limits.metrics is None or header.space.metric in store.limits.metrics:
        return store
    store.close()
    return None


_CLASSES = Classes(("c0", "c1", "c2"), ("red", "green", "blue"))
_COUNT = 60
_TOLERANCE = 2e-3


def _check_scores(classes: Classes | None, extraction: Extraction) -> None:
    if classes is None:
        _holds(extraction.scores is None, "it has scores but no classes")
        return
    _holds(extraction.scores is not None, "it has classes but no scores")
    scores = cast("Floats", extraction.scores)
    shape = (len(extraction.vectors), len(classes.ids))
    _holds(scores.shape == shape, f"scores have the shape {scores.shape}, expected {shape}")
    _holds(
        len(set(classes.ids)) == len(classes.ids) == len(classes.names), "class ids must be unique and named"
    )
    _holds(bool((scores >= -1e-4).all() and (scores <= 1 + 1e-3).all()), "scores must be probabilities")


def _check_visual_words(extractor: Extractor, extraction: Extraction) -> None:
    """With `top-classes` a vector has zeros in place of the smaller scores."""
    import numpy as np

    if not extractor.visual_words:
        return
    vectors, scores = extraction.vectors, extraction.scores
    same = scores is not None and scores.shape == vectors.shape
    same = same and bool((np.abs(vectors - cast("Floats", scores))[vectors != 0] < 1e-5).all())
    _holds(same, "it says that its vectors are the class scores, and they are not")


def _check_contents(store: Store, what: str) -> None:
    """Write, replace, read, search, filter and delete against plain loops."""
    import numpy as np

    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(_COUNT, store.header.space.dim)).astype(np.float32)
    vectors[3] = vectors[2]
    vectors[4] = 0
    if store.header.space.normalized:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    records = [_record(i, store.header) for i in range(_COUNT)]
    _holds(store.search(vectors[:1], 5)[0].ids == [], f"{what}an empty store found something")
    # All of it twice: writing replaces.
    _holds(store.write(records, vectors[::-1].copy()) == [], f"{what}good pictures were refused")
    _holds(store.write(records, vectors) == [], f"{what}good pictures were refused")
    _holds(store.count() == _COUNT, f"{what}{store.count()} pictures, expected {_COUNT}: writing replaces")
    ids = [record.id for record in records]
    got = store.get([*reversed(ids), "no such id"])
    _holds(
        got == [*reversed(records), None], f"{what}get does not give what was written, in the order asked for"
    )
    kept = store.vectors(ids)
    _holds(float(np.abs(kept - vectors).max()) < _TOLERANCE, f"{what}vectors came back changed")
    for conditions in _FILTERS:
        where = where_language.typed(where_language.parse(conditions), store.fields())
        passing = [i for i, r in enumerate(records) if where_language.matches(where, _values(r))]
        scanned = [record.id for batch in store.scan(where=where, batch=7) for record in batch.records]
        expected = sorted(ids[i] for i in passing)
        _holds(scanned == expected, f"{what}where {conditions} gave {scanned}, expected {expected}")
        _check_search(store, vectors, ids, passing, where, f"{what}where {conditions}: ")
    brands = store.values("brand", 2)
    _holds(brands in (["acme", "apex"], []), f"{what}the most frequent brands are {brands}")
    gone = store.delete([ids[0], "no such id"])
    _holds(gone == 1 and store.get([ids[0]]) == [None], f"{what}delete did not delete one picture")
    best = store.search(vectors[:1], _COUNT)[0].ids
    _holds(
        ids[0] not in best and len(best) == _COUNT - 1, f"{what}a deleted picture was found, or another lost"
    )
    _holds(store.check() == [], f"{what}check finds faults in a sound store")


def _check_search(
    store: Store, vectors: Floats, ids: list[str], passing: list[int], where: Where, what: str
) -> None:
    import numpy as np

    for k in (0, 1, 10, 10 * _COUNT):
        for query, found in zip(vectors[:6], store.search(vectors[:6], k, where=where), strict=True):
            true = np.array([_score(query, vectors[i], store.header.space.metric) for i in passing])
            expected = np.sort(true)[::-1][:k]
            _holds(
                len(set(found.ids)) == len(expected), f"{what}{len(found.ids)} ids, expected {len(expected)}"
            )
            own = [_score(query, vectors[ids.index(id_)], store.header.space.metric) for id_ in found.ids]
            far = np.abs(np.stack([found.scores - expected, found.scores - np.array(own)])).max(initial=0)
            _holds(far < _TOLERANCE, f"{what}scores are off by {far:.2g}: {found}, expected {expected}")


def _check_lists(store: Store, what: str) -> None:
    """Skipped and removed paths, states, metadata, folders and words."""
    store.skip([Skipped("broken.jpg", 7, 8, "not a picture")])
    out = ["b/01 \N{OWL}.jpg", "never seen.jpg"]
    _holds(store.delete(out, keep_out=True) == 1, f"{what}delete did not count the one it had")
    _holds(store.removed() == out, f"{what}removed is {store.removed()}")
    _holds(store.skipped() == [Skipped("broken.jpg", 7, 8, "not a picture")], f"{what}skipped is wrong")
    states = list(store.states())
    order = [state.id for state in states]
    _holds(
        order == sorted(order) and len(order) == _COUNT + 1,
        f"{what}states are not sorted by id, or not all there",
    )
    kinds = {state.id: state.status for state in states}
    _holds(kinds["broken.jpg"] == "skipped", f"{what}a skipped path has the status {kinds['broken.jpg']}")
    store.forget(["broken.jpg", *out])
    _holds(store.skipped() == [] and store.removed() == [], f"{what}forget did not forget")
    id_ = "c/02 \N{OWL}.jpg"
    _holds(
        store.update({id_: {"note": "purple zebra"}, "no such id": {}}) == 1,
        f"{what}update did not count one",
    )
    found = [match.id for match in store.find([Term("purple zebra", frozenset())], 5)]
    _holds(found == [id_], f"{what}metadata that was updated is not found: {found}")
    _check_whose(store, id_, what)
    _check_decoders(store, what)
    digest = (2).to_bytes(16, "big")
    _holds(store.by_digest([digest, b"?" * 16]) == {digest: [id_]}, f"{what}by_digest is wrong")
    store.touch([State(id_, "picture", "file", 99, 98)])
    touched = [state for state in store.states() if state.id == id_]
    _holds(touched == [State(id_, "picture", "file", 99, 98)], f"{what}touch left {touched}")
    store.set_folders([Folder("", 1), Folder("b/", 2)])
    _holds(store.folders() == [Folder("", 1), Folder("b/", 2)], f"{what}folders are {store.folders()}")
    store.set_folders([Folder("", 3), Folder("c/", 4)], seen=[Folder("", 1), Folder("d/", 1)])
    folders = [Folder("", 3), Folder("b/", 2), Folder("c/", 4)]
    _holds(store.folders() == folders, f"{what}folders set by somebody who saw others are {store.folders()}")
    if store.header.classes is not None:
        green = store.find([Term("no such word", frozenset({"c1"}))], 3)
        shares = [match.classes for match in green]
        _holds(
            len(green) == 3 and shares == sorted(shares, reverse=True), f"{what}find by class gave {green}"
        )
    _check_replacement(store, what)


def _check_whose(store: Store, id_: str, what: str) -> None:
    """What a picture says of itself, and what the user says of it."""
    zebras = [match.id for match in store.find([Term("zebra", frozenset())], _COUNT)]
    said = [r.id for batch in store.scan() for r in batch.records if "camera" in r.from_picture]
    _holds(bool(said) and id_ in said, f"{what}nothing is known as said by the pictures")
    _holds(not set(said) - {id_} & set(zebras), f"{what}a picture is found by its own camera's name")
    store.update({id_: {"camera": "mine"}})
    (record,) = store.get([id_])
    kept = record is not None and (record.metadata.get("camera"), record.from_picture)
    _holds(kept == ("mine", frozenset()), f"{what}the user's camera came back as {kept}")
    store.define({"taken": "text", "price": "text", "depth": "integer"})
    types = [store.fields().get(name) for name in ("price", "depth")]
    _holds(types == ["real", "integer"], f"{what}define made the types {types}")


def _check_decoders(store: Store, what: str) -> None:
    """Which decoder has read a picture, and would read it the same."""
    records = [record for batch in store.scan() for record in batch.records]
    older = sorted(record.id for record in records if record.decoder < 1)
    found = sorted(store.outdated(1))
    _holds(bool(older) and found == older, f"{what}outdated gives {found}, expected {older}")
    store.note_decoder({older[0]: "PNG", "no such id": "PNG"}, 3)
    (record,) = store.get(older[:1])
    noted = record is not None and (record.decoder, record.format)
    _holds(noted == (3, "PNG"), f"{what}note_decoder left {noted}")
    _holds(sorted(store.outdated(1)) == older[1:], f"{what}a picture that was noted is outdated still")


def _check_replacement(store: Store, what: str) -> None:
    """What takes the place of a store, and what stays."""
    token = store.token
    _holds(bool(token) and store.token == token, f"{what}the token is {token!r}, then {store.token!r}")
    _holds(store.indexed_ns == 0, f"{what}a store that was never indexed says {store.indexed_ns}")
    store.note_indexed(17)
    with store.replacement(store.header.with_space(digest="1" * 64)) as fresh:
        for batch in store.scan():
            fresh.write(batch.records[:30], batch.vectors[:30])
    _holds(
        store.header.space.digest == "1" * 64 and store.count() == 30,
        f"{what}the replacement did not take its place",
    )
    kept = store.token, store.indexed_ns
    _holds(kept == (token, 17), f"{what}the replacement changed token and indexed_ns to {kept}")


_FILTERS: tuple[list[str], ...] = (
    [],
    ["folder=b"],
    ["width>=130", "brand=acme", "brand=apex"],
    ["price<2.5"],
    ["brand!=acme"],
    ["name=no such name"],
    ["brand~ACME"],
    ["brand~HARA", "width>=110"],
    ["name~\N{OWL}", "folder~B"],
    ["near=48.1,11.5,40 km"],
    ["near!=48.1,11.5,40km", "near!=48.5,-179.9,300mi"],
    ["box=48.05,179.5,60,-179.5"],
)


def _record(i: int, header: Header) -> Record:
    metadata: dict[str, Value] = (
        {"price": i / 10, "brand": ("acme", "apex", 'o\'hara "x"')[i % 3]} if i % 4 else {}
    )
    scores = [("c1", round(i / 100, 2)), ("c0", 0.25)] if header.classes is not None else []
    scores.sort(key=lambda pair: -pair[1])
    id_ = f"{'abc'[i % 3]}/{i:02} \N{OWL}.jpg"
    digest = i.to_bytes(16, "big")
    metadata |= {"camera": "Acme Zebra 5", "lens": "50 mm"} if i % 4 > 1 else {}
    metadata |= {"latitude": 48 + i / 50, "longitude": 11.5} if i % 5 < 2 else {}
    metadata |= {"latitude": 48 + i / 50, "longitude": 179.9 - 359.8 * (i % 2)} if i % 5 == 3 else {}
    small = b"small" if i % 7 else None
    read_by = (1, "JPEG", frozenset({"camera"} & metadata.keys())) if i % 5 else (0, "")
    return Record(id_, "walk", 1000 + i, i, digest, 100 + i, 50, metadata, tuple(scores), small, *read_by)


def _values(record: Record) -> dict[str, Value]:
    """What a filter sees of a record."""
    folder, _, name = record.id.rpartition("/")
    own: dict[str, Value] = {"folder": folder, "name": name, "width": record.width, "height": record.height}
    return {**own, **record.metadata}


def _score(a: Floats, b: Floats, metric: str) -> float:
    """The score of two vectors, as the words say it."""
    x, y = a.astype("float64"), b.astype("float64")
    if metric == "manhattan":
        return -float(abs(x - y).sum())
    if metric == "euclidean":
        return -float(((x - y) ** 2).sum() ** 0.5)
    dot = float((x * y).sum())
    size = 1.0 if metric == "inner" else float((x * x).sum() * (y * y).sum()) ** 0.5
    return dot / size if size else 0.0


def _holds(fact: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not fact:
        raise AssertionError(otherwise)
