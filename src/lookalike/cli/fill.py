"""Commands that make or change a gallery: index, remove, reindex, convert, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lookalike.cli.help import command
from lookalike.cli.options import (
    DEFAULT_NAME,
    ModelWish,
    Place,
    gallery_options,
    json_option,
    model_options,
    quiet_option,
)
from lookalike.cli.output import Bar, notes, print_json, print_report
from lookalike.cli.questions import ask_if_nested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.gallery import Gallery
    from lookalike.indexing.pipeline import Workers
    from lookalike.reports import Report
    from lookalike.types import Extractor, Value


_PRIVATE = ("not a public address", "into this machine")


@command(
    short_help="Make a gallery of a folder, or bring it up to date.",
    epilog="""
    \b
    Examples:
      lookalike index ~/Pictures
      lookalike index ~/Pictures /mnt/camera --gallery ~/galleries/all
      lookalike index products --metadata products.csv --exclude '*.gif'
      lookalike index products --name vgg --model keras:VGG16@fc1
      lookalike index products --model keras:VGG16@predictions --metric inner
      lookalike index s3://bucket/photos --gallery ~/galleries/photos
      lookalike index urls.csv --gallery ~/galleries/shop --metadata urls.csv
      lookalike index /data --gallery elasticsearch://es:9200/photos --ray auto
      lookalike index                 every folder of the gallery found here

    A file .lookalikeignore at the top of a folder excludes by the same patterns as .gitignore.
    """,
)
@click.argument("pictures", nargs=-1, metavar="[FOLDER|FILE|ADDRESS|TABLE]...")
@model_options
@click.option(
    "--metadata",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="TABLE",
    help="A CSV or TSV table with a column for the path and fields for filters.",
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave these out, as in .gitignore.")
@click.option("--hidden", is_flag=True, help="Go into hidden folders, and take hidden files.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take N files by chance, and remove nothing.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which chance --limit takes.")
@click.option("--prune", is_flag=True, help="Remove pictures even if the whole folder is gone.")
@click.option("--retry", is_flag=True, help="Try again what could not be read, even if it did not change.")
@click.option(
    "--image",
    metavar="COLUMN",
    help="The column of a table with the addresses; by default one with a usual name, as image or url.",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="Let a table's addresses lead into this machine and its network, and use a proxy if one is set.",
)
@click.option(
    "--nested",
    is_flag=True,
    help="Make a gallery of a folder inside one that is indexed already; without it, and without a --name "
    "of its own, that is asked, or refused in a script.",
)
@click.option(
    "--ray",
    metavar="auto|local|ADDRESS",
    help="Let Ray workers describe the pictures: on the cluster this machine belongs to, on this machine "
    "alone, or on the one at ray://HOST:10001.",
)
@quiet_option
@json_option
@gallery_options
def index(  # noqa: PLR0913  # an argument an option
    *,
    pictures: tuple[str, ...],
    place: Place,
    model: ModelWish,
    metadata: Path | None,
    exclude: tuple[str, ...],
    hidden: bool,
    limit: int | None,
    seed: int,
    prune: bool,
    retry: bool,
    image: str | None,
    allow_private: bool,
    nested: bool,
    ray: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a gallery of the pictures in a folder, or bring it up to date.

    The gallery is kept in FOLDER/.lookalike, of the first folder if there are several. Only what
    is new or changed is read. Without a folder, every folder of the existing gallery is looked
    through again.

    A folder or file may be elsewhere, at any address that fsspec reads, as s3://BUCKET/FOLDER; the
    gallery's place is then told by --gallery, and who may read there by that system's own environment.

    A TABLE (.csv, .tsv, .txt, .jsonl, .json, each also with .gz, or .parquet) has an address or a path
    in each row; .txt and .json are tables where nothing else is given, or with --image. What the gallery
    has of it already is not read again. The same table may be told by --metadata.
    """
    fields = _read_fields(metadata, pictures, image)
    opened = _open(pictures, place, model, nested=nested)
    with opened as gallery, Bar("indexing", quiet=quiet) as bar:
        report = gallery.add(
            list(pictures) or None,
            metadata=fields,
            exclude=exclude,
            hidden=hidden,
            prune=prune,
            retry=retry,
            limit=limit,
            seed=seed,
            image=image,
            allow_private=allow_private,
            workers=_workers(ray),
            progress=bar.callback,
        )
    _show(report, quiet=quiet, as_json=as_json)
    if any(word in skip.reason for skip in report.skipped for word in _PRIVATE):
        notes(["--allow-private takes what a table has from this machine and its network, too"])


@command(
    short_help="Describe every picture again, by another model.",
    epilog="""
    \b
    Example:
      lookalike reindex --model efficientnet-lite0@features --metric euclidean
    """,
)
@model_options
@click.option("--prune", is_flag=True, help="Drop pictures that can't be read now.")
@quiet_option
@json_option
@gallery_options
def reindex(
    *,
    place: Place,
    model: ModelWish,
    prune: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Describe every picture of the gallery again, by another model.

    The new gallery is built beside the old one and takes its place when it is whole; until then
    the old one is searched as before. Stopped and started again it goes on.
    """
    if model.name is None:
        raise click.UsageError("tell the model by --model")
    with place.existing() as gallery, Bar("reindexing", quiet=quiet) as bar:
        report = gallery.reindex(model.name, **model.as_options(), prune=prune, progress=bar.callback)
    _show(report, quiet=quiet, as_json=as_json)


@command(
    short_help="Make a gallery of another one's vectors.",
    epilog="""
    \b
    Examples:
      lookalike convert photos --model my-ranker --name ranked
      lookalike convert --from vgg --model vgg-ranker --name ranked
      lookalike search beach.jpg --gallery photos --name ranked
    """,
)
@click.argument("folder", required=False)
@click.option(
    "--model",
    required=True,
    metavar="NAME",
    help="The model: one that adds steps to that of the gallery, such as a trained ranker.",
)
@click.option("--name", metavar="NAME", help="What to call the gallery that is made, or brought up to date.")
@click.option("--gallery", metavar="FOLDER", help="Where to keep it, if elsewhere than beside the other.")
@click.option(
    "--from",
    "source",
    metavar="NAME",
    help="Which gallery to take; by default the one called default, or else the first that fits the model.",
)
@click.option(
    "--metric", metavar="NAME", help="How vectors are compared; by default as the model recommends."
)
@quiet_option
@json_option
def convert(
    *,
    folder: str | None,
    model: str,
    name: str | None,
    gallery: str | None,
    source: str | None,
    metric: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a gallery of the vectors of one that is there, without opening a picture.

    That is possible where the model begins with all that made those vectors, and then does more: so it
    is with a ranker that was trained on them. Run again it brings the gallery up to date. FOLDER is
    one that has galleries; without it they are found as by search.
    """
    from lookalike import extractors

    if name is None and gallery is None:
        raise click.UsageError("tell the name of the gallery to make by --name")
    extractor = extractors.load(model)
    with _source(folder, source, extractor) as opened, Bar("converting", quiet=quiet) as bar:
        report = opened.convert(extractor, name=name, gallery=gallery, metric=metric, progress=bar.callback)
    _show(report, quiet=quiet, as_json=as_json)


@command(
    "import",
    short_help="Make a gallery of vectors of one's own.",
    epilog="""
    \b
    Examples:
      lookalike import vectors.npz --metric euclidean
      lookalike import vectors.parquet --root ~/Pictures --name mine
      lookalike search id:17 --gallery .
      lookalike search query.npy
    """,
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--metric", metavar="NAME", help="How vectors are compared; cosine unless told otherwise.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="The folder that holds the gallery, and below which ids may be pictures; by default the file's.",
)
@quiet_option
@json_option
@gallery_options
def import_(
    *, file: Path, place: Place, metric: str | None, root: str | None, quiet: bool, as_json: bool
) -> None:
    """Make a gallery of the ids and vectors in FILE, or add them to it.

    FILE is as `lookalike export` writes it: .npz with the arrays ids and vectors, .csv or .parquet.
    A query is then id:ID, or a vector in a file .npy.
    """
    from lookalike.gallery import Gallery

    folder = file.parent if root is None else root
    opened = Gallery.open(folder, name=place.name, gallery=_told(place), metric=metric)
    with opened as gallery, Bar("importing", quiet=quiet) as bar:
        report = gallery.add_vectors(file, progress=bar.callback)
    _show(report, quiet=quiet, as_json=as_json)


def _told(place: Place) -> str | None:
    """The gallery told by --gallery; what LOOKALIKE_GALLERY says is usually searched is not meant."""
    source = click.get_current_context().get_parameter_source("gallery")
    return None if source is ParameterSource.ENVIRONMENT else place.gallery


def _open(pictures: tuple[str, ...], place: Place, model: ModelWish, *, nested: bool) -> Gallery:
    """The gallery of the first folder told; the existing one if none is."""
    from lookalike.gallery import Gallery

    def may_be_folder(picture: str) -> bool:
        # A folder that is not there may be an unplugged disk, which the library tells from a mistake.
        return not Path(picture).is_file() and "://" not in picture

    folder = next(filter(may_be_folder, pictures), None)
    if folder is None and any("://" in picture for picture in pictures) and place.gallery is None:
        raise click.UsageError("tell where to keep the gallery by --gallery: an address can't hold it")
    if folder is not None and _told(place) is None and not nested:
        ask_if_nested(folder, place.name)
    return Gallery.open(
        folder,
        name=place.name,
        # A folder that was named has its own gallery, whatever is usually searched.
        gallery=_told(place) if pictures else place.gallery,
        model=model.name,
        **model.as_options(),
        create=bool(pictures),
    )


def _workers(ray: str | None) -> Workers | None:
    if ray is None:
        return None
    from lookalike.indexing.ray import Cluster

    return Cluster(ray)


def _source(folder: str | None, name: str | None, extractor: Extractor) -> Gallery:
    """The gallery to convert: the one told, or the one of the folder that fits the model."""
    from lookalike.gallery import Gallery
    from lookalike.indexing import convert as converted

    if name is None:
        name = DEFAULT_NAME if folder is None else converted.fitting(folder, extractor)
    return Gallery.open(folder, name=name, create=False)


def _read_fields(
    table: Path | None, pictures: tuple[str, ...], image: str | None
) -> Mapping[str, Mapping[str, Value]] | None:
    """The fields of a table; one that names the pictures, too, does so in the same column."""
    from lookalike.sources import resolve, tables
    from lookalike.sources import table as listed
    from lookalike.stores import location

    if table is None:
        return None
    if (path := location.absolute(table)) in resolve.tables_among(pictures, image):
        return listed.read_metadata(path, image)
    return tables.read_metadata(table)


def _show(report: Report, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        print_json(report.as_dict())
    elif not quiet:
        print_report(report)
    notes(report.notes)
