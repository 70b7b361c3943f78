"""The table of ImageNet's classes that ships with the package; `scripts/make_classes.py` made it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lookalike.extractors.vocabulary.plurals import fold


class Table(NamedTuple):
    """ImageNet's classes as WordNet 3.0 knows them.

    classes: ids of the 1000 classes, sorted, which is the order of a network's output.
    synsets: for each class and everything above it, by id: its names, and the ids directly above.
    plurals: irregular plurals, with the singulars of theirs that are names in the table.
    """

    classes: tuple[str, ...]
    synsets: dict[str, tuple[list[str], list[str]]]
    plurals: dict[str, list[str]]


@cache
def everyday() -> dict[str, list[int]]:
    """Return the numbers of the classes that come near to a word, nearest first, by the folded word.

    `scripts/make_everyday.py` made it; it is read when it is first asked for.
    """
    raw = json.loads(Path(__file__).with_name("everyday.json").read_text(encoding="ascii"))
    near: dict[str, list[int]] = {fold(word): numbers for word, numbers in raw["near"].items()}
    return near


@cache
def table() -> Table:
    """The table, read when it is first asked for."""
    raw = json.loads(Path(__file__).with_name("imagenet.json").read_text(encoding="utf-8"))
    return Table(tuple(raw["classes"]), raw["synsets"], raw["plurals"])
