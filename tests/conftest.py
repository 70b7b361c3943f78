"""Fixtures for every test: real pictures, and a folder of hostile files."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# The scripts import each other by their bare names, as they do where they are run.
sys.path.append(str(REPOSITORY / "scripts"))

# As the program sets it before it loads TensorFlow: here, a test may have loaded that before.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# OpenVINO reports its use by this, from processes that it forks; lookalike never lets it, and no test may.
sys.modules["openvino_telemetry"] = None


EXTRAS = (
    "elasticsearch",
    "fsspec",
    "keras",
    "matplotlib",
    "onnx",
    "pandas",
    "pillow_heif",
    "pyarrow",
    "ray",
    "sklearn",
    "tensorflow",
)

OWN_SURROUNDINGS = (
    *("LOOKALIKE_GALLERY", "LOOKALIKE_DEBUG", "LOOKALIKE_CA_CERT", "LOOKALIKE_CORES"),
    *("FORCE_COLOR", "LOOKALIKE_TRUST", "RAY_ADDRESS"),
    *("ELASTIC_API_KEY", "ELASTIC_USER", "ELASTIC_USERNAME", "ELASTIC_PASSWORD"),
)

SERVERS = ("tests/indexing/ray/", "tests/stores/elasticsearch/", "tests/stores/elasticsearch/test_faults.py")
"""Where tests need Ray or Elasticsearch, which are started once; the last needs one of its own."""

SLOW = ("tests/extractors/keras/", "tests/training/", "tests/test_examples.py")
"""Where most tests take seconds; those of the first share networks that take long to make."""


QUICK = "--quick"
"""The option of `make check`: nothing that needs a server, Keras or Ray, and nothing slow."""

LONG = (*SERVERS, *SLOW, "tests/faults/")
"""Where nothing is quick."""


def pytest_addoption(parser):
    """Add what `make check` runs with."""
    parser.addoption(
        QUICK, action="store_true", help="only what needs no server, no Keras, no Ray, and no time"
    )


def pytest_configure(config):
    """Tell what the mark means that single tests have."""
    config.addinivalue_line(
        "markers", "slow: takes seconds, or needs a server, Keras or Ray; not in `make check`"
    )


def pytest_ignore_collect(collection_path, config):
    """Leave out folders whose files need what may not be there."""
    if not config.getoption(QUICK):
        return None
    path = collection_path.relative_to(REPOSITORY).as_posix()
    return f"{path}/".startswith(LONG) or path in LONG or None


def _is_slow(item):
    return item.get_closest_marker("slow") or {"elasticsearch", "elasticsearch_cluster"} & set(
        item.fixturenames
    )


def pytest_sessionstart(session):
    """Where everything should be installed, nothing is skipped for want of it."""
    # A shell lets its background jobs ignore Ctrl-C, and so would every program that a test stops by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    missing = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") and not session.config.getoption(QUICK):
        pytest.exit(
            f"not installed: {', '.join(missing)}; run `make test`, which installs them", returncode=3
        )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Quick tests come first, then those that need a server, then the slow ones."""
    if config.getoption(QUICK):
        items[:] = [item for item in items if not _is_slow(item)]
    order = (*SERVERS, *SLOW)

    def place(item):
        return max((n for n, start in enumerate(order) if item.nodeid.startswith(start)), default=-1)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Where processes share the work (`-n 2`), a file stays whole, and one of them has all the servers."""
    from xdist.scheduler import LoadScopeScheduling

    class Shared(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if nodeid.startswith(SERVERS):
                return "servers"
            return SLOW[0] if nodeid.startswith(SLOW[0]) else nodeid.partition("::")[0]

    return Shared(config, log)


def _module(path: Path):
    """Load a module by its path: neither scripts nor tests are packages."""
    name = f"lookalike_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def scripts():
    """Load one of the scripts by its name: `scripts("pictures")`."""
    return lambda name: _module(REPOSITORY / "scripts" / f"{name}.py")


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory):
    """Which galleries are trusted is recorded in a folder of the tests' own, by every process of theirs."""
    before = os.environ.get("LOOKALIKE_STATE")
    os.environ["LOOKALIKE_STATE"] = str(tmp_path_factory.mktemp("state"))
    yield
    os.environ.pop("LOOKALIKE_STATE")
    if before is not None:
        os.environ["LOOKALIKE_STATE"] = before


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch):
    """No gallery, no password and no colour of the developer's own leaks into a test."""
    for name in OWN_SURROUNDINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def stamps():
    """The 796 stamps, whose folders say what they show; continuous integration must have them."""
    pictures = _module(REPOSITORY / "scripts" / "pictures.py")
    try:
        return pictures.stamps(pictures.DEFAULT / "stamps")
    except pictures.PicturesMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(f"the stamps are missing: {missing}")
        pytest.skip(f"the stamps are missing: {missing}")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with scikit-image's photographs, PNG and JPEG."""
    pictures = _module(REPOSITORY / "scripts" / "pictures.py")
    return pictures.photographs(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def hostile(tmp_path):
    """A folder of hostile files, and for each relative path `good` or a word of its reason."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    return folder, _module(Path(__file__).parent / "images" / "hostile.py").make(folder)


@pytest.fixture(scope="session")
def cifar_files():
    """The module that writes CIFAR-10's batches."""
    return _module(Path(__file__).parent / "sources" / "cifar_files.py")


@pytest.fixture(scope="session")
def mailboxes():
    """The module that writes mailboxes, and knows the example which reads them."""
    return _module(Path(__file__).parent / "sources" / "mailboxes.py")


@pytest.fixture
def cifar_folder(tmp_path, cifar_files):
    """Writes a folder of CIFAR-10's batches: `cifar_folder({"test_batch": (pixels, labels)})`."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    return lambda batches, **options: cifar_files.write(folder, batches, **options)


@contextmanager
def _running(**options):
    """A real Elasticsearch; where none can be had the test is skipped, and continuous integration fails."""
    server = _module(REPOSITORY / "scripts" / "elasticsearch_server.py")
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(server.Cluster(**options))
        except server.ServerMissing as missing:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Elasticsearch: {missing}")
        yield cluster


@pytest.fixture(scope="session")
def running_elasticsearch():
    """What starts a server of a test's own, by `with`; its options are those of `Cluster`."""
    return _running


@pytest.fixture(scope="session")
def elasticsearch():
    """One node for every test: its `urls`, and `address(name)` of a gallery.

    LOOKALIKE_TEST_ELASTICSEARCH=http://host:port uses a running server instead, one without security.
    """
    given = os.environ.get("LOOKALIKE_TEST_ELASTICSEARCH")
    if given:
        yield _module(REPOSITORY / "scripts" / "elasticsearch_server.py").Server([given])
    else:
        with _running() as cluster:
            yield cluster


@pytest.fixture(scope="session")
def elasticsearch_cluster():
    """Three nodes that a test may kill, and starts again before it ends."""
    with _running(nodes=3) as cluster:
        yield cluster


@pytest.fixture
def elasticsearch_address(elasticsearch):
    """The address of a gallery of the test's own, not there yet, and deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield elasticsearch.address(name)
    elasticsearch.delete(name)
