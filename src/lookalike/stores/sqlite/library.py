"""Python's SQLite, loaded so that no other library's takes its place."""

from __future__ import annotations

import os
import sys
from contextlib import closing

from lookalike.errors import StoreUnavailable


def load() -> None:
    """Import `sqlite3`, bound to the SQLite it was built for.

    TensorFlow exports a SQLite of its own, without full-text search, which a module that is loaded
    after it would be bound to.

    Raises:
        StoreUnavailable: it is loaded already, and can't search text.
    """
    flags = sys.getdlopenflags() if hasattr(os, "RTLD_DEEPBIND") else None
    if flags is not None and "tensorflow" in sys.modules:
        sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        import sqlite3
    finally:
        if flags is not None:
            sys.setdlopenflags(flags)
    if "tensorflow" not in sys.modules:
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        options = {row[0] for row in connection.execute("PRAGMA compile_options")}
    if "ENABLE_FTS5" not in options:
        raise StoreUnavailable(
            "the SQLite of this process can't search text: TensorFlow was imported before sqlite3 and "
            "brought its own; put `import sqlite3` above the import of keras or tensorflow"
        )
