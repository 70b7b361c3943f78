"""What a gallery answers: hits. Plain data that prints, plots and turns into JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

from lookalike.errors import UsageError, visible
from lookalike.search import show as showing
from lookalike.system import imports

if TYPE_CHECKING:
    from pandas import DataFrame

    from lookalike.types import Tag, Value
    from lookalike.views import pages, plots
    from lookalike.views.plots import Plot


_WORDS = "Words"


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture of an answer.

    rank: 1 for the best.
    id: the picture's id in the gallery.
    path: where its file is; None for a picture that is not a file, or that the gallery may not reach.
    score: larger is closer.
    distance: smaller is closer; 1 − score for cosine and keywords, the L2 distance for euclidean,
        −score for the inner product.
    scores: the parts the score was made of.
    tags: the classes the network sees in it, best first.
    metadata: `taken` and the user's own fields.
    width, height: in pixels; 0 where they are not known.
    digest: of the file's bytes, in hexadecimal digits; "" where it is not known.
    """

    rank: int
    id: str
    path: str | None
    score: float
    distance: float
    scores: Mapping[str, float] = field(default_factory=dict)
    tags: Sequence[Tag] = ()
    metadata: Mapping[str, Value] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    digest: str = ""

    def value(self, name: str) -> str:
        """The value of a field in words, be it of the metadata or one that every picture has; "" for none."""
        if name in {"folder", "name"}:
            return self.id.rpartition("/")[2 * (name == "name")]
        if name in {"width", "height"}:
            return str(getattr(self, name))
        return str(self.metadata.get(name, ""))

    def as_dict(self) -> dict[str, Any]:
        """The hit as JSON has it."""
        return {
            "rank": self.rank,
            "id": self.id,
            "path": self.path,
            "score": self.score,
            "distance": self.distance,
            "scores": dict(self.scores),
            "tags": [tag._asdict() for tag in self.tags],
            "metadata": dict(self.metadata),
            "width": self.width,
            "height": self.height,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Hits(Sequence[Hit]):
    """The answer to one query: a sequence of `Hit`, best first.

    query: the query in words.
    model: the extractor's name.
    metric: what the scores are: `cosine`, `euclidean`, `inner` or `keywords`.
    notes: what the user should know of the answer.
    label: what to write above the query: `Query`, or `Words`.
    stages: what the answer went through, in words: where its candidates came from, and the stages after.
    total: how many pictures the ranking has, of which these are a part.
    show: the fields to show of each hit; None for the first text field of the user's own.
    with_tags: whether to show what the model sees in each.
    """

    query: str
    model: str
    metric: str
    hits: tuple[Hit, ...]
    notes: tuple[str, ...] = ()
    label: str = "Query"
    stages: tuple[str, ...] = ()
    total: int = 0
    query_thumbnail: Callable[[], bytes | None] = field(default=lambda: None, repr=False, compare=False)
    thumbnail: Callable[[Hit], bytes | None] = field(default=lambda _: None, repr=False, compare=False)
    show: tuple[str, ...] | None = None
    with_tags: bool = True
    pages: Callable[[int, int], Hits] | None = field(default=None, repr=False, compare=False)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        """The hit of that place, counted from 0."""
        return self.hits[index]

    def __len__(self) -> int:
        """How many hits there are."""
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        """The hits, best first."""
        return iter(self.hits)

    def __repr__(self) -> str:
        """How many hits of what, and the best of them."""
        best = f", the best {self.hits[0].id!r}" if self.hits else ""
        return f"<Hits of {self.query!r} by {visible(self.model)}, {self.metric}: {len(self)}{best}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the answer; thumbnails are made of the pictures' files afterwards, if those are there."""
        facts = (self.query, self.model, self.metric, self.hits, self.notes, self.label)
        return _unpickled, ((*facts, self.stages, self.total), self.show, self.with_tags)

    def showing(self, fields: Sequence[str] | None = None, *, tags: bool = True) -> Hits:
        """The same answer, but tables, pages and notebooks show these fields, and tags only if wanted."""
        return replace(self, show=None if fields is None else tuple(fields), with_tags=tags)

    def shown_fields(self) -> tuple[str, ...]:
        """The fields that are shown of each hit."""
        return showing.usual(hit.metadata for hit in self) if self.show is None else self.show

    def shown_tags(self, hit: Hit) -> list[Tag]:
        """The tags that are shown of a hit: the first few that the model is fairly sure of."""
        return showing.tags(hit.tags) if self.with_tags else []

    def __str__(self) -> str:
        """A line for the query and one for each hit: rank, score and id."""
        from lookalike.views import pages

        scores = pages.numbers(hit.score for hit in self)
        lines = [
            f"{hit.rank:>4}  {score:>6}  {visible(hit.id)}" for hit, score in zip(self, scores, strict=True)
        ]
        head = visible(f"{self.query} ({self.model}, {self.metric})")
        return "\n".join([head, *(lines or ["nothing found"])])

    def page(self, offset: int, limit: int) -> Hits:
        """Return a part of the answer, by the ranking that was made when it was asked.

        The records are those of now: a picture that was deleted since is left out, with a note, and no other
        takes its place, so that every rank stays what it was. An answer that was pickled has the hits it was
        pickled with.

        Args:
            offset: how many of the best to pass over.
            limit: how many to give.

        Raises:
            UsageError: offset is below 0, or limit below 1.
            StoreError: the gallery can't be read any more.
        """
        if offset < 0 or limit < 1:
            raise UsageError(f"offset {offset} and limit {limit}; expected 0 or more, and 1 or more")
        if self.pages is None:
            return replace(self, hits=tuple(h for h in self.hits if offset < h.rank <= offset + limit))
        return self.pages(offset, limit).showing(self.show, tags=self.with_tags)

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        return {
            "query": self.query,
            "model": self.model,
            "metric": self.metric,
            "notes": list(self.notes),
            "stages": list(self.stages),
            "hits": [hit.as_dict() for hit in self.hits],
        }

    def html(self) -> str:
        """The answer as one self-contained HTML page with thumbnails."""
        return Answers([self]).html()

    def plot(self, *, title: str = "id", caption: str = "score", heading: str = "") -> Plot:
        """The query and its hits as one picture; a notebook shows it, `.save("hits.png")` keeps it.

        Args:
            title: what to write below a hit: `id`, or a field of the metadata.
            caption: the number above it: `score`, `distance`, or a part of the score such as `paper`.
            heading: of the whole.

        Raises:
            MissingExtra: the extra `plot` is not installed.
        """
        return Answers([self]).plot(title=title, caption=caption, heading=heading)

    def to_pandas(self) -> DataFrame:
        """A row a hit: rank, id, path, score, distance, the parts of the score, tags, metadata.

        Raises:
            MissingExtra: the extra `tables` is not installed.
        """
        return Answers([self]).to_pandas().drop(columns="query")

    def _repr_html_(self) -> str:
        return Answers([self])._repr_html_()


def _unpickled(facts: tuple[Any, ...], show: tuple[str, ...] | None, with_tags: bool) -> Hits:  # noqa: FBT001 - pickle's
    return replace(Hits(*facts), thumbnail=showing.thumbnail_of_file, show=show, with_tags=with_tags)


class Answers(list[Hits]):
    """The answers to several queries, in the order they were asked: a list of `Hits`."""

    def html(self) -> str:
        """All of them as one self-contained HTML page, a row for each query.

        A picture whose file is gone has a placeholder.
        """
        from lookalike.views import pages

        facts = {"model": self[0].model, "metric": self[0].metric} if self else {}
        words = [hits.query for hits in self if hits.label == _WORDS]
        title = ", ".join(words) if len(words) == len(self) > 0 else "Similar pictures"
        return pages.results_page(self._rows(), title=title, facts=facts)

    def plot(
        self,
        *,
        labels: Sequence[str] | None = None,
        title: str = "id",
        caption: str = "score",
        heading: str = "",
    ) -> Plot:
        """All of them as one picture, a row for each query.

        Args:
            labels: what to write above each row, such as the method it comes from.
            title: what to write below a hit: `id`, or a field of the metadata.
            caption: the number above it: `score`, `distance`, or a part of the score such as `paper`.
            heading: of the whole.

        Raises:
            MissingExtra: the extra `plot` is not installed.
        """
        from lookalike.views import plots

        names = [hits.label for hits in self] if labels is None else labels
        rows = [_plot_row(hits, name, title, caption) for hits, name in zip(self, names, strict=True)]
        return plots.grid(rows, title=heading)

    def to_pandas(self) -> DataFrame:
        """A row a hit: query, rank, id, path, score, distance, the score's parts, tags, metadata.

        Raises:
            MissingExtra: the extra `tables` is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise imports.missing("a table", "tables") from error
        first = ["query", "rank", "id", "path", "score", "distance", "tags"]
        rows = [{"query": hits.query, **_table_row(hit)} for hits in self for hit in hits]
        return DataFrame(rows, columns=list(dict.fromkeys([*first, *(key for row in rows for key in row)])))

    def _rows(self) -> list[pages.Row]:
        from lookalike.views import pages

        return [
            pages.Row(
                query=pages.Card(hits.query, hits.query_thumbnail()),
                hits=showing.cards(hits),
                label=hits.label,
                notes=hits.notes,
            )
            for hits in self
        ]

    def _repr_html_(self) -> str:
        from lookalike.views import pages

        return pages.fragment(self._rows())

    def __str__(self) -> str:
        """The answers one below the other."""
        return "\n\n".join(map(str, self))


def _table_row(hit: Hit) -> dict[str, Any]:
    parts = {f"score.{name}": value for name, value in hit.scores.items() if len(hit.scores) > 1}
    tags = [tag.name for tag in hit.tags]
    own = {"rank": hit.rank, "id": hit.id, "path": hit.path, "score": hit.score, "distance": hit.distance}
    # The user's own fields never hide ours.
    return {**hit.metadata, **own, **parts, "tags": tags}


def _plot_row(hits: Hits, label: str, title: str, caption: str) -> plots.Row:
    from lookalike.views import plots

    captions = _captions(hits, caption)
    tiles = [
        plots.Tile(_named(hit, title), hits.thumbnail(hit), number)
        for hit, number in zip(hits, captions, strict=True)
    ]
    return plots.Row(label, plots.Tile(hits.query, hits.query_thumbnail()), tiles)


def _named(hit: Hit, field_: str) -> str:
    return hit.id if field_ == "id" else str(hit.metadata.get(field_, hit.id))


def _captions(hits: Hits, name: str) -> list[str]:
    """One of the numbers of each hit; empty where it has none of that name."""
    from lookalike.views import pages

    numbers = [{"score": hit.score, "distance": hit.distance, **hit.scores}.get(name) for hit in hits]
    texts = iter(pages.numbers(number for number in numbers if number is not None))
    return ["" if number is None else next(texts) for number in numbers]
