"""The registry of plug-ins."""

import subprocess
import sys

import pytest

from lookalike import plugins
from lookalike.errors import NotFound


def test_built_ins_come_in_by_entry_points():
    """The default model is registered like anybody's plug-in, and loads to its loader."""
    assert "efficientnet-lite0" in plugins.names("lookalike.extractors")
    loader = plugins.load("lookalike.extractors", "efficientnet-lite0")
    assert loader.__module__ == "lookalike.extractors.efficientnet"


def test_an_unknown_name_lists_those_that_are_known():
    """Asking for a plug-in that is not there says which are."""
    with pytest.raises(NotFound, match="efficientnet-lite0"):
        plugins.load("lookalike.extractors", "no-such-model")


def test_a_loader_is_imported_once():
    """The second request gives the very object of the first."""
    first = plugins.load("lookalike.extractors", "efficientnet-lite0")
    assert plugins.load("lookalike.extractors", "efficientnet-lite0") is first


def test_listing_and_naming_models_imports_nothing_heavy():
    """Parsing a name and listing the names need neither numpy nor OpenVINO."""
    code = (
        "import sys; from lookalike import extractors, plugins as registry;"
        "extractors.Name.parse('keras:VGG16@fc1'); registry.names('lookalike.extractors');"
        "registry.load('lookalike.extractors', 'efficientnet-lite0');"
        "assert not {'numpy', 'openvino', 'PIL'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
