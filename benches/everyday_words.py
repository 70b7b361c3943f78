"""What everyday words find that name no class of the model, by the classes near to them in meaning.

    python benches/everyday_words.py

Queries are the words of the stamps' file names that name no class and come near to some. The baseline is what
the same words find by the classes that they name: nothing. Class scores alone are asked, so that the names,
which hold the words, do not help. A hit counts as right if a picture of that name lies in its folder, for the
folders say what the stamps show (`avocado` is right where it brings other fruit), and as the very picture if
its own name has the word. By chance is how many of all pictures lie in the folders of a query.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean

from setting import DATA, figure, pictures

from lookalike import Gallery
from lookalike.extractors import vocabulary
from lookalike.stores.words import split

K = 5


def main() -> None:
    """Index the stamps, ask for every such word, and print the figures."""
    root = pictures.stamps(pictures.DEFAULT / "stamps")
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as scratch:
        gallery_folder = str(Path(scratch) / "stamps")
        with Gallery.open(
            root, gallery=gallery_folder, model="efficientnet-lite0", precision="f32"
        ) as gallery:
            gallery.add()
            measure(gallery)


def measure(gallery: Gallery) -> None:
    """Ask for every word, and print what came."""
    ids = [record.id for record in gallery.records()]
    named = words_of(ids)
    answered = strict = right = exact = hits = 0
    chances = []
    for word, own in named.items():
        folders = {_folder(id_) for id_ in own}
        chances.append(mean(_folder(id_) in folders for id_ in ids))
        found = gallery.find(word, K, only="classes")
        strict += not any("near to it in meaning" in note for note in found.notes)
        answered += bool(found)
        hits += len(found)
        right += sum(_folder(hit.id) in folders for hit in found)
        exact += sum(hit.id in own for hit in found)
    share, chance = right / max(hits, 1), mean(chances)
    figure(f"{len(named)} everyday words, answered", str(answered), f"{strict} by what they name", "", "")
    figure("of their hits, in the right folder", f"{share:.2f}", f"{chance:.2f} by chance",
           f"{share / chance:.1f}", "")  # fmt: skip
    figure("of their hits, the very picture", f"{exact / max(hits, 1):.2f}", "", "", "")


def words_of(ids: list[str]) -> dict[str, set[str]]:
    """The words of file names that name no class and come near to some, with the ids that have them."""
    classes = vocabulary.imagenet()
    named: dict[str, set[str]] = defaultdict(set)
    for id_ in ids:
        for word in split(Path(id_).stem):
            if not vocabulary.meaning(word, classes) and vocabulary.near(word, classes):
                named[word.lower()].add(id_)
    return named


def _folder(id_: str) -> str:
    return id_.rpartition("/")[0]


if __name__ == "__main__":
    main()
