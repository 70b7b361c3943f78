"""Galleries as a stranger might make them: sound ones, changed by chance in pages, logs, cells and codes.

What a mutation is follows from its number alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lookalike import Gallery
from lookalike.stores import open_store
from lookalike.types import Header, Record, Space

if TYPE_CHECKING:
    import random
    from pathlib import Path

INTEGERS = (-1, 0, 1, 7, 255, 2**31, 2**40, 2**53, 2**62, 2**63 - 1, -(2**63))
REALS = (float("inf"), float("-inf"), 1e308, -0.5, 1e-320)
TEXTS = ("", "x", "7", "1e999", "a\0b", "../../outside", "/etc/passwd", "\x1b[31m", "é" * 70_000, "[" * 3000)
BLOBS = (b"", b"\0", b"\xff" * 6, b"\xff" * 16, b"\0" * 16, b"\0\x7c" * 8, b"\xff" * 100_000)
VALUES = (*INTEGERS, *REALS, *TEXTS, *BLOBS, None)

TABLES = (
    *("live", "classes", "folders", "fields", "paths", "pictures", "vectors", "facts", "postings"),
    *("words_data", "words_idx", "words_content", "words_docsize", "words_config", "sqlite_sequence"),
)
HEADERS = {
    "dim": (0, -1, 1, 2, 4, 1 << 24, 1 << 40, "3", None, 3.0),
    "metric": ("", "none", "euclidean", "inner", "manhattan", "haversine", 7, "a b"),
    "normalized": (False, None, "yes", 0),
    "row_type": ("float32", "float64", 16),
    "precision": ("bf16", "f64", None),
    "visual_words": (True, 1),
    "vocabulary": ("names", "imagenet", "none", None, 5),
    "extractor": ("", "toy?grid=2", "\0", 5, "no-such-model"),
    "digest": ("", "0", None),
    "root": ("\0", 5, "relative", "/nowhere"),
    "more": (1,),
}


def make_small(folder: Path) -> Path:
    """A gallery of pictures with a line in every table, whose log was not merged in."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for i in range(40):
        Image.new("RGB", (9, 7), (6 * i, 255 - 5 * i, 40)).save(pictures / f"red{i:02} oak.png")
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    fields = {f"red{i:02} oak.png": {"price": i + 0.5, "lot": i, "made": "oak and ash"} for i in range(40)}
    with Gallery.open(pictures, model="toy") as gallery:
        gallery.add(metadata=fields)
        gallery.add([("an array", np.full((8, 8, 3), 77, np.uint8))])
        gallery.remove(["red03 oak.png"])
        shutil.copytree(pictures / ".lookalike" / "default", folder / "logged")
    return folder / "logged"


def make_coded(folder: Path) -> Path:
    """A gallery of vectors with codes."""
    header = Header(Space("toy", "0" * 64, 256, "cosine", "f32", True, "float16"), "")
    chance = np.random.default_rng(0)
    some = chance.normal(size=(400, 256))
    with closing(open_store(str(folder), create=header)) as store, store.writing():
        for start in range(0, 5200, 1300):
            share = chance.random((1300, 1))
            one, other = (some[chance.integers(0, 400, 1300)] for _ in range(2))
            mixed = share * one + (1 - share) * other + 0.2 * chance.normal(size=(1300, 256))
            vectors = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
            numbers = range(start, start + 1300)
            store.write([Record(f"{i:04}", "array", 0, 0, bytes(16), 1, 1) for i in numbers], vectors)
        store.refresh()
    return folder


class Mutation:
    """One way to change a gallery, by chance.

    Args:
        folder: of the gallery; its files are changed.
        chance: decides everything.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.file = folder / "gallery.sqlite"
        self.cache = folder / "cache"
        self.chance = chance

    def apply(self) -> str:
        """Change the gallery; what was done, in words."""
        ways = [self.bytes, self.pages, self.pointers, self.cut, self.head, self.log]
        ways += [self.cells] * 6 + [self.lines, self.header]
        if self.cache.is_dir():
            ways = [self.codes] * 3 + [self.cache_head] * 4 + [self.pages, self.cells]
        return self.chance.choice(ways)()

    def bytes(self) -> str:
        """Some bytes of the file."""
        content = bytearray(self.file.read_bytes())
        for _ in range(self.chance.choice((1, 4, 40))):
            content[self.chance.randrange(100, len(content))] = self.chance.randrange(256)
        self.file.write_bytes(content)
        return "bytes"

    def pages(self) -> str:
        """A page in the place of another, or two that change places."""
        content = bytearray(self.file.read_bytes())
        size = self._page_size(content)
        a, b = (size * self.chance.randrange(1, len(content) // size) for _ in range(2))
        one, other = content[a : a + size], content[b : b + size]
        content[a : a + size] = other
        if self.chance.random() < 0.5:
            content[b : b + size] = one
        self.file.write_bytes(content)
        return f"pages {a // size + 1} and {b // size + 1}"

    def pointers(self) -> str:
        """Children of inner pages that are other pages, perhaps their own parents."""
        content = bytearray(self.file.read_bytes())
        size = self._page_size(content)
        inner = [at for at in range(size, len(content), size) if content[at] in {2, 5}]
        for at in inner or [size]:
            pages = len(content) // size
            struct.pack_into(">I", content, at + 8, self.chance.choice((at // size + 1, pages, 2, 0, 2**31)))
            for cell in range(struct.unpack_from(">H", content, at + 3)[0]):
                place = at + struct.unpack_from(">H", content, at + 12 + 2 * cell)[0]
                if place + 4 <= len(content) and self.chance.random() < 0.7:
                    struct.pack_into(">I", content, place, self.chance.choice((at // size + 1, 3)))
        self.file.write_bytes(content)
        return f"pointers of {len(inner)} pages"

    def cut(self) -> str:
        """A file that ends early."""
        os.truncate(self.file, self.chance.randrange(self.file.stat().st_size))
        return "cut"

    def head(self) -> str:
        """The first hundred bytes, but for what tells that it is ours."""
        content = bytearray(self.file.read_bytes())
        for _ in range(self.chance.choice((1, 2))):
            content[self.chance.choice((*range(16, 60), *range(72, 100)))] = self.chance.randrange(256)
        self.file.write_bytes(content)
        return "head"

    def log(self) -> str:
        """A frame of the log, with or without the sums that make it count."""
        path = self.file.with_name(f"{self.file.name}-wal")
        content = bytearray(path.read_bytes()) if path.exists() else bytearray()
        if len(content) < 100:
            return self.bytes()
        size = struct.unpack_from(">I", content, 8)[0]
        frame = 32 + (size + 24) * self.chance.randrange((len(content) - 32) // (size + 24))
        for _ in range(self.chance.choice((1, 10, 200))):
            content[frame + self.chance.randrange(24, size + 24)] = self.chance.randrange(256)
        if self.chance.random() < 0.2:
            struct.pack_into(">I", content, frame + 4, self.chance.choice((0, 1, 2**31, 10**6)))
        kept = self.chance.random() < 0.2
        if not kept:
            _sum_up(content, size)
        path.write_bytes(content)
        return "log" if kept else "log with its sums"

    def cells(self) -> str:
        """A value of another kind somewhere."""
        with closing(self._connection()) as connection:
            done = []
            for _ in range(self.chance.choice((1, 1, 3))):
                table = self.chance.choice(TABLES)
                columns = [line[1] for line in connection.execute(f"PRAGMA table_info({table})")]
                column, value = self.chance.choice(columns), self.chance.choice(VALUES)
                rows = self.chance.choice(("TRUE", self._some_row(connection, table)))
                with suppress(sqlite3.Error):
                    connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {rows}", (value,))
                    done.append(f"{table}.{column} = {value!r:.30} where {rows:.40}")
            connection.commit()
        return "; ".join(done) or "nothing"

    def lines(self) -> str:
        """Lines that are gone, or there twice."""
        table = self.chance.choice(TABLES)
        with closing(self._connection()) as connection:
            rows = self.chance.choice(("TRUE", self._some_row(connection, table)))
            what = self.chance.choice(
                ("DELETE FROM {0} WHERE {1}", "INSERT OR IGNORE INTO {0} SELECT * FROM {0}")
            )
            with suppress(sqlite3.Error):
                connection.execute(what.format(table, rows))
            connection.commit()
        return f"{what.format(table, rows):.80}"

    def header(self) -> str:
        """What the gallery says of itself."""
        name = self.chance.choice(list(HEADERS))
        value = self.chance.choice(HEADERS[name])
        with closing(self._connection()) as connection:
            content = json.loads(connection.execute("SELECT content FROM header").fetchone()[0])
            connection.execute("UPDATE header SET content = ?", (json.dumps(content | {name: value}),))
            connection.commit()
        return f"header: {name} = {value!r}"

    def codes(self) -> str:
        """Some bytes of the arrays, or numbers that none of ours are, or an array cut short."""
        path = self.chance.choice([path for path in sorted(self.cache.iterdir()) if path.stat().st_size])
        content = bytearray(path.read_bytes())
        if self.chance.random() < 0.2:
            content = content[: self.chance.randrange(len(content))]
        elif path.suffix in {".factors", ".mean", ".keys"}:
            numbers = np.frombuffer(content, np.int64 if path.suffix == ".keys" else np.float32).copy()
            odd = (-1, 0, 2**62, 3) if path.suffix == ".keys" else (np.nan, np.inf, 1e30, -1e30)
            places = self.chance.choices(range(len(numbers)), k=self.chance.choice((1, len(numbers))))
            numbers[places] = self.chance.choice(odd)
            content = bytearray(numbers.tobytes())
        else:
            for _ in range(1000):
                content[self.chance.randrange(len(content))] = self.chance.randrange(256)
        path.write_bytes(content)
        return f"codes: {path.suffix}"

    def cache_head(self) -> str:
        """Numbers of the cache's head."""
        path = self.cache / "head.json"
        content = json.loads(path.read_text())
        name = self.chance.choice(list(content))
        value = self.chance.choice((*INTEGERS, 0.0, 1.0, 1e5, 1e308, float("nan"), "x", None, [], "../../x"))
        path.write_text(json.dumps(content | {name: value}))
        return f"cache head: {name} = {value!r}"

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        return connection

    def _some_row(self, connection: sqlite3.Connection, table: str) -> str:
        names = [line[1] for line in connection.execute(f"PRAGMA table_info({table})")]
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if not count:
            return "TRUE"
        skipped = self.chance.randrange(count)
        value = connection.execute(
            f"SELECT quote({names[0]}) FROM {table} LIMIT 1 OFFSET {skipped}"
        ).fetchone()
        return f"{names[0]} = {value[0]}"

    @staticmethod
    def _page_size(content: bytearray) -> int:
        return max(512, struct.unpack_from(">H", content, 16)[0])


def _sum_up(content: bytearray, size: int) -> None:
    """Make the sums of a log right again, so that SQLite believes its frames."""
    order = ">" if struct.unpack_from(">I", content, 0)[0] & 1 else "<"
    sums = _checksum(content[:24], (0, 0), order)
    struct.pack_into(">II", content, 24, *sums)
    for frame in range(32, len(content) - size - 23, size + 24):
        content[frame + 8 : frame + 16] = content[16:24]  # the salt
        sums = _checksum(content[frame : frame + 8], sums, order)
        sums = _checksum(content[frame + 24 : frame + 24 + size], sums, order)
        struct.pack_into(">II", content, frame + 16, *sums)


def _checksum(content: bytearray, sums: tuple[int, int], order: str) -> tuple[int, int]:
    a, b = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for one, other in zip(words[::2], words[1::2], strict=True):
        a = (a + one + b) & 0xFFFFFFFF
        b = (b + other + a) & 0xFFFFFFFF
    return a, b
