"""Find the pictures that look like this one, or that show what a word names.

>>> from lookalike import Gallery
>>> with Gallery.open("~/Pictures") as gallery:  # doctest: +SKIP
...     gallery.add()
...     for hit in gallery.search("beach.jpg", k=5):
...         print(hit.score, hit.id)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lookalike.errors import (
    DownloadError,
    FilterError,
    ImageError,
    LookalikeError,
    MissingExtra,
    ModelError,
    ModelMismatch,
    NotFound,
    NotTrusted,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    UnknownLayer,
    UnknownModel,
    Unreadable,
    UsageError,
    WeightsMissing,
)
from lookalike.system.imports import attributes

if TYPE_CHECKING:
    from lookalike.extractors import load as extractor
    from lookalike.gallery import Gallery
    from lookalike.reports import Progress, Report, Skip
    from lookalike.search.hits import Answers, Hit, Hits
    from lookalike.search.query import Id, Picture, Query, Vector, Words
    from lookalike.types import Extractor, Record, Store, Tag

__version__ = "0.1.0"

__all__ = [
    "Answers",
    "DownloadError",
    "Extractor",
    "FilterError",
    "Gallery",
    "Hit",
    "Hits",
    "Id",
    "ImageError",
    "LookalikeError",
    "MissingExtra",
    "ModelError",
    "ModelMismatch",
    "NotFound",
    "NotTrusted",
    "Picture",
    "Progress",
    "Query",
    "Record",
    "Report",
    "Skip",
    "Store",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "Tag",
    "UnknownLayer",
    "UnknownModel",
    "Unreadable",
    "UsageError",
    "Vector",
    "WeightsMissing",
    "Words",
    "extractor",
]

# Loaded when first asked for, so that importing the package (and `lookalike --help`) stays quick.
_LAZY = {
    "Answers": "search.hits",
    "Extractor": "types",
    "Gallery": "gallery",
    "Hit": "search.hits",
    "Hits": "search.hits",
    "Id": "search.query",
    "Picture": "search.query",
    "Progress": "reports",
    "Query": "search.query",
    "Record": "types",
    "Report": "reports",
    "Skip": "reports",
    "Store": "types",
    "Tag": "types",
    "Vector": "search.query",
    "Words": "search.query",
}


_load = attributes(__name__, _LAZY)


def __getattr__(name: str) -> object:
    if name == "extractor":
        return import_module("lookalike.extractors").load
    return _load(name)
