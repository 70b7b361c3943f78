"""How often the store is asked: in batches, not once a picture or a folder."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.testing import ToyExtractor


class Counted:
    """A store that counts the calls of its methods."""

    def __init__(self, store, calls=None):
        self.store = store
        self.calls = Counter() if calls is None else calls

    def __getattr__(self, name):
        value = getattr(self.store, name)
        if callable(value):
            self.calls[name] += 1
        return value

    @contextmanager
    def replacement(self, header):
        """Count the calls of the new store, too."""
        with self.store.replacement(header) as fresh:
            yield Counted(fresh, self.calls)


@pytest.fixture
def folder(tmp_path):
    """Eight folders of ten pictures each, no two alike."""
    rng = np.random.default_rng(0)
    for number in range(80):
        place = tmp_path / "pictures" / f"f{number // 10}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(place / f"{number}.png")
    return tmp_path / "pictures"


def test_folders_named_one_by_one_take_one_pass(folder):
    """Eight folders that are named read the states once, and find what came, changed and went."""
    folders = sorted(folder.iterdir())
    with Gallery.open(folder, model=ToyExtractor()) as gallery:
        assert gallery.add(folders[::-1]).added == 80
        (folder / "f3" / "30.png").unlink()
        (folder / "f0" / "new.png").write_bytes((folder / "f7" / "70.png").read_bytes())
        counted = gallery._store = Counted(gallery.store)
        report = gallery.add(folders)
        assert (report.added, report.unchanged, report.removed) == (1, 79, 1)
        assert counted.calls["states"] == 1
        assert gallery.add([folders[2], folders[4]]).unchanged == 20
        assert len(gallery) == 80


def test_another_model_asks_in_batches(folder):
    """To describe 80 pictures again takes few calls beside one for each eight that are read."""
    with Gallery.open(folder, model=ToyExtractor()) as gallery:
        gallery.add()
        counted = gallery._store = Counted(gallery.store)
        gallery.reindex(ToyExtractor(2))
        assert counted.calls["get"] <= 4
        assert counted.calls.total() < 40, counted.calls
