"""The command that lets a gallery reach outside of its folder: trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lookalike.cli.help import command
from lookalike.cli.options import Place, gallery_options, json_option
from lookalike.cli.output import print_answer, print_json
from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.gallery import Gallery

_SHOWN = 10


@command(
    short_help="Let a gallery reach outside of its folder.",
    epilog="""
    \b
    Examples:
      lookalike trust ~/received --show
      lookalike trust ~/received
      lookalike trust --gallery elasticsearch://es:9200/photos
      lookalike trust --list
      lookalike trust ~/received --revoke
    """,
)
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--show", is_flag=True, help="Only show what the gallery names outside of its folder.")
@click.option("--revoke", is_flag=True, help="Take the trust back, even of a gallery that was made here.")
@click.option("--list", "listed", is_flag=True, help="List the galleries that may reach outside.")
@click.option(
    "--allow-private",
    is_flag=True,
    help="Let addresses that name a machine lead into this one and its network, too.",
)
@json_option
@gallery_options
def trust(  # an argument an option
    *,
    folder: str | None,
    place: Place,
    show: bool,
    revoke: bool,
    listed: bool,
    allow_private: bool,
    as_json: bool,
) -> None:
    """Let a gallery that somebody else made, or that was moved, reach what it names outside of its folder.

    What lies in the folder that holds a gallery is always read. Files elsewhere, addresses, and a model
    that is a file or has to be downloaded, are only reached by galleries that you made here, by those you
    trust, and where a command names the very place. FOLDER is the folder of the pictures; without it the
    gallery is found as elsewhere. What the gallery names is shown.
    """
    if listed + show + revoke > 1 or (allow_private and (listed or show or revoke)):
        raise click.UsageError("--list, --show and --revoke go with nothing else")
    if listed:
        _list(as_json=as_json)
        return
    if revoke:
        _revoke(folder, place, as_json=as_json)
        return
    with _open(folder, place) as gallery:
        before = gallery.reach()
        if not show:
            gallery.trust(allow_private=allow_private)
        after = gallery.reach()
    if as_json:
        print_json({"before": before["trusted"], **after})
    else:
        print_answer("\n".join(_lines(before, after)), {}, as_json=False)


def _list(*, as_json: bool) -> None:
    from lookalike.sources import trust

    found = trust.grants()
    lines = [
        f"{visible(one.gallery)}  {'made here' if one.made else 'trusted'}"
        f"{'' if one.made or not one.private else ', private addresses, too'}"
        for one in found
    ]
    content = [{"gallery": one.gallery, "made": one.made, "private": one.private} for one in found]
    print_answer("\n".join(lines) or "no gallery", {"trusted": content}, as_json=as_json)


def _revoke(folder: str | None, place: Place, *, as_json: bool) -> None:
    """Also of a gallery that can't be opened, or is not there any more."""
    from lookalike.sources import trust
    from lookalike.stores import location

    root = None if folder is None else location.absolute(folder)
    address = location.address(root, place.name, None if folder is not None else place.gallery)
    known = trust.revoke(address) > 0
    text = "is not trusted any more" if known else "was not trusted"
    print_answer(f"{visible(address)} {text}", {"gallery": address, "before": known}, as_json=as_json)


def _open(folder: str | None, place: Place) -> Gallery:
    """The gallery of the folder told, else the one found as elsewhere."""
    from lookalike.gallery import Gallery

    if folder is None:
        return place.existing()
    source = click.get_current_context().get_parameter_source("gallery")
    if place.gallery is not None and source is not ParameterSource.ENVIRONMENT:
        raise click.UsageError("tell the folder or --gallery, not both")
    return Gallery.open(folder, name=place.name, create=False)


def _lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What a gallery names outside of its folder, and whether it may reach there."""
    lines = [f"gallery: {visible(after['gallery'])}"]
    if after["root_outside"]:
        lines.append(f"  its pictures lie in {visible(after['root'])}")
    lines += [f"  folder {visible(folder)}" for folder in after["folders"][:_SHOWN]]
    pictures = list(after["pictures"].items())
    lines += [
        f"  {count:,} {'picture' if count == 1 else 'pictures'} at {visible(at)}"
        for at, count in pictures[:_SHOWN]
    ]
    more = max(len(after["folders"]) - _SHOWN, 0) + max(len(pictures) - _SHOWN, 0)
    lines += [f"  and {more:,} more places, told by --json"] if more else []
    lines += [f"  model {visible(after['model'])}"] if after["model"] else []
    if len(lines) == 1:
        lines.append("  names nothing outside of its folder")
    return [*lines, f"before: {_state(before)}", f"now: {_state(after)}"]


def _state(reach: Mapping[str, Any]) -> str:
    if not reach["trusted"]:
        return "not trusted to reach outside of its folder"
    private = "" if reach["private"] else ", but by no address into this machine or its network"
    return f"trusted to reach outside of its folder{private}"
