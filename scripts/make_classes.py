"""Build the table of ImageNet's classes that the package ships, from WordNet 3.0.

    python scripts/make_classes.py /usr/share/wordnet imagenet_synsets.txt

The first argument is WordNet's folder with `data.noun` and `noun.exc` (Debian: `wordnet-base`), the
second a list of ImageNet's 1000 ids, one a line (timm's wheel has `timm/data/_info/imagenet_synsets.txt`).
An id is `n` and the byte offset of the class's synset in `data.noun`; names and hypernyms follow from there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import BinaryIO, TypeAlias

OUTPUT = Path(__file__).parents[1] / "src/lookalike/extractors/vocabulary/imagenet.json"
HYPERNYM = {"@", "@i"}

Synset: TypeAlias = tuple[list[str], list[str]]
"""A synset's names, and the ids of its direct hypernyms."""


def read_synset(nouns: BinaryIO, wnid: str) -> Synset:
    """Names and direct hypernyms of the synset whose line begins at an id's offset."""
    nouns.seek(int(wnid[1:]))
    fields = nouns.readline().decode("ascii").split(" | ")[0].split()
    if fields[:3:2] != [wnid[1:], "n"]:
        raise SystemExit(f"{wnid} is no synset of {nouns.name}: this is not WordNet 3.0")
    # offset, file, type, number of words (hexadecimal), then (word, sense) pairs, number of pointers,
    # then (symbol, offset, part of speech, source/target) for each pointer
    words = int(fields[3], 16)
    names = [word.replace("_", " ") for word in fields[4 : 4 + 2 * words : 2]]
    pointers = fields[5 + 2 * words :]
    symbols, offsets = pointers[0::4], pointers[1::4]
    return names, [
        "n" + offset for symbol, offset in zip(symbols, offsets, strict=True) if symbol in HYPERNYM
    ]


def read_synsets(nouns: BinaryIO, wnids: list[str]) -> dict[str, Synset]:
    """The synsets of these ids and of everything above them, sorted by id."""
    found: dict[str, Synset] = {}
    waiting = list(wnids)
    while waiting:
        wnid = waiting.pop()
        if wnid not in found:
            found[wnid] = read_synset(nouns, wnid)
            waiting += found[wnid][1]
    return dict(sorted(found.items()))


def read_plurals(exceptions: Path, names: set[str]) -> dict[str, list[str]]:
    """WordNet's irregular plurals, with those of their singulars that are names in the table."""
    plurals = {}
    for line in exceptions.read_text(encoding="ascii").splitlines():
        plural, *singulars = (word.replace("_", " ") for word in line.split())
        known = [singular for singular in singulars if singular in names]
        if known:
            plurals[plural] = known
    return plurals


def main() -> None:
    """Read WordNet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wordnet", type=Path, help="the folder that holds data.noun and noun.exc")
    parser.add_argument("wnids", type=Path, help="ImageNet's class ids, one a line")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()

    classes = sorted(arguments.wnids.read_text().split())
    with (arguments.wordnet / "data.noun").open("rb") as nouns:
        synsets = read_synsets(nouns, classes)
    names = {name.lower() for own, _ in synsets.values() for name in own}
    table = {
        "source": "WordNet 3.0, see LICENSE.wordnet; made by scripts/make_classes.py",
        "classes": classes,
        "synsets": synsets,
        "plurals": read_plurals(arguments.wordnet / "noun.exc", names),
    }
    # One synset a line, so that a change of the table can be read as a difference.
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace(']],"', ']],\n"')
    arguments.output.write_text(text + "\n", encoding="utf-8")
    print(f"{len(classes)} classes in {len(synsets)} synsets, {len(text):,} bytes: {arguments.output}")


if __name__ == "__main__":
    main()
