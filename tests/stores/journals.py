"""Rollback journals of SQLite made by hand, as its file format has them."""

from __future__ import annotations

import os
import struct

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_PENDING_BYTE = 1 << 30
_SECTOR = 512
_NONCE = 7


def with_victim(database, victim):
    """A journal of one page as it is, whose super-journal record names another file."""
    content = database.read_bytes()
    page_size = {1: 65536}.get(size := struct.unpack(">H", content[16:18])[0], size)
    head = _MAGIC + struct.pack(">IIIII", 1, _NONCE, len(content) // page_size, _SECTOR, page_size)
    page = content[:page_size]
    checksum = _NONCE + sum(page[place] for place in range(page_size - 200, 0, -200))
    record = struct.pack(">I", 1) + page + struct.pack(">I", checksum & 0xFFFFFFFF)
    name = os.fsencode(victim)
    lock_page = _PENDING_BYTE // page_size + 1
    super_journal = struct.pack(">I", lock_page) + name + struct.pack(">II", len(name), sum(name)) + _MAGIC
    return head.ljust(_SECTOR, b"\0") + record + super_journal
