"""The standard streams of the process: closed ones, full ones, and ones that nobody reads."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLOSED = (("stdin", os.O_RDWR, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_RDWR, "w"))
"""How a closed stream is opened on the null device: standard output so that writing to it fails."""


class Output(io.TextIOWrapper):
    """Standard output, which says so where it can't be written."""

    def write(self, text: str) -> int:
        """Write a text. Raises `ClickException` where that fails, but for a pipe that nobody reads."""
        with _failures():
            return super().write(text)

    def flush(self) -> None:
        """Write what is buffered; raises as `write` does."""
        with _failures():
            super().flush()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        message = f"standard output can't be written ({reason}): the answer is not whole"
        raise click.ClickException(message) from error


def prepare() -> None:
    """Make all three standard streams of the process usable.

    A descriptor that is closed would go to the next file that is opened, a gallery perhaps, and what is
    meant for the stream would be written into that.
    """
    for number, (name, flags, mode) in enumerate(_CLOSED):
        if getattr(sys, name) is None and not _is_open(number):
            # The lowest free descriptor is the one that is wanted, for those below it are open by now.
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, closefd=False))
    if type(sys.stdout) is io.TextIOWrapper:
        out = sys.stdout
        options = {name: getattr(out, name) for name in ("encoding", "line_buffering", "write_through")}
        sys.stdout = Output(out.detach(), **options)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown escaped rather than ending the program.
        call(stream, "reconfigure", errors="backslashreplace")


def silence() -> None:
    """Point standard output nowhere, so that Python does not complain about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def call(stream: Any, method: str, **options: Any) -> None:
    """Call a method of a standard stream, which others may have replaced by an object without it."""
    if hasattr(stream, method):
        getattr(stream, method)(**options)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
