"""Hold what an evaluation or a comparison found: plain data that prints, plots and becomes JSON or HTML."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from lookalike.errors import UsageError, visible
from lookalike.search.show import card, tags, usual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.search.hits import Hit
    from lookalike.views import pages, plots
    from lookalike.views.plots import Plot

QUALITY = ("P@5", "mAP@100", "nDCG@10")
COST = ("dim", "bytes/picture", "pictures/s", "ms/search")


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """The measures of the queries of one label.

    label: the label.
    queries: how many pictures of it asked.
    measures: their means, by name.
    """

    label: str
    queries: int
    measures: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"label": self.label, "queries": self.queries, **self.measures}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hold how good the answers of a gallery are; `evaluation["P@5"]` is a mean over the queries.

    gallery, model, metric: what was asked.
    labels: where the labels come from.
    pictures: how many could be found.
    queries: how many pictures asked.
    unlabelled, rare: how many did not, because they have no label, or one that too few others have.
    measures: the means over the queries: `P@1`, `P@5`, `P@10`, `recall@10`, `mAP@100`, `nDCG@10`.
    by_label: the same for the queries of each label, in the order of labels.
    notes: what the user should know of it.
    """

    gallery: str
    model: str
    metric: str
    labels: str
    pictures: int
    queries: int
    unlabelled: int
    rare: int
    measures: Mapping[str, float]
    by_label: tuple[LabelQuality, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def __getitem__(self, measure: str) -> float:
        """Return the mean of a measure by its name."""
        return self.measures[measure]

    def __str__(self) -> str:
        """Return the measures in one line."""
        figures = ", ".join(f"{name} {value:.3f}" for name, value in self.measures.items())
        what = f"{self.queries:,} queries to {self.pictures:,} pictures, {visible(self.model)}"
        return f"{figures} ({what})"

    def _repr_html_(self) -> str:
        from lookalike.views import pages

        rows = [
            ("all", self.queries, self.measures),
            *((q.label, q.queries, q.measures) for q in self.by_label),
        ]
        heads = ["label", "queries", *self.measures]
        cells = [[label, f"{n:,}", *(f"{x:.3f}" for x in by.values())] for label, n, by in rows]
        return pages.fragment_table(pages.Table(heads, cells, range(1, len(heads))), self.notes)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON has of it."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return plain | {
            "measures": dict(self.measures),
            "by_label": [quality.as_dict() for quality in self.by_label],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class MethodAnswer:
    """Hold what a method found for one query: the query in words, its hits, best first, and notes on them."""

    query: str
    hits: tuple[Hit, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"query": self.query, "hits": [hit.as_dict() for hit in self.hits]}


@dataclass(frozen=True, slots=True)
class MethodResult:
    """Hold how good one method is and what it costs, or why that can't be said.

    method: as it was typed.
    model, metric: what it came down to.
    pictures: how many its gallery holds.
    dim: numbers in a vector.
    bytes: of the whole gallery on disk, shared out among its pictures.
    rate: pictures a second of indexing, decoding included; None if it could not be measured.
    rate_from: how many pictures that was measured on.
    milliseconds: of a search by a stored vector, ten hits, the median of warm ones.
    reused: the gallery of the folder that was read; None if one was made for the comparison.
    evaluation: the measures, where there are labels.
    answers: one for each query.
    error: why the method failed; then nothing else is known of it.
    """

    method: str
    model: str = ""
    metric: str = ""
    pictures: int = 0
    dim: int = 0
    bytes: float = 0.0
    rate: float | None = None
    rate_from: int = 0
    milliseconds: float = 0.0
    reused: str | None = None
    evaluation: Evaluation | None = None
    answers: tuple[MethodAnswer, ...] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        if self.error is not None:
            return {"method": self.method, "error": self.error}
        quality = {} if self.evaluation is None else self.evaluation.as_dict()
        return {
            "method": self.method,
            "model": self.model,
            "metric": self.metric,
            "pictures": self.pictures,
            "dim": self.dim,
            "bytes_per_picture": self.bytes,
            "pictures_per_second": self.rate,
            "pictures_per_second_from": self.rate_from,
            "ms_per_search": self.milliseconds,
            "gallery": self.reused,
            **{key: quality[key] for key in ("measures", "by_label") if key in quality},
            "answers": [answer.as_dict() for answer in self.answers],
        }

    def cells(self, *, labelled: bool) -> list[str]:
        """Its row of the table: the measures if there are labels, the costs, and the method."""
        if self.error is not None:
            return ["-"] * (len(QUALITY) * labelled + len(COST)) + [f"{self.method} (failed)"]
        quality = [f"{self.evaluation[measure]:.3f}" for measure in QUALITY] if self.evaluation else []
        rate = "-" if self.rate is None else f"{self.rate:,.0f}"
        return [
            *quality,
            f"{self.dim:,}",
            f"{self.bytes:,.0f}",
            rate,
            f"{self.milliseconds:.2f}",
            self.method,
        ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several methods on the same pictures, in the order they were given.

    folder: of the pictures.
    pictures: how many were compared.
    labels: where the labels come from; None if there were none.
    queries: the queries in words.
    notes: what the user should know.
    thumbnails: small pictures of queries (under `("query", query)`) and hits (under `("hit", id)`).
    """

    folder: str
    pictures: int
    labels: str | None
    queries: tuple[str, ...]
    methods: tuple[MethodResult, ...]
    notes: tuple[str, ...] = ()
    thumbnails: Mapping[tuple[str, str], bytes | None] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[MethodResult]:
        """Return the methods, in the order they were given."""
        return iter(self.methods)

    def __getitem__(self, method: str) -> MethodResult:
        """Return the method of that name, as it was typed."""
        for one in self.methods:
            if one.method == method:
                return one
        raise KeyError(method)

    @property
    def failed(self) -> tuple[MethodResult, ...]:
        """Return the methods that could not be measured."""
        return tuple(one for one in self.methods if one.error is not None)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return the notes, and of every method that failed why."""
        return (*self.notes, *(f"{one.method} failed: {one.error}" for one in self.failed))

    def __str__(self) -> str:
        """Return the table of methods, and the remarks."""
        heads, rows = (self.table()[0], [[visible(cell) for cell in row] for row in self.table()[1]])
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)][:-1]
        lines = [
            "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
            for row in (heads, *rows)
        ]
        return "\n".join([*lines, *map(visible, self.remarks)])

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON data."""
        return {
            "folder": self.folder,
            "pictures": self.pictures,
            "labels": self.labels,
            "queries": list(self.queries),
            "methods": [one.as_dict() for one in self.methods],
            "notes": list(self.notes),
        }

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of the table of methods; every column but the last is a number."""
        labelled = self.labels is not None
        heads = [*(QUALITY if labelled else ()), *COST, "method"]
        return heads, [one.cells(labelled=labelled) for one in self.methods]

    def plot(self, what: Literal["answers", "quality"] | None = None) -> Plot:
        """Return a figure: for each query a row a method, or the methods by quality and cost.

        Args:
            what: `answers` or `quality`; default the answers where there were queries.

        Raises:
            MissingExtra: matplotlib is not installed.
            UsageError: there were no queries to show answers of, or no labels to tell quality by.
        """
        from lookalike.views import plots

        if what is None:
            what = "answers" if self.queries else "quality"
        if len(self.failed) == len(self.methods):
            raise UsageError("no method could be measured, so there is nothing to plot")
        if what == "answers" and self.queries:
            return plots.grid(list(self._grid()), title=self._title)
        if what == "quality" and self.labels is not None:
            points = [
                plots.Point(one.method, one.evaluation["mAP@100"], one.milliseconds, one.bytes)
                for one in self.methods
                if one.evaluation is not None
            ]
            return plots.quality_and_cost(points, quality="mAP@100", cost="ms a search")
        missing = "queries" if what == "answers" else "labels"
        raise UsageError(f"the comparison had no {missing}, so there is no plot of {what}")

    def html(self) -> str:
        """Return the comparison as one self-contained HTML page: the table, the remarks, and the answers."""
        from lookalike.views import pages

        facts = {"folder": self.folder} | ({} if self.labels is None else {"labels": self.labels})
        return pages.results_page(
            list(self._rows()), title=self._title, facts=facts, table=self._table(), notes=self.remarks
        )

    def _repr_html_(self) -> str:
        """Return the table, for notebooks."""
        from lookalike.views import pages

        return pages.fragment_table(self._table(), self.remarks)

    def _table(self) -> pages.Table:
        """Return the table with the methods in front."""
        from lookalike.views import pages

        heads, rows = self.table()
        return pages.Table(
            [heads[-1], *heads[:-1]], [[row[-1], *row[:-1]] for row in rows], range(1, len(heads))
        )

    @property
    def _title(self) -> str:
        methods = "1 method" if len(self.methods) == 1 else f"{len(self.methods)} methods"
        return f"{self.pictures:,} pictures, {methods}"

    def _answers(self) -> Iterator[tuple[MethodResult, MethodAnswer]]:
        """Yield for each query every method's answer to it."""
        for number in range(len(self.queries)):
            for one in self.methods:
                if one.error is None:
                    yield one, one.answers[number]

    def _grid(self) -> Iterator[plots.Row]:
        from lookalike.views import pages, plots

        shown = ""
        for one, answer in self._answers():
            query = plots.Tile(answer.query, self.thumbnails.get(("query", answer.query)))
            hits = [
                plots.Tile(hit.id, self.thumbnails.get(("hit", hit.id)), score)
                for hit, score in zip(
                    answer.hits, pages.numbers(hit.score for hit in answer.hits), strict=True
                )
            ]
            yield plots.Row(one.method, query if answer.query != shown else None, hits)
            shown = answer.query

    def _rows(self) -> Iterator[pages.Row]:
        from lookalike.views import pages

        for one, answer in self._answers():
            query = pages.Card(answer.query, self.thumbnails.get(("query", answer.query)))
            shown = usual(hit.metadata for hit in answer.hits)
            hits = [
                card(hit, self.thumbnails.get(("hit", hit.id)), shown, tags(hit.tags)) for hit in answer.hits
            ]
            yield pages.Row(query, hits, label=one.method)
