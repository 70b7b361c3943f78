"""The public names, in one list: what stands here is promised, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lookalike

PUBLIC = [
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
METHODS = [
    "access",
    "add",
    "add_vectors",
    "check",
    "close",
    "convert",
    "copy",
    "delete",
    "describe",
    "distrust",
    "export",
    "extractor",
    "find",
    "info",
    "locate",
    "model",
    "open",
    "reach",
    "records",
    "reindex",
    "remove",
    "removed",
    "restore",
    "search",
    "skipped",
    "store",
    "thumbnail",
    "trust",
    "update",
    "vectors",
]


def test_the_package_exports_these():
    """`lookalike.__all__` is the list, in order."""
    assert lookalike.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_and_explained(name):
    """Every public name can be had from the package, and has a docstring."""
    assert getattr(lookalike, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    """The lazy door answers as a module does."""
    with pytest.raises(AttributeError, match="no attribute 'Galery'"):
        _ = lookalike.Galery


def test_a_gallery_has_these_methods():
    """The public methods and properties of `Gallery`, each with a docstring, are in the list."""
    names = [name for name in dir(lookalike.Gallery) if not name.startswith("_")]
    assert names == METHODS
    assert [name for name in names if not getattr(lookalike.Gallery, name).__doc__] == []


@pytest.mark.parametrize("heavy", ["faiss", "httpx", "numpy", "openvino", "PIL", "sqlite3"])
def test_importing_the_package_is_light(heavy):
    """`import lookalike` loads no heavy library."""
    code = f"import sys, lookalike; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
