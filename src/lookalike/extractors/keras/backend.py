"""Keras, imported without its noise, and only where a network is built or has to run in it."""

from __future__ import annotations

import os
from typing import Any

from lookalike.errors import MissingExtra

MISSING = (
    "networks of Keras are built by Keras and TensorFlow, which are not installed; "
    "run: pip install 'lookalike[keras]'"
)


def keras() -> Any:
    """The library, with whatever backend it is set to.

    Raises:
        MissingExtra: it, or its backend, is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, when TensorFlow is imported
    try:
        # TensorFlow brings an SQLite without full-text search, which is the one of the whole process if
        # it is loaded first: a gallery could not be opened beside a model.
        import sqlite3  # noqa: F401

        import keras as library
    except ImportError as error:
        raise MissingExtra(MISSING) from error
    return library


def exports() -> bool:
    """Whether the Keras of this process has the backend that models are exported from."""
    return bool(keras().backend.backend() == "tensorflow")


def first_line(error: Exception) -> str:
    """What an error of Keras says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
