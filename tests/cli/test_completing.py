"""What the shell completes, and that it never fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lookalike import Gallery, extractors
from lookalike.cli import commands, run
from lookalike.cli.help import StoreOption

PROGRAM = Path(sys.executable).with_name("lookalike")


@pytest.fixture
def shop(tmp_path):
    """A folder with two galleries, one with fields."""
    for name in ("default", "second"):
        with Gallery.open(tmp_path, name=name) as gallery:
            gallery.add_vectors((["a"], [[1.0, 2.0]]))
            gallery.update({"a": {"price": 3, "print": "x"}} if name == "default" else {})
    (tmp_path / "sub").mkdir()
    return tmp_path


def _completed(words, cwd):
    """What is offered for the last of these words."""
    around = {
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_LOOKALIKE_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [PROGRAM], cwd=cwd, env={**os.environ, **around}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["lookalike", "search", "x", "--show", "pri"], ["price", "print"]),
        (["lookalike", "search", "x", "--show", "price,pri"], ["price,price", "price,print"]),
        (["lookalike", "search", "x", "--where", "pric"], ["price="]),
        (["lookalike", "info", "--name", "s"], ["second"]),
        (["lookalike", "index", "--model", "keras:VGG"], ["keras:VGG16", "keras:VGG19"]),
        (["lookalike", "index", "--model", "t"], []),
        (["lookalike", "search", "x", "--gallery", "/nowhere", "--show", "p"], []),
    ],
)
def test_what_is_offered(shop, words, offered):
    """Models by name, galleries of the folder, fields of the gallery; nothing where there is none."""
    assert _completed(words, shop / "sub") == offered


def test_a_name_that_acts_is_not_offered(shop):
    """Neither a field nor a gallery whose name drives a terminal, or ends the line, reaches the shell."""
    with Gallery.open(shop) as gallery:
        gallery.update({"a": {"pr\x1b]0;owned\x07": 1, "pr\u202eix": 2, "pr\nowned": 3}})
    assert _completed(["lookalike", "search", "x", "--show", "pr"], shop) == ["price", "print"]
    with Gallery.open(shop, name="s\x1b[31m") as gallery:
        gallery.add_vectors((["a"], [[1.0, 2.0]]))
    assert _completed(["lookalike", "info", "--name", "s"], shop) == ["second"]


def test_a_damaged_gallery_offers_nothing(shop):
    """Completion says nothing of what is wrong."""
    (shop / ".lookalike" / "default" / "gallery.sqlite").write_bytes(b"no gallery at all")
    assert _completed(["lookalike", "search", "x", "--show", "p"], shop) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(capsys, shell):
    """The script of each shell is printed, also where that shell is not there."""
    assert run(["completion", shell]) == 0
    assert "_LOOKALIKE_COMPLETE=" + shell in capsys.readouterr().out


def test_the_model_for_tests_is_not_offered():
    """It can be loaded, but no list and no suggestion names it."""
    assert extractors.load("toy").name == "toy"
    assert "toy" not in extractors.models()
    with pytest.raises(Exception, match="there is no model 'toi'") as caught:
        extractors.load("toi")
    assert "toy" not in str(caught.value)


def test_options_for_stores_stand_last():
    """The help of every command has the options for clusters in a section of their own, after the others."""
    context = click.Context(commands, info_name="lookalike", **commands.context_settings)
    for name, command in ((n, commands.get_command(None, n)) for n in commands.list_commands(None)):
        if any(isinstance(option, StoreOption) for option in command.params):
            text = command.get_help(click.Context(command, info_name=name, parent=context))
            _, stores = text.split("Options for stores in a cluster:")
            assert "--ca-cert" in stores
            assert "--help" not in stores
