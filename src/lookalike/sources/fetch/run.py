"""A whole run: read the table, fetch what is not there on several threads, write down what is."""

from __future__ import annotations

import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import UsageError
from lookalike.reports import Progress
from lookalike.sources.fetch.folder import METADATA, Folder
from lookalike.sources.fetch.report import Report
from lookalike.sources.fetch.schedule import Schedule
from lookalike.sources.fetch.wanted import read_wanted
from lookalike.sources.fetch.workers import Crew
from lookalike.sources.tables import open_table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from lookalike.sources.fetch.wanted import Picture, Wanted

_TICK = 0.1  # seconds between two looks at how far it is


def fetch(  # noqa: PLR0913  # an argument an option
    table: str | os.PathLike[str],
    into: str | os.PathLike[str],
    *,
    image: str | None = None,
    id: str | None = None,  # noqa: A002  # what users call it
    keep: Sequence[str] = (),
    all_images: bool = False,
    per_host: int = 4,
    jobs: int = 32,
    timeout: float = 30.0,
    retries: int = 4,
    max_bytes: int = 50_000_000,
    allow_private: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Fetch the pictures that a table has the addresses of.

    The folder gets the pictures, named by id, with the ending of what they are; `metadata.csv`,
    with `path`, `id`, the kept columns and `url`; and `failed.csv`. A picture that is there is not
    fetched again, one that failed is. Stopped at any time, even killed, it has lost no picture,
    and goes on the next time.

    Args:
        table: `.csv`, `.tsv`, `.txt`, `.jsonl`, `.json` (each also with `.gz`) or `.parquet`.
        into: the folder; made if need be.
        image: the column with an address, or a list of them, of which the first is taken; by
            default a column with a usual name, such as `image` or `url`.
        id: the column with the ids; by default `id`, and without one a digest of the address.
        keep: columns for `metadata.csv`: `COLUMN`, or `COLUMN=FIELD` to call it otherwise.
        all_images: take every address of a list, with the ids `ID_1`, `ID_2` ….
        per_host: requests to one host at the same time.
        jobs: requests at the same time in all.
        timeout: seconds for one request, to the last byte.
        retries: how often to try again where that may help: a busy or failing server, no answer in
            time, a connection that broke.
        max_bytes: of one picture; larger ones are refused.
        allow_private: whether addresses may lead into this machine or its network; only then is a
            proxy used.
        progress: called now and then, on the calling thread.

    Returns:
        The report, with everything that failed.

    Raises:
        UsageError: a table, a column or a folder that can't be used.
        MissingExtra: Parquet without the extra `tables`.
    """
    if min(per_host, jobs) < 1 or retries < 0 or not 0 < timeout < inf or max_bytes < 1:
        raise UsageError(
            "per_host, jobs, timeout and max_bytes must be finite and above 0, and retries not below"
        )
    started = time.monotonic()
    opened = open_table(Path(table))
    wanted = read_wanted(opened, image=image, id_column=id, keep=keep, all_images=all_images)
    folder = Folder(Path(into))
    report = Report(str(into), str(Path(into) / METADATA), repeated=wanted.repeated)
    with folder.held():
        present = {picture.id: name for picture in wanted.pictures if (name := folder.has(picture))}
        missing = [picture for picture in wanted.pictures if picture.id not in present]
        schedule = Schedule(missing, per_host=per_host)
        crew = Crew(
            schedule,
            folder,
            retries=retries,
            timeout=timeout,
            max_bytes=max_bytes,
            allow_private=allow_private,
        )
        try:
            _attend(crew, min(jobs, schedule.room), len(present), len(wanted.pictures), progress)
        finally:
            crew.stop()
            _write_down(folder, wanted, present, crew, report)
    report.seconds = time.monotonic() - started
    return report


def _attend(
    crew: Crew, threads: int, present: int, total: int, progress: Callable[[Progress], object] | None
) -> None:
    """Let the crew work, and tell how far it is."""
    started = time.monotonic()
    crew.start(threads)
    while True:
        done = crew.wait(_TICK)
        if progress is not None:
            finished = present + len(crew.fetched) + len(crew.failed)
            progress(Progress(finished, total, len(crew.failed), time.monotonic() - started))
        if done:
            return


def _write_down(folder: Folder, wanted: Wanted, present: dict[str, str], crew: Crew, report: Report) -> None:
    names = present | crew.fetched
    pictures: list[tuple[str, Picture]] = [
        (names[picture.id], picture) for picture in wanted.pictures if picture.id in names
    ]
    report.failed = [*wanted.failed, *crew.failed]
    report.total = folder.write_metadata(wanted.names, pictures)
    folder.write_failed(report.failed)
    report.fetched, report.present = len(crew.fetched), len(present)
    report.retries, report.bytes = crew.retries, crew.bytes
