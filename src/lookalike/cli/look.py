"""Commands for a gallery as a whole: info, export, copy, delete, models, check."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lookalike.cli.help import command
from lookalike.cli.options import Place, gallery_options, json_option, quiet_option
from lookalike.cli.output import (
    Bar,
    notes,
    print_answer,
    print_json,
    print_report,
    print_table,
)
from lookalike.cli.questions import confirm
from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.extractors.listing import Layer


@command(
    short_help="Show what the gallery is and holds.",
)
@click.option("--skipped", is_flag=True, help="List the files that could not be indexed, and why.")
@json_option
@gallery_options
def info(*, place: Place, skipped: bool, as_json: bool) -> None:
    """Show what the gallery is: where, how many pictures, by which model."""
    with place.existing() as gallery:
        if skipped:
            skips = gallery.skipped()
            text = "\n".join(f"{visible(skip.path)}: {visible(skip.reason)}" for skip in skips)
            content = {"skipped": [skip._asdict() for skip in skips]}
        else:
            content = gallery.info()
            text = _facts_in_words(content)
    print_answer(text, content, as_json=as_json)


@command(
    short_help="Write ids and vectors to a file.",
    epilog="""
    \b
    Examples:
      lookalike export vectors.npz        arrays ids and vectors, (n, dim) float32
      lookalike export vectors.parquet    needs the extra `tables`
      lookalike export vectors.csv
    """,
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@gallery_options
def export(*, file: Path, place: Place, as_json: bool) -> None:
    """Write the ids and vectors of the gallery to FILE, by its ending: .npz, .parquet or .csv."""
    with place.existing() as gallery:
        count = gallery.export(file)
    print_answer(
        f"{count:,} vectors written to {visible(str(file))}",
        {"path": str(file), "count": count},
        as_json=as_json,
    )


@command(
    short_help="Copy the gallery to another place, or into a cluster.",
    epilog="""
    \b
    Examples:
      lookalike copy --gallery ~/Pictures --to elasticsearch://es:9200/photos
      lookalike copy --gallery elasticsearch://es:9200/photos --to ~/Pictures
      lookalike copy --to /backup/photos-gallery
    """,
)
@click.option(
    "--to",
    required=True,
    metavar="PLACE",
    help="A store's address, the folder of the pictures, or a folder that is to be the gallery.",
)
@click.option(
    "--as",
    "copied",
    metavar="NAME",
    help="What to call the copy among the galleries of the pictures' folder; `default` unless told.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="The folder of the pictures where the copy is used, if it is another one there.",
)
@quiet_option
@json_option
@gallery_options
def copy(*, place: Place, to: str, copied: str | None, root: str | None, quiet: bool, as_json: bool) -> None:
    """Copy the gallery with everything in it, from one kind of store to another if wanted.

    No picture is opened. Run again it mirrors the gallery once more: what the gallery does not hold any
    more goes from the copy, too. Stopped and started again it goes on. A gallery of mostly other pictures is
    not written into.
    """
    with place.existing() as gallery, Bar("copying", quiet=quiet) as bar:
        report = gallery.copy(to, name=copied, root=root, progress=bar.callback)
    if as_json:
        print_json(report.as_dict())
    elif not quiet:
        print_report(report)
    notes(report.notes)


@command(
    short_help="Delete a whole gallery; the pictures stay.",
    epilog="""
    \b
    Examples:
      lookalike delete --gallery ~/Pictures --name vgg
      lookalike delete --gallery elasticsearch://es:9200/photos --yes
    """,
)
@click.option("--yes", is_flag=True, help="Do not ask; needs --gallery or --name.")
@json_option
@gallery_options
@click.pass_context
def delete(context: click.Context, *, place: Place, yes: bool, as_json: bool) -> None:
    """Delete a whole gallery, with everything it knows; the pictures themselves are not touched.

    With --yes the gallery has to be told by --gallery or --name: what LOOKALIKE_GALLERY names, or is found
    here and upward, is deleted only after a question. One that can't be opened any more is deleted, too.
    """
    from lookalike import stores
    from lookalike.errors import StoreError
    from lookalike.sources import trust

    by_gallery, by_name = (_told(context, option) for option in ("gallery", "name"))
    if yes and not (by_gallery or by_name):
        raise click.UsageError("--yes needs --gallery or --name, which tell the gallery", context)
    address = _doomed(place, named=by_name)
    count = _count(address)
    if not yes:
        holding = "which can't be opened" if count is None else f"with its {count:,} pictures"
        confirm(f"Delete the gallery {address}, {holding}?")
    stores.delete_store(address)
    with suppress(StoreError):
        trust.revoke(address)
    print_answer(f"{visible(address)} is deleted", {"deleted": address, "count": count}, as_json=as_json)


def _told(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is ParameterSource.COMMANDLINE


def _doomed(place: Place, *, named: bool) -> str:
    """The address of the gallery to delete, which need not be one that can be opened."""
    from lookalike import stores
    from lookalike.errors import NotFound
    from lookalike.sources.folder import GALLERIES
    from lookalike.stores import location

    address = location.address(None, place.name, place.gallery)
    if not stores.exists(address):
        raise NotFound(location.absent(address, place.name))
    # Elsewhere a name that says nothing does no harm.
    if named and Path(address).parts[-2:] != (GALLERIES, place.name):
        raise click.UsageError(f"{address} is a gallery by itself; leave out --name {place.name}")
    return address


def _count(address: str) -> int | None:
    """How many pictures a gallery holds; None where it can't be opened."""
    from lookalike import stores
    from lookalike.errors import StoreError

    with suppress(StoreError), closing(stores.open_store(address)) as store:
        return store.count()
    return None


@command(
    short_help="List the models, or the layers of one.",
    epilog="""
    \b
    Examples:
      lookalike models
      lookalike models keras:InceptionV3
      lookalike models my-net.onnx --json
    """,
)
@click.argument("name", required=False)
@json_option
def models(*, name: str | None, as_json: bool) -> None:
    """List the models that `index` and `reindex` take, or the layers of the one called NAME.

    Behind a model's name, @features means the plain numbers before the classes, @classes the class
    scores themselves, and @LAYER any layer, by its name or its number (-1 is the last).
    """
    from lookalike import extractors

    if name is not None:
        _print_layers(name, extractors.layers(name), as_json=as_json)
        return
    known = extractors.models()
    if as_json:
        print_json({"models": [{"name": name, "description": text} for name, text in known.items()]})
    else:
        print_table(("name", "what it is"), known.items())
        click.echo("FILE.onnx|.xml|.keras|.h5: a model of your own")


def _print_layers(name: str, layers: Sequence[Layer], *, as_json: bool) -> None:
    if as_json:
        print_json({"model": name, "layers": [layer._asdict() for layer in layers]})
        return
    heads = ("number", "parameters", "name", "type", "shape")
    rows = [
        (str(layer.number), f"{layer.parameters:,}", layer.name, layer.type, _shape(layer.shape))
        for layer in layers
    ]
    print_table(heads, rows, numbers=2)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join("?" if size < 0 else f"{size:,}" for size in shape) or "1"


@command(
    short_help="Look for damage, and repair it.",
)
@click.option("--repair", is_flag=True, help="Mend what can be mended without reading a picture.")
@json_option
@gallery_options
@click.pass_context
def check(context: click.Context, *, place: Place, repair: bool, as_json: bool) -> None:
    """Look for damage: in the file, in every row, between rows and cache.

    The exit code is 1 if a fault was found and not repaired.
    """
    with place.existing() as gallery:
        faults, done = gallery.check(), list[str]()
        left = gallery.check(repair=True, told=done.append) if repair and faults else faults
    if as_json:
        print_json({"faults": faults, "repaired": done, "left": left})
    else:
        lines = [*faults, *(f"repaired: {line}" for line in done)]
        lines += [f"left: {line}" for line in left] if done else []
        mended = "; repaired" if faults and not left else f"; {len(left):,} left" if done else ""
        summary = f"{len(faults):,} faults found{mended}" if faults else "no fault found"
        click.echo("\n".join([*map(visible, lines), summary]))
    context.exit(1 if left else 0)


def _facts_in_words(facts: dict[str, Any]) -> str:
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:<{width}}  {visible(_in_words(name, value))}" for name, value in facts.items())


def _in_words(name: str, value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name in {"bytes", "cache_bytes"}:
            return _size(value)
        case int():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{key} ({of})" for key, of in value.items()) or "none"
        case list() | tuple():
            return ", ".join(map(str, value)) or "none"
        case _:
            return "not known" if value is None else str(value)


def _size(count: float) -> str:
    """Bytes as people count them: `4.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
