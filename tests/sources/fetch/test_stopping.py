"""Runs that are stopped, politely or not, and started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from lookalike.errors import UsageError
from lookalike.sources.fetch import fetch
from lookalike.sources.tables import read_metadata

FETCH = """
import sys
from lookalike.sources.fetch import fetch
fetch(*sys.argv[1:], per_host=8, allow_private=True, keep=["brand"])
"""
COUNT = 200


@pytest.fixture
def run(server, table, tmp_path):
    """A run in a process of its own, stopped in the middle: its folder, its table, its exit code."""

    def started(how, more=()):
        server.latency = 0.01
        rows = [[f"p{n}", f"{server.address}/image/{n}", "B"] for n in range(COUNT)]
        file, into = table(["id", "url", "brand"], [*more, *rows]), tmp_path / "p"
        process = subprocess.Popen([sys.executable, "-c", FETCH, file, into], stderr=subprocess.DEVNULL)
        while process.poll() is None and (not into.is_dir() or len(list(into.glob("*.jpg"))) < COUNT // 4):
            time.sleep(0.01)
        process.send_signal(how)
        began = time.monotonic()
        code = process.wait(10)
        return into, file, code, time.monotonic() - began

    return started


def finish(server, file, into, pictures, complete):
    """Run again, and check that nothing complete was asked for again, and that nothing is missing."""
    asked = server.asked.copy()
    report = fetch(file, into, per_host=8, allow_private=True, keep=["brand"])
    again = {path for path, count in server.asked.items() if count > asked[path]}
    assert not {f"/image/{name[1:-4]}" for name in complete} & again
    assert (report.present, report.fetched) == (len(complete), COUNT - len(complete))
    for n in range(COUNT):
        assert (into / f"p{n}.jpg").read_bytes() == pictures(n)
    assert len(read_metadata(into / "metadata.csv")) == COUNT


@pytest.mark.parametrize("_time", range(2))
def test_killed_and_started_again(server, run, pictures, _time):
    """After kill -9 every file under a final name is whole, none is fetched again, and none is lost."""
    into, file, code, _ = run(signal.SIGKILL)
    assert code == -signal.SIGKILL
    complete = {path.name for path in into.glob("*.jpg")}
    assert COUNT // 4 <= len(complete) < COUNT
    for name in complete:
        assert (into / name).read_bytes() == pictures(int(name[1:-4]))
    finish(server, file, into, pictures, complete)
    assert not list(into.glob("*.part"))


def test_stopped_by_ctrl_c(server, run, pictures):
    """Ctrl-C ends it at once, even while a server is slow; metadata.csv then names what is there."""
    slow = [[f"slow{n}", f"{server.address}/slow/{n}", "S"] for n in range(3)]
    into, file, code, seconds = run(signal.SIGINT, slow)
    assert code == -signal.SIGINT
    assert seconds < 5
    complete = {path.name for path in into.glob("*.jpg")}
    assert set(read_metadata(into / "metadata.csv")) == complete
    assert not list(into.glob("*.part"))
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "slow" not in line))
    finish(server, file, into, pictures, complete)


def test_an_interrupted_callback_ends_the_run(server, table, tmp_path):
    """What the progress callback raises reaches the caller, and what is there is written down."""

    def tired(progress):
        if progress.done >= 10:
            raise KeyboardInterrupt

    server.latency = 0.02
    rows = [[n, f"{server.address}/image/{n}"] for n in range(200)]
    with pytest.raises(KeyboardInterrupt):
        fetch(table(["id", "url"], rows), tmp_path / "p", allow_private=True, progress=tired)
    there = {path.name for path in (tmp_path / "p").glob("*.jpg")}
    assert 10 <= len(there) < 200
    assert set(read_metadata(tmp_path / "p" / "metadata.csv")) == there
    time.sleep(0.2)
    assert {path.name for path in (tmp_path / "p").glob("*.jpg")} == there


def test_two_runs_do_not_fill_one_folder_at_once(server, table, tmp_path):
    """The second is refused while the first is at work, and changes nothing."""
    file = table(["id", "url"], [["a", f"{server.address}/slow/1"]])
    other = table(["id", "url"], [["b", f"{server.address}/image/1"]], "other.csv")

    def second(_):
        with pytest.raises(UsageError, match="another run is filling it"):
            fetch(other, tmp_path / "p", allow_private=True)

    fetch(file, tmp_path / "p", allow_private=True, timeout=0.4, retries=0, progress=second)
    assert list(server.asked) == ["/slow/1"]


def test_a_full_disk_ends_the_run(server, table, tmp_path):
    """A disk that takes nothing more is an error of the whole run, not of each picture."""
    file = table(["id", "url"], [[n, f"{server.address}/huge/{n}"] for n in range(3)])
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))" + FETCH
    done = subprocess.run(
        [sys.executable, "-c", limited.replace(', keep=["brand"]', ""), file, tmp_path / "p"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "UsageError" in done.stderr.splitlines()[-1]
    assert done.stderr.endswith("can't be written: File too large\n")
    assert not list((tmp_path / "p").glob("*.part"))
