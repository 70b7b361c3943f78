"""How a command's help is laid out: the options for stores in a cluster stand by themselves, at its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


class StoreOption(click.Option):
    """An option for galleries in a cluster alone."""


class Command(click.Command):
    """A command whose help lists such options last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, in two sections where there are some for stores."""
        parameters = self.get_params(ctx)
        stores = [one for one in parameters if isinstance(one, StoreOption)]
        for title, options in (
            ("Options", [one for one in parameters if one not in stores]),
            ("Options for stores in a cluster", stores),
        ):
            _write(ctx, formatter, title, options)


def _write(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, options: Sequence[click.Parameter]
) -> None:
    records = [record for one in options if (record := one.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


command = partial(click.command, cls=Command)
"""`click.command`, of a command whose help is laid out so."""
