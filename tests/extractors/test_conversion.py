"""The cache of converted models: written once, by anybody, whole; and nothing leaves the machine."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lookalike import extractors
from lookalike.errors import ModelError
from lookalike.extractors import conversion, efficientnet

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


def test_what_is_unchanged_is_not_hashed_again(fresh):
    """A file of the size and time it was checked with is taken as it is; at another time it is hashed."""
    vectors()
    (path,) = (fresh / "models").glob("*/model.bin")
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    conversion.open_model(path.with_suffix(".xml"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ModelError, match="is damaged"):
        conversion.open_model(path.with_suffix(".xml"))


@pytest.mark.parametrize("stamps", [None, "no JSON", "[]", '{".bin": 3}'])
def test_without_stamps_everything_is_hashed_once(fresh, stamps):
    """A cache that was copied here, or whose stamps are damaged, is checked and stamped again."""
    vectors()
    (path,) = (fresh / "models").glob("*/model.stamps")
    good = path.read_text()
    path.unlink() if stamps is None else path.write_text(stamps)
    conversion.open_model(path.with_suffix(".xml"))
    assert path.read_text() == good


def test_what_a_killed_process_left_goes(fresh):
    """A scratch folder of two days ago is taken away by whoever writes next; a new one is not."""
    models = fresh / "models"
    old, new = models / ".writing-old", models / ".writing-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(b"half of it")
    os.utime(old, (1, 1))
    vectors()
    assert not old.exists()
    assert new.exists()


def test_a_network_written_elsewhere_is_moved_in(fresh, tmp_path):
    """It is written once, and opened from the cache; where that can't be, from where it was written."""
    model, card = efficientnet._build(efficientnet.recommended())
    calls = []

    def write(folder):
        calls.append(folder)
        conversion.save(model, card, folder / "made")
        return folder / "made"

    files = [conversion.kept("some-key", write)[1].files for _ in range(2)]
    assert files[0] == files[1] != {}
    assert len(calls) == 1
    assert [path.name for path in (fresh / "models").iterdir()] == ["some-key"]
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_CACHE", str(in_the_way))
        found, _ = conversion.kept("some-key", write)
    assert found.get_friendly_name() == model.get_friendly_name()


def test_threads_may_ask_for_openvino_together():
    """Eight threads that need it first at the same moment get one and the same core."""
    code = """
import threading
from concurrent.futures import ThreadPoolExecutor
from lookalike.extractors import runtime
together = threading.Barrier(8)
def core(_):
    together.wait()
    return id(runtime.core())
with ThreadPoolExecutor(8) as pool:
    print(len(set(pool.map(core, range(8)))))
"""
    assert finish(start(code, "")) == "1"
