"""The command line on clusters of its own, and on those of others: by every address, broken off, let down."""

import re
import signal
import socket
import time
from contextlib import suppress

import pytest
from odd_models import marks as left
from PIL import Image

from lookalike import Gallery
from lookalike.errors import LookalikeError


def count(place):
    """How many pictures a gallery has by now."""
    with suppress(LookalikeError), Gallery.open(gallery=place) as gallery:
        return len(gallery)
    return 0


def wait_until_written(place, running, seconds=150):
    """Wait until a gallery has pictures; what the program said, where it ends or takes too long instead."""
    until = time.monotonic() + seconds
    while not count(place):
        if running.process.poll() is not None or time.monotonic() > until:
            code = running.process.poll()
            running.process.kill()
            pytest.fail(f"nothing was written; status {code}, output {running.ends()}")
        time.sleep(0.1)


def test_a_cluster_of_its_own(program, pictures, odd_models, marks):
    """`local` starts one, whose workers load the model once each, die in silence, and leave nothing."""
    folder = pictures(799)
    Image.new("RGB", (60, 40), "white").save(folder / "00050-white.png")
    words = ("index", folder, "--model", f"odd?dies=1&slow=0.01&place={marks}", "--ray", "local")
    running = program(*words, LOOKALIKE_CORES="2", **odd_models)
    code, out, err = running.ends()
    assert (code, out[: out.find(" in ")]) == (0, "800 added; 800 pictures"), err
    assert re.fullmatch(r"note: the workers took [0-9.]+ s to begin\n", err)
    loaded = left(marks, "loaded")
    assert len(set(loaded) - {running.process.pid}) == 2 + 1  # one died
    assert len(loaded) == len(set(loaded))
    assert running.family.seen
    assert running.family.places
    assert running.family.end() == ([], [])


@pytest.mark.parametrize("address", ["auto", "ray"])
def test_a_cluster_of_others(program, head, pictures, tmp_path, address):
    """Found by the environment, or named: it describes what this machine would, and goes on running."""
    folder = pictures(120)
    (folder / "broken.png").write_bytes((folder / "00000.png").read_bytes()[:99])
    before = set(head.family.living())
    named = f"ray://127.0.0.1:{head.client}" if address == "ray" else "auto"
    place = tmp_path / "gallery"
    words = ("index", folder, "--gallery", place, "--model", "toy", "--ray", named)
    code, out, err = program(*words, **head.surroundings).ends()
    assert (code, out[: out.find(" in ")]) == (0, "120 added, 1 skipped; 120 pictures"), err
    with (
        Gallery.open(gallery=place) as far,
        Gallery.open(folder, gallery=tmp_path / "here", model="toy") as here,
    ):
        here.add()
        assert list(far.records()) == list(here.records())
        assert (far.vectors() == here.vectors()).all()
        assert far.skipped() == here.skipped()
    assert before & set(head.family.living())


def test_ctrl_c(program, pictures, odd_models, tmp_path):
    """It ends within seconds with the usual line, keeps what was written, and leaves no process."""
    folder, place = pictures(2000), tmp_path / "gallery"
    words = ("index", folder, "--gallery", place, "--model", "odd?slow=0.02", "--ray", "local")
    running = program(*words, LOOKALIKE_CORES="2", **odd_models)
    wait_until_written(place, running)
    asked = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    code, out, err = running.ends()
    assert time.monotonic() - asked < 15
    assert (code, out) == (130, "")
    assert err == "\nlookalike: stopped; what was written is kept, run the same again to go on\n"
    assert 0 < count(place) < 2000
    assert running.family.end() == ([], [])


@pytest.mark.parametrize("address", ["auto", "ray"])
def test_a_head_that_dies(program, starting, pictures, odd_models, tmp_path, address):
    """Within a minute a line says that the cluster stopped, and what was written is kept."""
    folder, place = pictures(2000), tmp_path / "gallery"
    with starting() as head:
        named = f"ray://127.0.0.1:{head.client}" if address == "ray" else "auto"
        words = ("index", folder, "--gallery", place, "--model", "odd?slow=0.02", "--ray", named)
        patience = {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "3"}
        running = program(*words, **head.surroundings, **odd_models, **patience)
        wait_until_written(place, running)
        head.kill()
        asked = time.monotonic()
        code, out, err = running.ends()
        assert time.monotonic() - asked < 60
        assert (code, out) == (1, "")
        assert re.fullmatch(rf"lookalike: the Ray cluster {named} stopped the work: .*go on\n", err)
        assert 0 < count(place) < 2000


STILLBORN = """
import os, sys

if "--mode=specific-server" in sys.orig_argv and not os.path.exists({mark!r}):
    open({mark!r}, "x").close()
    os._exit(1)
"""
"""What a Python that imports it at its start does: the first server that a head starts for a client dies."""


def test_a_server_for_the_client_that_dies(program, starting, pictures, tmp_path):
    """The head of a cluster starts one for each client, not always with success; another try has it."""
    mark, plug = tmp_path / "died", tmp_path / "plug"
    plug.mkdir()
    (plug / "sitecustomize.py").write_text(STILLBORN.format(mark=str(mark)))
    impatient = {"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "15"}
    with starting(PYTHONPATH=str(plug), **impatient) as head:
        words = ("index", pictures(3), "--model", "toy", "--ray", f"ray://127.0.0.1:{head.client}")
        running = program(*words, **head.surroundings, RAY_CLIENT_RECONNECT_GRACE_PERIOD="1")
        code, out, err = running.ends()
        assert (code, out[: out.find(" in ")]) == (0, "3 added; 3 pictures"), err
        assert mark.exists()


def test_nobody_at_the_address(program, pictures):
    """A port where nothing listens, given or by the environment, and what is no address: a line at once."""
    folder = pictures(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for named, shown in ((f"ray://{place}", f"ray://{place}"), ("auto", place)):
            words = ("index", folder, "--model", "toy", "--ray", named)
            code, _, err = program(*words, RAY_ADDRESS=place).ends()
            assert (code, len(err.splitlines())) == (1, 1)
            assert f"no Ray cluster answers at {shown} (" in err
            assert "Connection refused" in err
    code, _, err = program("index", folder, "--model", "toy", "--ray", "somewhere").ends()
    assert code == 2
    assert "expected auto, local" in err
