"""A Ray of two processors for the whole session, and pictures to describe by it."""

import numpy as np
import pytest
from PIL import Image

from lookalike import distributed, stores
from lookalike.images import ImageLimits
from lookalike.ingest import Job
from lookalike.model import Model, header_for
from lookalike.testing import ToyExtractor


@pytest.fixture(scope="session")
def ray():
    """Ray itself, started as `--ray local` does it, and stopped in the end; a cluster in a test joins it."""
    library = distributed._ray()
    library.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="CRITICAL",
        object_store_memory=100 << 20,
    )
    yield library
    library.shutdown()


@pytest.fixture
def pictures(tmp_path):
    """Paints a folder of so many small pictures, each of its own colours."""

    def paint(count, name="pictures", first=0):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number in range(first, first + count):
            dice = np.random.default_rng(number)
            pixels = dice.integers(0, 256, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:05}.png")
        return folder

    return paint


@pytest.fixture
def worker(tmp_path):
    """Makes a worker of a store of its own, in this process; gives both, and the job."""

    def make(folder, name="store"):
        address = str(tmp_path / name)
        with_header = header_for(ToyExtractor(), None, str(folder))
        store = stores.open_store(address, create=with_header)
        job = Job(address, with_header, Model("toy"), str(folder), ImageLimits())
        return distributed._Worker(distributed._pickled(job), 1), store, job

    return make
