"""Keras, imported without its noise, and only where a network is built or has to run in it."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import Any

from lookalike.system import imports
from lookalike.system.process import without

WHAT = "a network of Keras"
"""What the extra `keras` is needed for."""

_CHATTER = (b"oneDNN custom operations are on", b"All log messages before absl::InitializeLog()")
"""What TensorFlow says when it is loaded, whatever level of messages it is asked for."""


def keras() -> Any:
    """The library, with whatever backend it is set to.

    Raises:
        MissingExtra: it, or its backend, is not installed.
    """
    # Both are read once, when TensorFlow is imported. It leaves oneDNN off on processors where that makes a
    # training half as fast again (benches/classifier.py on a Zen 3).
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        # TensorFlow brings an SQLite without full-text search, which is the one of the whole process if
        # it is loaded first: a gallery could not be opened beside a model.
        import sqlite3  # noqa: F401

        with nullcontext() if "keras" in sys.modules else without(*_CHATTER):
            import keras as library

            if library.backend.backend() == "tensorflow":
                import tensorflow as tf  # noqa: F401
    except ImportError as error:
        raise imports.missing(WHAT, "keras") from error
    return library


def exports() -> bool:
    """Whether the Keras of this process has the backend that models are exported from."""
    return bool(keras().backend.backend() == "tensorflow")


def first_line(error: Exception) -> str:
    """What an error of Keras says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
