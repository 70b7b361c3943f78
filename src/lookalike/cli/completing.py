"""What the shell completes: models, galleries, fields; and the command that prints the shell's part of it.

A completion runs while somebody waits for it, and has nobody to tell of an error: it looks at nothing but
what is at hand, and offers nothing where that fails.
"""

from __future__ import annotations

from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING

import click

from lookalike.cli.help import command
from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from click.shell_completion import CompletionItem

    Complete = Callable[[click.Context, click.Parameter, str], Iterable[str | CompletionItem]]
    Completed = Callable[[click.Context, click.Parameter, str], list[str | CompletionItem]]

VARIABLE = "_LOOKALIKE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


def _quiet(complete: Complete) -> Completed:
    """A completion that offers what begins as the word does, and nothing where something is wrong.

    A name that would act on the terminal is not offered: written out it would be another name.
    """

    @wraps(complete)
    def safe(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[str | CompletionItem]:
        with suppress(Exception):
            return [
                one
                for one in complete(context, parameter, incomplete)
                if not isinstance(one, str) or (one.startswith(incomplete) and visible(one) == one)
            ]
        return []

    return safe


@_quiet
def models(
    context: click.Context,  # noqa: ARG001  # click's
    parameter: click.Parameter,  # noqa: ARG001  # click's
    incomplete: str,
) -> Iterable[str | CompletionItem]:
    """The models known by name, and files and folders where one is begun."""
    from click.shell_completion import CompletionItem

    from lookalike import extractors
    from lookalike.extractors.keras.recipes import APPLICATIONS

    if "/" in incomplete or incomplete.startswith((".", "~")):
        return [CompletionItem(incomplete, type="file")]
    own = [extractors.DEFAULT, f"{extractors.DEFAULT}@features", f"{extractors.DEFAULT}@classes"]
    return [*own, *(f"keras:{name}" for name in APPLICATIONS), *extractors.offered()]


@_quiet
def names(context: click.Context, parameter: click.Parameter, incomplete: str) -> Iterable[str]:  # noqa: ARG001  # click's
    """The names of the galleries of the folder told, or of the nearest one from here upward."""
    from pathlib import Path

    from lookalike.stores import location

    told = context.params.get("gallery")
    start = Path(location.absolute(told or "."))
    return next((found for folder in (start, *start.parents) if (found := location.names(str(folder)))), [])


@_quiet
def fields(context: click.Context, parameter: click.Parameter, incomplete: str) -> Iterable[str]:  # noqa: ARG001  # click's
    """The fields of the gallery that is meant; of several with commas between, the last."""
    before, comma, _ = incomplete.rpartition(",")
    return [before + comma + name for name in _fields(context)]


@_quiet
def conditions(context: click.Context, parameter: click.Parameter, incomplete: str) -> Iterable[str]:  # noqa: ARG001  # click's
    """The fields of the gallery that is meant, each as the beginning of a condition."""
    return [f"{name}=" for name in _fields(context)]


def _fields(context: click.Context) -> list[str]:
    from lookalike import stores
    from lookalike.stores import location

    address = location.address(
        None, context.params.get("name") or location.DEFAULT_NAME, context.params.get("gallery")
    )
    if "://" in address:
        return []  # a server is not asked while somebody types
    store = stores.open_store(address)
    try:
        return list(store.fields())
    finally:
        store.close()


@command(
    short_help="Print what makes the shell complete.",
    epilog="""
    \b
    Examples:
      eval "$(lookalike completion bash)"                  in ~/.bashrc
      eval "$(lookalike completion zsh)"                   in ~/.zshrc
      lookalike completion fish > ~/.config/fish/completions/lookalike.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, models, galleries and fields."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(shell)
    # Not by `source`, which asks bash for its version, and complains of a shell that is not there.
    made = kind(click.get_current_context().find_root().command, {}, "lookalike", VARIABLE)
    click.echo(made.source_template % made.source_vars())
