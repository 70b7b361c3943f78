"""What a foreign library writes to standard error, passing Python by."""

import os
import sys
from contextlib import suppress

from lookalike.system.process import without


def test_what_is_unwanted_is_left_out(capfd):
    """Of what native code writes, too; the rest comes out in the end, in order."""
    with without(b"custom operations", b"log messages"):
        os.write(2, b"a: custom operations are on\nb\nlog messages before\n")
        os.write(2, b"c\n")
        assert capfd.readouterr().err == ""
    os.write(2, b"d\n")
    assert capfd.readouterr().err == "b\nc\nd\n"


def test_nothing_of_a_line_leaves_all_out(capfd):
    """Every line has it in it, an empty one too."""
    with without(b""):
        os.write(2, b"a\n\nb")
    assert capfd.readouterr().err == ""


def test_an_error_passes(capfd):
    """And standard error is what it was."""
    with suppress(KeyError), without():
        os.write(2, b"before\n")
        raise KeyError
    assert capfd.readouterr().err == "before\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_program_without_a_console(monkeypatch, capfd):
    """It has no standard error in Python; what native code writes there passes."""
    monkeypatch.setattr(sys, "stderr", None)
    with without(b""):
        os.write(2, b"passes\n")
    assert capfd.readouterr().err == "passes\n"
