"""What is asked back before something is done that can't be undone, or would surprise."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lookalike.cli.output import one_line


def confirm(question: str) -> None:
    """Ask on standard error, and read the answer from standard input.

    Raises:
        ClickException: the answer is not yes, or there is none because standard input has ended.
    """
    click.echo(f"{one_line(question)} [y/N]: ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        click.echo(err=True)
        raise click.ClickException(
            "no answer was given: standard input is at its end; nothing was done (--yes needs no answer)"
        )
    if answer.strip().lower() not in {"y", "yes"}:
        raise click.ClickException("not confirmed; nothing was done")


def ask_if_nested(folder: str, name: str) -> None:
    """Ask before a gallery is made that would hide another from whoever works in its folder.

    Raises:
        ClickException: the answer is not yes.
        UsageError: there is no terminal to ask on.
    """
    from lookalike import stores
    from lookalike.errors import UsageError
    from lookalike.indexing import nesting
    from lookalike.stores import location

    root = location.absolute(folder)
    if stores.exists(location.inside(root, name)) or not Path(root).is_dir():
        return
    above = nesting.around(root, name)
    if above is None:
        return
    fact = (
        f"{root} lies in {above}, whose gallery {name!r} covers it; a gallery of its own would hide that one "
        "from commands that are started there"
    )
    if sys.stdin.isatty() and sys.stderr.isatty():
        confirm(f"{fact}. Make it?")
        return
    raise UsageError(
        f"{fact}. To bring the other one up to date run `lookalike index {above}`; to make another, call it "
        "by a --name of its own, or say --nested"
    )
