"""A gallery in a cluster lies in no folder: who made it may see its pictures, others once they trust it."""

from __future__ import annotations

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.sources import trust


@pytest.fixture
def root(tmp_path):
    """A folder of two pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in (("red", (250, 10, 10)), ("blue", (10, 10, 250))):
        Image.new("RGB", (12, 8), colour).save(folder / f"{name}.png")
    return folder


def test_who_made_a_gallery_sees_its_pictures(elasticsearch_address, root, tmp_path, monkeypatch):
    """Its maker needs to say nothing; somebody else names the folder, trusts it, or sets a variable."""
    with Gallery.open(root, gallery=elasticsearch_address, model="toy") as gallery:
        assert gallery.add().notes == []
        gallery.reindex("toy?grid=2")
    with Gallery.open(gallery=elasticsearch_address) as gallery:
        assert gallery.thumbnail("red.png") is not None
        assert gallery.add().notes == []
    monkeypatch.setenv("LOOKALIKE_STATE", str(tmp_path / "somebody-else"))
    with Gallery.open(gallery=elasticsearch_address) as gallery:
        assert gallery.thumbnail("red.png") is None
        hits = gallery.search("id:red.png")
        assert any(f"lookalike trust --gallery {elasticsearch_address}" in note for note in hits.notes)
        assert {hit.path for hit in hits} == {None}
    with Gallery.open(root, gallery=elasticsearch_address) as gallery:
        assert gallery.thumbnail("red.png") is not None
    with monkeypatch.context() as service:
        service.setenv("LOOKALIKE_TRUST", str(root))
        with Gallery.open(gallery=elasticsearch_address) as gallery:
            assert gallery.thumbnail("red.png") is not None
    with Gallery.open(gallery=elasticsearch_address) as gallery:
        gallery.trust()
    with Gallery.open(gallery=elasticsearch_address) as gallery:
        assert gallery.thumbnail("red.png") is not None
        assert gallery.reach()["root_outside"]
        gallery.delete()
    assert trust.grants() == []
