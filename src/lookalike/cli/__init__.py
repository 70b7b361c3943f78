"""The command line: every command parses, makes one call of the library, and prints.

Answers go to standard output, everything else to standard error. Exit codes: 0 done, 1 an error in
one line, 2 a usage error, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lookalike import __version__
from lookalike.cli import streams
from lookalike.cli.group import InOrder
from lookalike.cli.output import one_line
from lookalike.errors import LookalikeError, UsageError, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["commands", "main", "run"]

DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130

_LASTING = {"index", "fetch", "import", "remove", "reindex", "convert", "copy"}
"""The commands whose work goes on where it was stopped; the others leave nothing half-made."""


@click.group(
    cls=InOrder,
    name="lookalike",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""
    \b
    Begin with:
      lookalike index ~/Pictures
      cd ~/Pictures
      lookalike search beach.jpg
      lookalike find "sailing boat"

    A command that needs a gallery takes --gallery, or else LOOKALIKE_GALLERY, or else looks for a
    folder .lookalike here and upward. LOOKALIKE_DEBUG=1 shows where an error came from.
    """,
)
@click.version_option(__version__, prog_name="lookalike", message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Find the pictures that look like this one, or that show what a word names."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(USAGE)


commands.later = {
    "index": "fill.index",
    "fetch": "fetching.fetch",
    "search": "ask.search",
    "find": "ask.find",
    "describe": "ask.describe",
    "neighbors": "neighbors.neighbors",
    "evaluate": "measure.evaluate",
    "compare": "measure.compare",
    "train": "training.train",
    "reconstruct": "training.reconstruct",
    "info": "look.info",
    "remove": "removing.remove",
    "reindex": "fill.reindex",
    "convert": "fill.convert",
    "export": "look.export",
    "import": "fill.import_",
    "copy": "look.copy",
    "delete": "look.delete",
    "trust": "trusting.trust",
    "models": "look.models",
    "check": "look.check",
    "completion": "completing.completion",
}


def main() -> None:
    """Run the command line of this process, and end it with the exit code.

    By then everything is written and closed, and to take the interpreter apart, with the libraries
    in it, would last longer than many a search.
    """
    streams.prepare()
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, click.ClickException):
            streams.call(stream, "flush")
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit code; errors become one line on standard error."""
    try:
        code = commands.main(list(arguments), prog_name="lookalike", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads the answer any more (`| head`): no reason to complain.
        streams.silence()
        return FAILED
    except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, one line and an exit code
        return _fail(error, kept=next(iter(arguments), "") in _LASTING)
    return code if isinstance(code, int) else DONE


def _fail(error: Exception, *, kept: bool) -> int:
    """Say in one line what went wrong, and return the exit code for it."""
    if os.environ.get("LOOKALIKE_DEBUG"):
        lines = "".join(traceback.format_exception(error)).split("\n")
        click.echo("\n".join(map(visible, lines)), err=True)
    message, code = _explain(error, kept=kept)
    click.echo(f"lookalike: {one_line(message)}", err=True)
    return code


def _explain(error: Exception, *, kept: bool) -> tuple[str, int]:
    """The message and the exit code that belong to an error; whether what was written is kept."""
    match error:
        case click.Abort() if kept:
            message, code = "stopped; what was written is kept, run the same again to go on", STOPPED
        case click.Abort():
            message, code = "stopped", STOPPED
        case click.UsageError(ctx=click.Context() as context):
            message, code = f"{error.format_message()} ({context.command_path} --help says more)", USAGE
        case click.ClickException():
            message, code = error.format_message(), error.exit_code
        case LookalikeError():
            message, code = str(error), USAGE if isinstance(error, UsageError) else FAILED
        case OSError(filename=str() | bytes()):
            message, code = f"{os.fsdecode(error.filename)}: {error.strerror}", FAILED
        case FileNotFoundError() if not _is_somewhere():
            message, code = "the current folder was deleted: change to another one with cd", FAILED
        case _:
            kind = f"{type(error).__name__}: {error}".rstrip(": ")
            message, code = f"unexpected error, {kind}; LOOKALIKE_DEBUG=1 shows where", FAILED
    return message, code


def _is_somewhere() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()  # noqa: PTH109  # Path.cwd() does no more
    except OSError:
        return False
    return True
