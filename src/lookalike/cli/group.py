"""The commands as a group: in their order, and each loaded when it is run."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from lookalike.cli.help import Command

if TYPE_CHECKING:
    from collections.abc import Mapping


class InOrder(click.Group):
    """A group that lists its commands in the order in which one needs them, and loads the one that is run.

    later: for each command that is not loaded yet, its module below `lookalike.cli` and its name there.
    """

    command_class = Command
    later: Mapping[str, str] = MappingProxyType({})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the commands in their order."""
        return [*self.later, *(name for name in self.commands if name not in self.later)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; None where there is none."""
        if cmd_name in self.later and cmd_name not in self.commands:
            module, _, name = self.later[cmd_name].partition(".")
            self.add_command(getattr(import_module(f"lookalike.cli.{module}"), name), cmd_name)
        return super().get_command(ctx, cmd_name)
