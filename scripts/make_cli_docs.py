"""Write docs/cli.md from the help of the commands, or check that it is current.

python scripts/make_cli_docs.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

HEAD = """\
# The command line

This page is made by `make docs` from what `lookalike COMMAND --help` prints.

Answers go to standard output, everything else to standard error. With `--json` the answer is one
JSON object. Exit codes:

| code | meaning |
|---|---|
| 0 | done, also when some files were skipped |
| 1 | an error, said in one line on standard error; for `check`, faults not repaired |
| 2 | a command line that can't be meant |
| 130 | stopped by Ctrl-C; what was written is kept |

The shell completes commands, options, models, galleries and fields after
`eval "$(lookalike completion bash)"` (or `zsh`, `fish`).
"""


def page() -> str:
    """The whole page."""
    top = click.Context(commands, info_name="lookalike", **commands.context_settings)
    return "\n".join([HEAD, *_sections(top)])


def _sections(context: click.Context) -> Iterator[str]:
    """A command's help, and that of the commands in it."""
    yield _section(context)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is None:
                raise AssertionError(name)
            yield from _sections(click.Context(command, info_name=name, parent=context))


def _section(context: click.Context) -> str:
    # The page must not depend on the terminal it was made in.
    context.terminal_width = 80
    return f"## {context.command_path}\n\n```text\n{context.get_help().rstrip()}\n```\n"


def main() -> None:
    """Write the page; with --check say whether it is current, by the exit code."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not what the commands say: run `make docs`")


if __name__ == "__main__":
    main()
