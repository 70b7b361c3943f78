"""A Ray of two processors for the whole session, a cluster with a head, and pictures to describe by them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.indexing import ray as distributed

HERE = Path(__file__).parent
TMP = "/tmp"  # noqa: S108  # sockets want short paths

# The odd models are imported by their bare name, here and in the workers.
sys.path.append(str(HERE))


class Family:
    """Every process that descends from one, for as long as this looks.

    pid: of the one.
    """

    def __init__(self, pid):
        self.pid = pid
        self.seen = {}
        self.places = set()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_often, daemon=True)
        self._watch.start()

    def living(self):
        """Those that live now."""
        return [pid for pid, born in self.seen.items() if _stat(pid)[1:] == (born,)]

    def end(self, seconds=20.0):
        """Look no more; those that live even then, and the folders they had below /tmp."""
        self._over.set()
        self._watch.join()
        until = time.monotonic() + seconds
        while self.living() and time.monotonic() < until:
            time.sleep(0.1)
        return [_command(pid) for pid in self.living()], [p for p in self.places if p.exists()]

    def _look_often(self):
        while not self._over.wait(0.2):
            parents = {int(p.name): _stat(int(p.name)) for p in Path("/proc").glob("[0-9]*")}
            known = {self.pid, *self.living()}
            while more := {pid for pid, stat in parents.items() if stat[:1] and stat[0] in known} - known:
                known |= more
            for pid in known - self.seen.keys() - {self.pid}:
                self.seen[pid] = _stat(pid)[1] if _stat(pid) else None
                self.places |= {Path(place) for place in re.findall(rf"{TMP}/ray-\w+", _command(pid))}


def _stat(pid):
    """The parent of a process, and when it began; nothing of one that is not there or is only a name."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ()
    return () if fields[0] == "Z" else (int(fields[1]), int(fields[19]))


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


class Program:
    """The command line in a process of its own.

    family: the processes that it starts.
    """

    def __init__(self, *words, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lookalike", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.family = Family(self.process.pid)

    def ends(self, timeout=300):
        """Its status, and what it wrote."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        finally:
            self.process.kill()
        return self.process.returncode, out, err


class Head:
    """A cluster of one node of two processors, as `ray start --head` makes it; it asks for a token.

    Args:
        environment: what its workers find beside the usual.

    surroundings: what a program must find in its environment to belong to it.
    """

    def __init__(self, environment):
        self._place = Path(tempfile.mkdtemp(prefix="ray-", dir=TMP))
        self.port, self.client = _free_ports(2)
        words = [
            f"--port={self.port}",
            f"--ray-client-server-port={self.client}",
            f"--temp-dir={self._place}",
            f"--object-store-memory={100 << 20}",
            *("--num-cpus=2", "--include-dashboard=false"),
        ]
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
        # Beside other tests workers come in, too, a client may take its time, and its server is born whole.
        busy = {"RAY_worker_niceness": "0", "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120"}
        busy |= {"GRPC_ENABLE_FORK_SUPPORT": "0"}
        self.surroundings = {"RAY_ADDRESS": f"127.0.0.1:{self.port}", **token}
        ray = Path(sys.executable).with_name("ray")
        self._block = subprocess.Popen(
            [ray, "start", "--head", "--block", "--disable-usage-stats", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **token, **busy, **environment},
        )
        self.family = Family(self._block.pid)
        for port in (self.port, self.client):
            _wait_for(port)

    def kill(self):
        """End it at once, as a machine does that loses power."""
        self._block.kill()
        self._block.wait()
        while living := self.family.living():
            for pid in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def stop(self):
        """The same, and nothing of it is left."""
        self.kill()
        self.family.end()
        shutil.rmtree(self._place, ignore_errors=True)


def _free_ports(count):
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def _wait_for(port, seconds=60):
    until = time.monotonic() + seconds
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < until, f"nobody came to port {port}"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def ray():
    """Ray itself, started as `--ray local` does it, and stopped in the end; a cluster in a test uses it."""
    with pytest.MonkeyPatch.context() as surroundings, ExitStack() as ending:
        surroundings.setenv("LOOKALIKE_CORES", "2")
        surroundings.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        library = distributed._ray()
        distributed._join(library, "local", ending)
        yield library


@pytest.fixture(scope="session")
def odd_models(tmp_path_factory):
    """The environment of a program that is to know the models called `odd`."""
    folder = tmp_path_factory.mktemp("plug-in")
    about = folder / "odd-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[lookalike.extractors]\nodd = odd_models:load\n")
    return {"PYTHONPATH": f"{folder}:{HERE}:{os.environ.get('PYTHONPATH', '')}"}


@pytest.fixture(scope="session")
def starting(odd_models):
    """Starts a cluster with a head, by `with`; its environment may be added to."""

    @contextmanager
    def start(**environment):
        head = Head(odd_models | environment)
        try:
            yield head
        finally:
            head.stop()

    return start


@pytest.fixture(scope="session")
def head(starting):
    """A cluster with a head, for every test that leaves it as it was."""
    with starting() as cluster:
        yield cluster


@pytest.fixture
def program():
    """Starts the command line; what a test leaves of it is ended."""
    running = []

    def start(*words, **environment):
        running.append(Program(*words, **environment))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.communicate()
        one.family.end(0)
        for pid in one.family.living():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def pictures(tmp_path):
    """Paints a folder of so many small pictures, each of its own colours."""

    def paint(count, name="pictures", first=0):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number in range(first, first + count):
            dice = np.random.default_rng(number)
            pixels = dice.integers(0, 255, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:05}.png")
        return folder

    return paint


@pytest.fixture
def marks(tmp_path):
    """A folder in which odd models leave their marks."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder
