"""The cache of converted models: written once, by anybody, whole; and nothing leaves the machine."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lookalike import extractors
from lookalike.errors import ModelError
from lookalike.extractors import conversion

# A process that converts and runs the default model, and prints its vector's digest.
CONVERT = """
import hashlib, numpy
from lookalike import extractors
default = extractors.load("efficientnet-lite0", precision="f32")
picture = numpy.arange(224 * 224 * 3, dtype=numpy.uint32).reshape(224, 224, 3).astype(numpy.uint8)
print(hashlib.sha256(default.extract([picture]).vectors.round(4).tobytes()).hexdigest())
"""

# Any use of a socket ends the process, and says so: it may be a child of the one that was started.
WATCH = """
import os, sys
def hook(event, arguments):
    if event.startswith("socket."):
        os.write(2, b"SOCKET " + event.encode())
        os._exit(3)
sys.addaudithook(hook)
"""


def start(code, folder, **environment):
    """Start a process with a cache of its own and a home that is empty."""
    surroundings = {key: value for key, value in os.environ.items() if key != "CI"}
    surroundings |= {"LOOKALIKE_CACHE": str(folder), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=surroundings, **pipes)


def finish(process):
    """What a process printed, once it has ended well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "SOCKET" not in err
    return out.strip()


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A cache folder in which nothing is yet."""
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def vectors():
    """What the default model makes of a grey picture."""
    grey = np.full((224, 224, 3), 99, np.uint8)
    return extractors.load("efficientnet-lite0", precision="f32").extract([grey]).vectors


def test_two_processes_convert_at_once(fresh):
    """Started together on an empty cache, both get the same vectors and leave one whole model."""
    found = [finish(process) for process in [start(CONVERT, fresh), start(CONVERT, fresh)]]
    assert found[0] == found[1]
    (folder,) = (fresh / "models").iterdir()
    conversion.open_model(folder / "model.xml")
    assert finish(start(CONVERT, fresh)) == found[0]


def test_nothing_is_sent_and_nothing_written_elsewhere(fresh, tmp_path):
    """A process that converts, compiles and runs the model opens no socket and leaves no file at home."""
    home = tmp_path / "home"
    home.mkdir()
    finish(start(WATCH + CONVERT, fresh, HOME=str(home)))
    assert list(home.rglob("*")) == []


def test_the_watch_would_notice(fresh):
    """The same watch ends a process that asks for an address."""
    process = start(WATCH + "import socket; socket.getaddrinfo('localhost', 80)", fresh)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "SOCKET" in err


@pytest.mark.parametrize("ending", [".xml", ".bin", ".json", ".npz"])
def test_a_damaged_entry_is_built_again(fresh, ending):
    """A file of the cache cut short is not used: the model is converted again, and then whole."""
    expected = vectors()
    (folder,) = (fresh / "models").iterdir()
    path = (folder / "model").with_suffix(ending)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError):
        conversion.open_model(folder / "model.xml")
    np.testing.assert_array_equal(vectors(), expected)
    conversion.open_model(folder / "model.xml")


def test_the_second_time_nothing_is_converted(fresh, monkeypatch):
    """Once converted, the weights' package is not needed any more."""
    expected = vectors()
    monkeypatch.setattr("lookalike.extractors.efficientnet.PACKAGE", "not-installed")
    np.testing.assert_array_equal(vectors(), expected)


def test_a_cache_that_can_not_be_written_is_done_without(tmp_path, monkeypatch):
    """Where no folder can be made, the model runs all the same."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    monkeypatch.setenv("LOOKALIKE_CACHE", str(in_the_way / "cache"))
    assert vectors().shape == (1, 1280)
