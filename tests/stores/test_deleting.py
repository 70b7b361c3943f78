"""Deleting galleries: all that is theirs goes, and nothing else."""

from __future__ import annotations

import pytest

from lookalike.errors import NotFound, StoreBusy
from lookalike.stores import delete_store, exists, open_store


def test_everything_goes(tmp_path, open_at, header, record, features):
    """Nothing of a gallery is left, not its codes either, nor the folder that was made for it."""
    folder = tmp_path / ".lookalike" / "default"
    store = open_at(folder, header(dim=256))
    store.write([record(i) for i in range(5_000)], features(5_000))
    store.refresh()
    assert (folder / "cache").is_dir()
    store.close()
    delete_store(folder)
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_goes(tmp_path, open_at, header):
    """A file of the user's own, and the folder that a gallery's own folder is in, stay."""
    folder = tmp_path / "pictures" / "mine"
    open_at(folder, header()).close()
    (folder / "notes.txt").write_text("mine")
    delete_store(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    open_at(folder, header()).close()
    delete_store(folder)
    assert (tmp_path / "pictures").is_dir()
    assert not folder.exists()


def test_not_while_it_is_written(store):
    """A gallery that another process or store is writing to is not deleted."""
    with open_store(store.address).writing():
        with pytest.raises(StoreBusy, match="is writing to the gallery"):
            delete_store(store.address)
        assert exists(store.address)


def test_nothing_there(tmp_path):
    """Deleting what is not there is an error."""
    with pytest.raises(NotFound, match="there is no gallery in"):
        delete_store(tmp_path)
