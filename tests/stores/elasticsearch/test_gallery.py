"""Whole galleries in the cluster: what a user does with one gives what it gives with one in a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import NotFound, UsageError
from lookalike.evaluation import evaluate
from lookalike.evaluation.neighbors import neighbors
from lookalike.extractors import extending, runtime, trained
from lookalike.extractors.cards import Card
from lookalike.extractors.steps import Linear, Normalise, Power

MODEL = "toy?grid=2"


@pytest.fixture
def root(tmp_path):
    """Forty pictures of two colours each in four folders, two of them alike, and a broken one."""
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for i in range(40):
        place = folder / ("red", "green", "2024/blue", "2024/grey \N{OWL}")[i % 4] / f"{i:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        base = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220), (90, 90, 90)][i % 4])
        halves = np.clip(base + rng.integers(-40, 40, (2, 1, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(np.repeat(np.repeat(halves, 8, axis=0), 12 + i, axis=1)).save(place)
    (folder / "copy.png").write_bytes((folder / "red" / "00.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    return folder


@pytest.fixture
def second_address(elasticsearch, elasticsearch_address):
    """The address of another gallery, deleted afterwards."""
    address = f"{elasticsearch_address}-2"
    yield address
    elasticsearch.delete(address.rpartition("/")[2])


@pytest.fixture
def both(root, tmp_path, elasticsearch_address):
    """The gallery of the folder, in a folder of its own and in the cluster."""
    with (
        Gallery.open(root, gallery=tmp_path / "embedded", model=MODEL) as embedded,
        Gallery.open(root, gallery=elasticsearch_address, model=MODEL) as remote,
    ):
        for gallery in (embedded, remote):
            report = gallery.add()
            assert (report.added, [skip.path for skip in report.skipped]) == (41, ["broken.jpg"])
        yield embedded, remote


def _same(both):
    """Whatever a gallery says of itself and of its pictures."""
    theirs, mine = both
    assert list(mine.records()) == list(theirs.records())
    np.testing.assert_allclose(mine.vectors(), theirs.vectors(), atol=1e-6)
    assert (mine.skipped(), mine.removed()) == (theirs.skipped(), theirs.removed())
    assert mine.store.folders() == theirs.store.folders()
    changing = ("gallery", "bytes", "indexed")
    infos = [{k: v for k, v in gallery.info().items() if k not in changing} for gallery in both]
    assert infos[0] == infos[1]
    assert mine.check() == theirs.check() == []


def _same_hits(both, ask):
    """Equal scores, and equal ids but for those that tie."""
    theirs, mine = ([(hit.id, hit.score, hit.path, hit.tags) for hit in ask(gallery)] for gallery in both)
    assert len(mine) == len(theirs) > 0
    np.testing.assert_allclose([hit[1] for hit in mine], [hit[1] for hit in theirs], atol=1e-3)
    by_id = {hit[0]: hit for hit in theirs}
    for id_, score, path, tags in mine:
        expected = by_id.get(id_, (id_, theirs[-1][1], path, tags))
        assert score == pytest.approx(expected[1], abs=1e-3)
        assert (path, tags) == expected[2:]


def test_indexed_again(both, root):
    """Nothing changed is nothing done; what was moved, changed, copied or deleted is seen for what it is."""
    _same(both)
    for gallery in both:
        assert gallery.add().as_dict()["unchanged"] == 41
    (root / "red" / "04.png").rename(root / "green" / "moved.png")
    (root / "red" / "08.png").unlink()
    Image.new("RGB", (30, 20), (1, 200, 3)).save(root / "red" / "12.png")
    (root / "again.png").write_bytes((root / "green" / "01.png").read_bytes())
    counts = [{k: v for k, v in g.add().as_dict().items() if isinstance(v, int)} for g in both]
    assert counts[0] == counts[1]
    assert counts[1]["moved"] == counts[1]["updated"] == counts[1]["removed"] == counts[1]["added"] == 1
    _same(both)


def test_searched(both, root):
    """By file, id, vector and words, behind filters, distinct, unique and exact: the same hits."""
    query = str(root / "2024" / "blue" / "02.png")
    for options in (
        {},
        {"k": 1000},
        {"where": "folder=2024"},
        {"where": ["folder=red", "folder=green", "width>=20"]},
        {"distinct": "folder"},
        {"unique": True},
        {"exact": True, "include_self": True},
    ):
        _same_hits(both, lambda g, options=options: g.search(query, **options))
        _same_hits(both, lambda g, options=options: g.search("id:red/00.png", **options))
    _same_hits(both, lambda g: g.search(np.ones(12, np.float32), k=7))
    for words in ("red", "blue 02", "copy", "green"):
        _same_hits(both, lambda g, words=words: g.find(words, k=50))
    _same_hits(both, lambda g: g.find("png", only="text"))
    assert both[1].find("nothing").notes == both[0].find("nothing").notes


def test_looked_deeper(both):
    """As many pictures as the store can give may be asked for, also of an id, or with one of each folder."""
    _, mine = both
    assert len(mine.search("id:red/00.png", k=10_000)) == 40
    assert len(mine.search("id:red/00.png", k=10_000, distinct="folder")) == 4
    with pytest.raises(UsageError, match="10,000"):
        mine.search("id:red/00.png", k=10_001)


def test_removed_and_restored(both):
    """What was taken out stays out until it is let in again; metadata stays with its picture."""
    for gallery in both:
        gallery.update({"red/00.png": {"price": 3.5, "made in": "Italy"}})
        assert gallery.remove(["red/04.png", "copy.png"]) == 2
        assert gallery.add().as_dict()["added"] == 0
    _same(both)
    _same_hits(both, lambda g: g.search("id:red/00.png", where="price<4", include_self=True))
    for gallery in both:
        assert gallery.restore() == 2
        assert gallery.add().as_dict()["added"] == 2
    _same(both)


def test_exported(both, tmp_path):
    """An export holds the same ids and vectors."""
    files = [tmp_path / f"{name}.npz" for name in ("embedded", "remote")]
    for gallery, file in zip(both, files, strict=True):
        assert gallery.export(file, where="folder=2024") == 20
    theirs, mine = (np.load(file) for file in files)
    assert mine["ids"].tolist() == theirs["ids"].tolist()
    np.testing.assert_allclose(mine["vectors"], theirs["vectors"], atol=1e-6)


def test_described_anew(both):
    """With another model the gallery is built beside itself, and found by whoever has it open."""
    address = both[1].address
    with Gallery.open(gallery=address, create=False) as reader:
        for gallery in both:
            gallery.update({"red/00.png": {"price": 3.5}})
            gallery.remove(["copy.png"])
            assert gallery.reindex("toy?grid=1&metric=euclidean&normalize=0").total == 40
        assert reader.vectors().shape == (40, 3)
    _same(both)
    assert both[1].model == "toy?metric=euclidean&normalize=0"


def test_asked_about_all(both):
    """The measures of a gallery, and the neighbours of every picture, are the same."""
    theirs, mine = (evaluate(gallery, "folder", at_least=2).as_dict() for gallery in both)
    assert mine["measures"] == pytest.approx(theirs["measures"])
    theirs, mine = (list(neighbors(gallery, k=3)) for gallery in both)
    assert [id_ for id_, _ in mine] == [id_ for id_, _ in theirs]
    for (_, a), (_, b) in zip(mine, theirs, strict=True):
        np.testing.assert_allclose([n.score for n in a], [n.score for n in b], atol=1e-5)


def test_copied_both_ways(both, tmp_path):
    """From the cluster into a folder and back nothing is lost."""
    theirs, mine = both
    mine.copy(tmp_path / "back")
    with Gallery.open(gallery=tmp_path / "back", create=False) as back:
        _same((theirs, back))
    theirs.update({"red/00.png": {"price": 1}})
    report = theirs.copy(mine.address)
    assert (report.added, report.updated, report.unchanged) == (0, 1, 40)
    _same(both)


def test_converted(root, tmp_path, elasticsearch_address, second_address):
    """A model whose first steps made the vectors has a gallery beside, without a picture being opened."""
    first = _network(tmp_path / "colours", (Power(0.5), Normalise()))
    steps = (Linear(np.diag([10, 1, 1]).astype(np.float32)), Normalise())
    extending.extended(first, steps, tmp_path / "ranked")
    further = str(tmp_path / "ranked")
    found = []
    for place, to in (
        (str(tmp_path / "e"), str(tmp_path / "f")),
        (elasticsearch_address, second_address),
    ):
        with Gallery.open(root, gallery=place, model=first) as gallery:
            gallery.add()
            assert gallery.convert(further, gallery=to).added == 41
        with Gallery.open(gallery=to, create=False) as ranked:
            found.append(ranked.vectors())
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)


def _network(folder, steps):
    """A network of three numbers, the mean red, green and blue of a picture; its name."""
    ops = runtime.openvino().opset13
    picture = ops.parameter([1, 3, 8, 8], np.float32, name="input")
    colours = ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False, name="colours")
    card = Card(
        name="colours", weights="a" * 64, size=(8, 8), layers=("input", "colours"), features="colours",
        licence="none", scale=(255.0,), steps=steps,
    )  # fmt: skip
    trained.write(folder, runtime.openvino().Model([colours.output(0)], [picture], "colours"), card)
    return str(folder)


def test_moved_by_two_at_once(root, elasticsearch_address, monkeypatch):
    """Pictures that another process has moved in the gallery a moment ago are looked at once more."""
    with (
        Gallery.open(root, gallery=elasticsearch_address, model=MODEL) as gallery,
        Gallery.open(root, gallery=elasticsearch_address) as other,
    ):
        gallery.add()
        (root / "green").rename(root / "verdant")
        look, refresh = gallery.store.by_digest, gallery.store.refresh

        def late(digests):
            found = look(digests)
            other.add()
            return found

        def refreshed():
            refresh()
            monkeypatch.setattr(gallery.store, "by_digest", late)

        monkeypatch.setattr(gallery.store, "refresh", refreshed)
        report = gallery.add()
        assert report.total == 41
        ids = [record.id for record in gallery.records()]
        assert sum(id_.startswith("verdant/") for id_ in ids) == 10
        assert not any(id_.startswith("green/") for id_ in ids)


def test_deleted(both, elasticsearch_address, root):
    """A gallery that was deleted is not there any more; its pictures are."""
    both[1].delete()
    with pytest.raises(NotFound):
        Gallery.open(gallery=elasticsearch_address, create=False)
    assert len(list(root.rglob("*.png"))) == 41


def test_vectors_of_ones_own(elasticsearch_address):
    """Vectors that no model made are kept and searched like others."""
    vectors = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    with Gallery.open(gallery=elasticsearch_address, metric="euclidean") as gallery:
        report = gallery.add_vectors(([f"v{i}" for i in range(30)], vectors))
        assert report.added == 30
        assert [hit.id for hit in gallery.search("id:v3", k=1, include_self=True)] == ["v3"]


def test_command_line(root, elasticsearch_address, capsys):
    """The commands take an address wherever they take a folder."""
    gallery = ["--gallery", elasticsearch_address]
    assert run(["index", str(root), "--model", MODEL, *gallery, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 41
    assert run(["search", "id:red/00.png", "-k", "3", *gallery, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 3
    assert run(["info", *gallery]) == 0
    assert run(["check", *gallery]) == 0
    assert elasticsearch_address in capsys.readouterr().out
