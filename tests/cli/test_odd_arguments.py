"""Every option of the commands with values that nobody means: words, never a traceback, and soon."""

from __future__ import annotations

import io
import sys

import click
import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import commands, run

TEXTS = ("", " ", "\udcff", "\u202e\x1b[31m", "x" * 5000, "../..", "a=b", "=", "[", "elasticsearch://", "id:")
NUMBERS = ("-1", "0", "9" * 30, "nan", "1e308", "", "x")
FILES = ("folder", "file.txt", "missing/x.csv", "loop", "/dev/null", "empty.csv", "bytes.npy", "bytes.onnx")
USUAL = {
    "fetch": ["table.csv", "--into", "got"],
    "search": ["red.png"],
    "find": ["red"],
    "describe": ["red.png"],
    "neighbors": ["."],
    "evaluate": [".", "--labels", "folder"],
    "info": [],
    "remove": ["--list"],
    "export": ["out.npz"],
    "import": ["vectors.npz", "--name", "own"],
    "copy": ["--to", "copied"],
    "delete": ["--name", "nothing", "--yes"],
    "models": [],
    "check": [],
    "convert": [".", "--model", "toy", "--name", "made"],
    "reindex": ["--model", "toy"],
    "completion": ["bash"],
}
"""A command line for each; those that train, that need a cluster, or that take other folders are not here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a gallery, and files of odd kinds."""
    top = tmp_path_factory.mktemp("odd")
    for name in ("red", "blue", "green"):
        Image.new("RGB", (9, 9), name).save(top / f"{name}.png")
    with Gallery.open(top, model="toy") as gallery:
        gallery.add(metadata={"red.png": {"title": "Red", "price": 3}})
    (top / "folder").mkdir()
    (top / "file.txt").write_text("text")
    (top / "empty.csv").touch()
    (top / "table.csv").write_text("id,url\n1,ftp://nowhere.invalid/x.png\n")
    for name in ("bytes.npy", "bytes.onnx"):
        (top / name).write_bytes(bytes(range(256)))
    (top / "loop").symlink_to("loop")
    np.savez(top / "vectors.npz", ids=np.array(["a"]), vectors=np.eye(1, 3, dtype=np.float32))
    return top


def _odd(option):
    """Values for an option that are of the wrong kind, or far from any that is meant."""
    if isinstance(option.type, click.Choice):
        return ("", "x")
    if isinstance(option.type, click.Path):
        return FILES
    number = isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    return NUMBERS if number else TEXTS + FILES


def _lines(name):
    """Command lines of a command, each with one odd value."""
    usual = USUAL[name]
    for option in commands.get_command(None, name).params:
        if isinstance(option, click.Argument):
            places = [i for i, word in enumerate(usual) if not word.startswith("-")][:1]
            for value in _odd(option):
                if value and not value.startswith(("-", "../..")):
                    yield (
                        [name, *usual[: places[0]], value, *usual[places[0] + 1 :]]
                        if places
                        else [name, value]
                    )
        elif option.is_flag:
            yield [name, *usual, option.opts[0]]
        else:
            yield from ([name, *usual, option.opts[0], value] for value in _odd(option))


@pytest.mark.parametrize("name", USUAL)
def test_odd_values(folder, monkeypatch, capsys, name):
    """A command line is done, or refused in words with the exit code 1 or 2."""
    monkeypatch.chdir(folder)
    for line in _lines(name):
        if "--open" in line:
            continue  # a browser is not started
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        code = run(line)
        said = capsys.readouterr().err
        shown = [word[:40] for word in line]
        assert code in {0, 1, 2}, shown
        assert "unexpected error" not in said, (shown, said)
        assert "Traceback" not in said, (shown, said)
        assert code == 0 or said.strip() or not {"-q", "--json"}.isdisjoint(line), shown
