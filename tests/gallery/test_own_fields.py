"""What pictures say of themselves, beside what the user says of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.errors import FilterError, UsageError
from lookalike.types import PRIVATE_FIELDS

MUNICH, VIENNA, SUVA = (48.137, 11.575), (48.208, 16.373), (-18.141, 178.442)


def photo(path, seed, *, camera=None, lens=None, position=None):
    """A photograph that says by what and where it was taken."""
    exif = Image.Exif()
    if camera is not None:
        exif[0x010F], exif[0x0110] = camera
    if lens is not None:
        exif.get_ifd(0x8769)[0xA434] = lens
    if position is not None:
        gps = exif.get_ifd(0x8825)
        gps[1], gps[3] = "NS"[position[0] < 0], "EW"[position[1] < 0]
        gps[2], gps[4] = ((abs(degrees), 0.0, 0.0) for degrees in position)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 48)).save(path, exif=exif)


@pytest.fixture
def folder(tmp_path):
    """Four photographs, one of which says nothing."""
    photo(tmp_path / "munich.jpg", 1, camera=("Acme", "Zebra 5"), lens="50 mm", position=MUNICH)
    photo(tmp_path / "vienna.jpg", 2, camera=("Apple", "iPhone 12"), position=VIENNA)
    photo(tmp_path / "suva.jpg", 3, camera=("Acme", "Acme X"), position=SUVA)
    photo(tmp_path / "nowhere.jpg", 4)
    return tmp_path


def indexed(folder, **options):
    """Its gallery by the toy extractor."""
    gallery = lookalike.Gallery.open(folder, model="toy", create=True)
    gallery.add(**options)
    return gallery


def passing(gallery, *where):
    """The names of the pictures that pass a filter."""
    return [record.id.removesuffix(".jpg") for record in gallery.records(where=list(where))]


def test_fields(folder):
    """Camera, lens and position are fields to filter by; a camera's name is not among the words to find."""
    with indexed(folder) as gallery:
        said = {record.id: dict(record.metadata) for record in gallery.records()}
        assert said["munich.jpg"] == {
            "camera": "Acme Zebra 5", "lens": "50 mm", "latitude": MUNICH[0], "longitude": MUNICH[1],
        }  # fmt: skip
        assert said["nowhere.jpg"] == {}
        assert passing(gallery, "camera=Apple iPhone 12") == ["vienna"]
        assert passing(gallery, "latitude<0") == ["suva"]
        assert [hit.id for hit in gallery.find("zebra")] == []
        assert {record.format for record in gallery.records()} == {"JPEG"}


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (["near=48.137,11.575,10km"], ["munich"]),
        (["near=48.2, 12, 400 km"], ["munich", "vienna"]),
        (["near=48.2,12,250mi"], ["munich", "vienna"]),
        (["near=48.137,11.575,1m"], ["munich"]),
        (["near!=48.2,12,400km"], ["nowhere", "suva"]),
        (["near=48.137,11.575,10km", "near=48.208,16.373,10"], ["munich", "vienna"]),
        (["near=-18,-179,400km"], ["suva"]),
        (["near=90,0,4700km"], ["munich", "vienna"]),
        (["near=0,0,20100km"], ["munich", "suva", "vienna"]),
        (["box=47,11,49,12"], ["munich"]),
        (["box=-20,170,-10,-170"], ["suva"]),
        (["box!=-90,-180,90,180"], ["nowhere"]),
        (["box=47,11,49,17", "camera=Acme Zebra 5"], ["munich"]),
    ],
)
def test_by_distance_and_box(folder, where, names):
    """Pictures are found within a distance, and in a box, over the date line and the poles, too."""
    with indexed(folder) as gallery:
        assert passing(gallery, *where) == names


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("near=48,11", "expected latitude, longitude and distance"),
        ("near=91,11,1km", "expected latitude"),
        ("near=48,11,1 furlong", "expected latitude"),
        ("near=48,11,-1km", "expected latitude"),
        ("near=nan,11,1km", "expected latitude"),
        ("box=49,11,48,12", "expected south, west, north and east"),
        ("near>48,11,1km", "is there"),
    ],
)
def test_areas_that_are_none(folder, where, reason):
    """What is no area is refused with an example."""
    with indexed(folder) as gallery, pytest.raises(FilterError, match=reason):
        passing(gallery, where)


def test_no_positions(tmp_path):
    """Where no picture has a position, a filter by distance says so."""
    photo(tmp_path / "nowhere.jpg", 4)
    with (
        indexed(tmp_path) as gallery,
        pytest.raises(FilterError, match="no picture of the gallery"),
    ):
        passing(gallery, "near=48,11,1km")


def test_the_users_own_comes_first(folder):
    """A user's field of the same name replaces the picture's, also when the file changes."""
    mine = {"munich.jpg": {"camera": "borrowed", "latitude": 1.5}}
    with indexed(folder, metadata=mine) as gallery:
        assert [hit.id for hit in gallery.find("borrowed")] == ["munich.jpg"]
        photo(folder / "munich.jpg", 9, camera=("Other", "Camera"), position=VIENNA)
        photo(folder / "vienna.jpg", 8)  # whoever took the position out meant it
        assert gallery.add().updated == 2
        said = {record.id: dict(record.metadata) for record in gallery.records()}
        assert said["munich.jpg"] == {"camera": "borrowed", "latitude": 1.5, "longitude": VIENNA[1]}
        assert said["vienna.jpg"] == {}


def test_the_users_field_of_another_type(folder):
    """A user's numbers where pictures say a text: the field is the user's, and pictures leave it out."""
    with indexed(folder, metadata={"munich.jpg": {"camera": 3}, "suva.jpg": {"camera": 4}}) as gallery:
        said = {record.id: record.metadata.get("camera") for record in gallery.records()}
        assert said == {"munich.jpg": 3, "suva.jpg": 4, "vienna.jpg": None, "nowhere.jpg": None}
        photo(folder / "vienna.jpg", 7, camera=("Other", "Camera"))
        gallery.add()
        assert passing(gallery, "camera>3") == ["suva"]
        assert gallery.store.check() == []


def test_the_users_field_of_another_type_comes_later(folder):
    """Once pictures have told a text, numbers for the same field are refused before anything is read."""
    with indexed(folder) as gallery, pytest.raises(UsageError, match="'camera' holds text, not 3"):
        gallery.add(metadata={"munich.jpg": {"camera": 3}})


def test_copies_moves_and_rebuilding(folder, tmp_path_factory):
    """A copy has what the picture says, a move the user's fields, too; rebuilding loses nothing."""
    with indexed(folder, metadata={"munich.jpg": {"note": "mine", "lens": "none"}}) as gallery:
        (folder / "copy.jpg").write_bytes((folder / "munich.jpg").read_bytes())
        (folder / "suva.jpg").rename(folder / "moved.jpg")
        gallery.add()
        said = {record.id: (dict(record.metadata), record.from_picture) for record in gallery.records()}
        assert said["copy.jpg"][0].keys() == {"camera", "latitude", "longitude"}
        assert said["moved.jpg"][0]["camera"] == "Acme X"
        assert said["munich.jpg"][0]["lens"] == "none"
        assert "lens" not in said["munich.jpg"][1]
        elsewhere = tmp_path_factory.mktemp("copied")
        gallery.copy(str(elsewhere))
        with lookalike.Gallery.open(gallery=elsewhere) as copied:
            assert copied.store.indexed_ns == gallery.store.indexed_ns > 0
            assert {r.id: (dict(r.metadata), r.from_picture) for r in copied.records()} == said
        gallery.reindex("toy", precision="f32")
        again = {record.id: (dict(record.metadata), record.from_picture) for record in gallery.records()}
        assert again.pop("copy.jpg")[0]["lens"] == "50 mm"  # for it was looked at by itself
        assert again == {id_: known for id_, known in said.items() if id_ != "copy.jpg"}


def test_pages_show_nothing_private(folder):
    """A page that may be shared does not tell where pictures were taken; the answer in Python does."""
    with indexed(folder) as gallery:
        hits = gallery.search(folder / "munich.jpg", k=3)
        page = hits.html() + hits._repr_html_()
        values = [hit.metadata[name] for hit in hits for name in PRIVATE_FIELDS & hit.metadata.keys()]
    assert len(values) == 4
    assert not any(str(value)[:5] in page for value in values)
