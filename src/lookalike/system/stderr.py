"""Standard error held back while a foreign library works, whose native code passes Python by."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without(*parts: bytes) -> Iterator[None]:
    """Hold back standard error, and in the end let out the lines that have none of these in them.

    The whole process's is meant, whoever writes to it. `without(b"")` lets nothing out.
    """
    if sys.stderr is None:  # a program without a console
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not any(part in line for part in parts):
                    os.write(2, line)
