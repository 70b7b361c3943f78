"""What the program says of itself, and how little it loads for that."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lookalike.cli import commands

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("faiss", "httpx", "numpy", "openvino", "PIL", "rich", "sqlite3")
COMMANDS = (
    *("index", "fetch", "search", "find", "describe", "neighbors", "evaluate", "compare", "train"),
    *("reconstruct", "info", "remove", "reindex", "convert", "export", "import", "copy", "delete"),
    *("trust", "models", "check", "completion"),
)
TRAININGS = ("autoencoder", "classifier", "ranker")
EVERY = (*((name,) for name in COMMANDS), *(("train", name) for name in TRAININGS))


def test_the_commands_are_these():
    """The commands are listed in the order in which one needs them."""
    assert tuple(commands.list_commands(click.Context(commands))) == COMMANDS
    assert tuple(commands.get_command(None, "train").commands) == TRAININGS


def context_of(words):
    """The context of a command, and of those it is in."""
    context = click.Context(commands, info_name="lookalike", **commands.context_settings)
    for word in words:
        command = context.command.get_command(context, word)
        context = click.Context(command, info_name=word, parent=context, terminal_width=80)
    return context


@pytest.mark.parametrize("words", EVERY)
def test_every_command_and_option_has_help(words):
    """No command and no option is left unexplained."""
    command = context_of(words).command
    assert command.help
    assert command.short_help
    assert [
        option.name for option in command.params if isinstance(option, click.Option) and not option.help
    ] == []


@pytest.mark.parametrize("words", EVERY)
def test_help_fits_eighty_columns(words):
    """The help of a command has no line longer than a usual terminal."""
    context = context_of(words)
    assert [line for line in context.command.get_help(context).splitlines() if len(line) > 80] == []


def test_docs_are_current():
    """docs/cli.md is what the commands print."""
    spec = importlib.util.spec_from_file_location(
        "make_cli_docs", REPOSITORY / "scripts" / "make_cli_docs.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8") == script.page()


@pytest.mark.parametrize("words", [["--help"], ["index", "--help"], ["--version"], ["nonsense"]])
def test_light_words_load_nothing_heavy(words):
    """Help, version and usage errors load no numeric library, no network and no database."""
    code = f"import sys; from lookalike.cli import run; run({words}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded.isdisjoint(HEAVY)
    assert "click" in loaded


def test_no_words_show_the_help(lookalike):
    """The bare program shows its help where errors go, and exits as for a usage error."""
    done = lookalike()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Commands:" in done.stderr
