"""What people see: tables, bars, messages. Names are escaped, so that none can drive the terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Self

import click

from lookalike.errors import visible
from lookalike.system.files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from rich.progress import Progress as RichProgress

    from lookalike.reports import Progress, Report, Skip
    from lookalike.search.hits import Hits
    from lookalike.types import Tag

_SHOWN_SKIPS = 5
_LONGEST_VALUE = 40
_LEAST_TAG = 0.005
_LAST_COLUMN = 24
_ENDLESS = 1_000_000


def one_line(text: str) -> str:
    """A message on one line: line ends become spaces, other control characters are escaped."""
    return visible(" ".join(text.replace("\r\n", "\n").split("\n")))


def note(message: str) -> None:
    """Tell the user something that is not the answer."""
    click.echo(one_line(message), err=True)


def notes(messages: Iterable[str]) -> None:
    """Tell what the user should know of the answer."""
    for message in messages:
        note(f"note: {message}")


def write_page(file: Path, page: str) -> None:
    """Write a page of HTML, in place of an older one, and say so."""
    with replacing(file) as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")
    note(f"written to {file}")


def open_page(file: Path | None, hits: Hits) -> None:
    """Show an answer's page in the browser: the file it was written to, or one of the user's cache folder."""
    import webbrowser

    if file is None:
        from lookalike.extractors.runtime import cache_folder

        file = cache_folder() / "answer.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_page(file, hits.html())
        file.chmod(0o600)
    if not webbrowser.open(file.absolute().as_uri()):
        note(f"no browser could be opened; the page is {file}")


def print_paths(hits: Hits, *, end: str, empty: str) -> None:
    """Print the path of every hit's file for another program: byte for byte, except on a terminal."""
    for hit in hits:
        if hit.path is not None:
            shown = visible(hit.path) if sys.stdout.isatty() else hit.path
            click.echo(os.fsencode(shown + end), nl=False)
    without = sum(hit.path is None for hit in hits)
    if without:
        note(f"note: {without:,} of the pictures are no files on this machine")
    if not hits:
        note(empty)
    notes(hits.notes)


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object, in ASCII: any name survives any terminal, pipe and locale."""
    click.echo(json.dumps(content, indent=2, allow_nan=False))


def print_answer(text: str, content: Mapping[str, Any], *, as_json: bool) -> None:
    """Print an answer as text, whose lines are the caller's, or as JSON."""
    if as_json:
        print_json(content)
    elif text:
        click.echo("\n".join(map(visible, text.split("\n"))))


def print_hits(hits: Hits, *, empty: str) -> None:
    """Print an answer as a table: rank, score, its parts, id, fields of the user's own, first tags.

    Args:
        hits: the answer.
        empty: what to say if it is empty.
    """
    from lookalike.views.pages import numbers

    if not hits:
        # Where something better is known to say, the hint is left out.
        note(empty.partition(";")[0] if hits.notes else empty)
    else:
        parts = _parts(hits)
        columns = [
            [str(hit.rank) for hit in hits],
            numbers(hit.score for hit in hits),
            *(numbers(hit.scores.get(part, 0) for hit in hits) for part in parts),
            [hit.id for hit in hits],
            *([_cell(hit.value(name)) for hit in hits] for name in hits.shown_fields()),
        ]
        heads = ["", "score", *parts, "picture", *hits.shown_fields()]
        seen = [tags_in_words(hits.shown_tags(hit)) for hit in hits]
        if any(seen):
            columns.append(seen)
            heads.append("what it shows")
        print_table(heads, zip(*columns, strict=True), numbers=2 + len(parts))
    notes(hits.notes)


def _cell(value: str) -> str:
    """A field's value for a table; on a terminal a long one is cut, for there may be columns behind it."""
    from textwrap import shorten

    return shorten(value, _LONGEST_VALUE, placeholder="…") if sys.stdout.isatty() else value


def _parts(hits: Hits) -> list[str]:
    """The parts of the score that say more than the score itself."""
    if hits.metric == "keywords":
        return ["classes", "text"]
    return [part for part in hits[0].scores if any(hit.scores.get(part) != hit.score for hit in hits)]


def tags_in_words(tags: Sequence[Tag]) -> str:
    """Tags in one line, best first, without those that round to nothing: `tabby .77, tiger cat .10`."""
    seen = [tag for tag in tags if tag.score >= _LEAST_TAG]
    return ", ".join(f"{tag.name} {tag.score:.2f}".replace(" 0.", " .") for tag in seen)


def print_report(report: Report) -> None:
    """Print what indexing did, in a line or two, and what is new among the files it skipped."""
    click.echo(one_line(str(report)))
    if report.gallery:
        click.echo(f"gallery: {one_line(report.gallery)}")
    else:
        note(f"there is no picture in {report.root}: no gallery was made")
    print_skips([skip for skip in report.skipped if skip.path not in report.known])


def print_skips(new: Sequence[Skip], hint: str = "`lookalike info --skipped` lists every one") -> None:
    """Tell the first pictures that could not be read, and count the files that are no pictures."""
    from lookalike.indexing import skips

    others = [skip for skip in new if skips.is_other(skip)]
    broken = [skip for skip in new if not skips.is_other(skip)]
    for skip in broken[:_SHOWN_SKIPS]:
        note(f"  skipped {skip.path}: {skip.reason}")
    if len(broken) > _SHOWN_SKIPS:
        note(f"  and {len(broken) - _SHOWN_SKIPS:,} more; {hint}")
    if others:
        note(f"  {skips.others_in_words(others)}")


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> None:
    """Print aligned columns; on a terminal the last is cut where the line ends.

    A name in the middle is never cut or folded, for people copy it.

    Args:
        heads: the columns' heads.
        rows: the cells.
        numbers: how many columns on the left hold numbers.
    """
    from rich.cells import cell_len

    lines = [[visible(cell) for cell in row] for row in (heads, *rows)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ENDLESS
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    # One long name must not push what follows away from all the others.
    longest = max(room - sum(widths[:numbers]) - 2 * numbers - _LAST_COLUMN, _LAST_COLUMN)
    widths = [min(width, longest) for width in widths]
    for line in lines:
        cells = [
            _pad(cell, width, right=i < numbers)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        before = "  ".join([*cells[:-1], ""])
        last = (
            line[-1]
            if cell_len(before + line[-1]) <= room
            else _cut(line[-1], max(room - cell_len(before), 0))
        )
        click.echo((before + last).rstrip())


def _cut(cell: str, room: int) -> str:
    """A cell as far as there is room, with its last item, or else its last word, whole."""
    from rich.cells import set_cell_size

    kept = set_cell_size(cell, room)
    if cell[len(kept) :].startswith((",", " ")):
        return kept
    return kept.rpartition(", ")[0] or kept.rpartition(" ")[0] or kept


def _pad(cell: str, width: int, *, right: bool) -> str:
    from rich.cells import cell_len

    spaces = " " * (width - cell_len(cell))
    return spaces + cell if right else cell + spaces


class Bar:
    """A progress bar on standard error: pictures done, rate, time left.

    Silent where standard error is no terminal or the user asked for quiet: then `callback` is
    None, and the library is spared the calls.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._shown = sys.stderr.isatty() and not quiet
        self._bar: RichProgress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def callback(self) -> Callable[[Progress], None] | None:
        """What to give to the library as `progress`."""
        return self._show if self._shown else None

    def _show(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = _progress_bar()
            self._bar.add_task(self._what, total=None, detail="")
            self._bar.start()
        task = self._bar.tasks[0].id
        self._bar.update(task, completed=progress.done, total=progress.total, detail=_detail(progress))


def _detail(progress: Progress) -> str:
    from lookalike.reports import clock

    left = progress.left
    time_left = "" if left is None else f" · {clock(left)} left"
    skipped = f" · {progress.skipped:,} skipped" if progress.skipped else ""
    return f"{progress.rate:,.0f}/s{time_left}{skipped}"


def _progress_bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
