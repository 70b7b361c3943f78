"""Sizes and times that a remote file system may tell."""

import io

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from lookalike import Gallery


class OddNumbers(MemoryFileSystem):
    """Memory that tells sizes and times no disk has."""

    protocol = "odd"
    sizes = (None, -1, 2**70, "many", float("inf"), float("nan"))

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("odd://", "memory://"))

    def ls(self, path, **_):
        """List a folder, with such numbers."""
        found = super().ls(path, detail=True)
        for entry, size in zip(sorted(found, key=lambda entry: entry["name"]), self.sizes, strict=False):
            entry |= {"size": size, "created": None, "mtime": -(2**80) if size == "many" else 2**90}
        return found


def picture(seed):
    """The bytes of a small picture, which its seed makes its own."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (seed, 99, 99)).save(buffer, "PNG")
    return buffer.getvalue()


def test_numbers_of_a_file_system_cost_one_file_at_most(tmp_path):
    """Sizes and times that are none, or have more than 64 bits, end no run."""
    fsspec.register_implementation("odd", OddNumbers, clobber=True)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe({f"/bucket/photos/{n}.png": picture(n) for n in range(8)})
    with Gallery.open(tmp_path, model="toy") as gallery:
        report = gallery.add("odd://bucket/photos")
        again = gallery.add()
    memory.store.clear()
    assert report.added + len(report.skipped) == 8
    assert [skip.path for skip in report.skipped] == ["odd://bucket/photos/2.png"]  # of 2**70 bytes
    assert again.unchanged == report.added == 7
