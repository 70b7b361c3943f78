"""Galleries whose pictures an older decoder has read: what it may have seen otherwise is read again, once."""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import images


def picture(seed):
    """A picture of its own."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((64, 48))


def aged(gallery, *, wrong=()):
    """Make it the gallery of an older version, with the vectors of some pictures as they should not be."""
    path = gallery.store.path
    gallery.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE pictures SET decoder = 0, format = ''")
    for id_ in wrong:
        (blob,) = connection.execute(
            "SELECT vector FROM vectors JOIN paths USING (row) WHERE id = ?", (id_,)
        ).fetchone()
        other = np.roll(np.frombuffer(blob, np.float16), 1).tobytes()
        connection.execute(
            "UPDATE vectors SET vector = ? WHERE row = (SELECT row FROM paths WHERE id = ?)", (other, id_)
        )
    connection.commit()
    connection.close()


@pytest.fixture
def folder(tmp_path):
    """Pictures of which two were seen otherwise: one of other primaries, one with a long orientation."""
    picture(1).save(tmp_path / "plain.jpg")
    picture(2).save(tmp_path / "plain.png")
    gamma = b"gAMA" + struct.pack(">I", 100_000)
    out = BytesIO()
    picture(3).save(out, "PNG")
    content = out.getvalue()
    chunk = struct.pack(">I", 4) + gamma + struct.pack(">I", zlib.crc32(gamma))
    (tmp_path / "gamma.png").write_bytes(content[:33] + chunk + content[33:])
    out = BytesIO()
    picture(4).save(out, "JPEG")
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHII", 8, 1, 0x112, 4, 1, 6) + bytes(4)
    app = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (tmp_path / "lying.jpg").write_bytes(out.getvalue()[:2] + app + out.getvalue()[2:])
    return tmp_path


EVERYTHING = ("gamma.png", "lying.jpg", "plain.jpg", "plain.png")


def opened(folder):
    """Its gallery."""
    return lookalike.Gallery.open(folder, model="toy")


def test_what_was_seen_otherwise_is_read_again(folder):
    """Only pictures that an older decoder may have seen otherwise are read again, and keep their fields."""
    gallery = opened(folder)
    gallery.add(metadata={"gamma.png": {"note": "mine"}})
    true = dict(zip(EVERYTHING, gallery.vectors(EVERYTHING), strict=True))
    aged(gallery, wrong=EVERYTHING)
    with opened(folder) as gallery:
        assert gallery.info()["outdated"] == 4
        report = gallery.add()
        assert (report.updated, report.unchanged, report.added) == (2, 2, 0)
        (note,) = report.notes
        assert note.startswith("2 pictures were read again, which an earlier version may have seen in other")
        found = dict(zip(EVERYTHING, gallery.vectors(EVERYTHING), strict=True))
        same = {id_ for id_ in EVERYTHING if np.allclose(found[id_], true[id_], atol=1e-3)}
        assert same == {"gamma.png", "lying.jpg"}
        records = {record.id: record for record in gallery.records()}
        assert {r.decoder for r in records.values()} == {images.DECODER}
        assert records["plain.png"].format == "PNG"
        assert records["gamma.png"].metadata["note"] == "mine"
        assert gallery.info()["outdated"] == 0
        again = gallery.add()
        assert (again.updated, again.unchanged, again.notes) == (0, 4, [])
        assert gallery.store.check() == []


def test_copies_are_all_read_again(folder):
    """Of identical files that were seen otherwise each gets the right vector."""
    for number in range(3):
        (folder / f"copy {number}.png").write_bytes((folder / "gamma.png").read_bytes())
    copies = ["gamma.png", *(f"copy {number}.png" for number in range(3))]
    gallery = opened(folder)
    gallery.add()
    true = gallery.vectors(copies)
    aged(gallery, wrong=copies)
    with opened(folder) as gallery:
        assert gallery.add().updated == 5
        np.testing.assert_allclose(gallery.vectors(copies), true, atol=1e-3)


def test_what_was_refused_is_tried_again_once(folder):
    """The first run after a change of the decoder tries what an older one refused, and later ones do not."""
    (folder / "late.jpg").write_bytes(b"\xff\xd8\xff nothing")
    gallery = opened(folder)
    gallery.add()
    stat = (folder / "late.jpg").stat()
    aged(gallery)
    out = BytesIO()
    Image.new("RGB", (2, 2)).save(out, "GIF")
    content = out.getvalue()
    gallery = opened(folder)
    gallery.store.skip([lookalike.types.Skipped("late.jpg", len(content), stat.st_mtime_ns, "damaged GIF")])
    (folder / "late.jpg").write_bytes(content)
    os.utime(folder / "late.jpg", ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    report = gallery.add()
    assert (report.added, report.skipped) == (1, [])
    gallery.close()


def test_what_can_not_be_looked_at_waits(folder):
    """A picture whose file is gone or has changed is left to the plan; one without a file is not counted."""
    gallery = opened(folder)
    gallery.add()
    gallery.add([("array", np.zeros((8, 8, 3), np.uint8))])
    aged(gallery)
    (folder / "plain.png").unlink()
    picture(9).save(folder / "plain.jpg")
    with opened(folder) as gallery:
        assert gallery.info()["outdated"] == 4
        report = gallery.add()
        assert (report.removed, report.updated) == (1, 3)
        assert gallery.info()["outdated"] == 0


def test_a_sample_looks_at_nothing_else(folder):
    """A run over a random part of the files reads nothing again."""
    aged_gallery = opened(folder)
    aged_gallery.add()
    aged(aged_gallery)
    with opened(folder) as gallery:
        gallery.add(limit=1)
        assert gallery.info()["outdated"] == 4
