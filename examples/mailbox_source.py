"""A source of one's own: the pictures attached in a mailbox are indexed, searched and shown.

    python examples/mailbox_source.py mail.mbox mail-gallery mail.html

A package registers it in its pyproject.toml by `[project.entry-points."lookalike.sources"]` and
`mbox = "the_package:MailboxSource"`; then `lookalike index mbox:///home/me/mail.mbox` knows it, too.
"""

import sys
from collections.abc import Iterator
from email import message_from_bytes
from itertools import takewhile
from pathlib import Path
from zlib import crc32

from lookalike import Gallery
from lookalike.images import ImageLimits
from lookalike.sources.base import Found, Source


class MailboxSource(Source):
    """The pictures in an mbox file, of its path, its address `mbox:///…`, or the id of one of them."""

    name = "mbox"

    def __init__(self, place: str) -> None:
        self.file = Path(place.removeprefix("mbox://").partition("/message-")[0]).absolute()
        self.prefix = f"mbox://{self.file}/"

    def __iter__(self) -> Iterator[Found]:
        offset = 0
        with self.file.open("rb") as file:
            for line in file:
                ids = self._pictures(offset) if line.startswith(b"From ") else {}
                yield from (Found(id_, *self.stat(id_)) for id_ in ids)
                offset += len(line)

    def stat(self, id_: str, /) -> tuple[int, int]:  # noqa: D102
        return len(content := self.read(id_)), crc32(content)  # which changes as a time would

    def read(self, id_: str, _limits: ImageLimits | None = None, /) -> bytes:  # noqa: D102
        pictures = self._pictures(int(id_.removeprefix(f"{self.prefix}message-")[:12]))
        return pictures[id_] if id_ in pictures else Path(id_).read_bytes()  # which is not there

    def _pictures(self, offset: int) -> dict[str, bytes]:
        with self.file.open("rb") as file:
            file.seek(offset)
            lines = [next(file), *takewhile(lambda line: not line.startswith(b"From "), file)]
        parts = message_from_bytes(b"".join(lines[1:])).walk()
        contents = [part.get_payload(decode=True) for part in parts if part.get_content_maintype() == "image"]
        images = enumerate(content for content in contents if isinstance(content, bytes))
        return {f"{self.prefix}message-{offset:012}/{n:03}": content for n, content in images}


if __name__ == "__main__":
    with Gallery.open(gallery=sys.argv[2]) as gallery:
        print(gallery.add(MailboxSource(sys.argv[1])))
        hits = gallery.search(next(gallery.records()).id, k=5)
        print("\n".join(f"{hit.score:.3f}  {hit.id}" for hit in hits))
        Path(sys.argv[3]).write_text(hits.html(), encoding="utf-8")
