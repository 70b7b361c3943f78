"""Fixtures for pictures: what is known of some, and colour profiles."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def known():
    """The module beside this one."""
    spec = importlib.util.spec_from_file_location("known", Path(__file__).with_name("known.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def profiles(known):
    """ICC profiles by name: those that libvips brings along, and greys of gamma 1 and 2.2."""
    import pyvips

    found = {name: pyvips.Operation.call("profile_load", name) for name in ("srgb", "p3", "cmyk")}
    return {**found, "linear grey": known.grey_profile(1.0), "grey": known.grey_profile(2.2)}
