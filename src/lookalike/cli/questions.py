"""What is asked back before something is done that can't be undone."""

from __future__ import annotations

import sys

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
        raise click.ClickException("no answer was given: standard input is at its end; nothing was done")
    if answer.strip().lower() not in {"y", "yes"}:
        raise click.ClickException("not confirmed; nothing was done")
