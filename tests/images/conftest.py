"""Fixtures for pictures: what is known of some, and colour profiles."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _beside(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def known():
    """The module of pictures whose pixels are known."""
    return _beside("known")


@pytest.fixture(scope="session")
def tiff_files():
    """The module that writes TIFF files."""
    return _beside("tiff_files")


@pytest.fixture(scope="session")
def profiles(known):
    """ICC profiles by name: those that libvips brings along, and greys of gamma 1 and 2.2."""
    import pyvips

    found = {name: pyvips.Operation.call("profile_load", name) for name in ("srgb", "p3", "cmyk")}
    return {**found, "linear grey": known.grey_profile(1.0), "grey": known.grey_profile(2.2)}
