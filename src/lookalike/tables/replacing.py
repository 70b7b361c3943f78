"""A file is replaced whole, or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path beside a file, to write to; it takes the file's place when the block ends well.

    Raises:
        UsageError: the place can't be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: can't be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
