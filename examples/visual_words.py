"""Class scores as visual words: a picture is a document of 1,000 words, searched by picture or keyword.

    python examples/visual_words.py FOLDER QUERY WORD
    python examples/visual_words.py .demo/pictures/stamps animals/birds/pink_flamingo.png crane

A picture's score is 1.000 + Σ ηj·ξij over the classes j: those of the query times its own. A keyword asks
with 1 for each class that it names and 0 for all others.
"""

from argparse import ArgumentParser

from lookalike import Answers, Gallery, Hits


def show(title: str, hits: Hits) -> None:
    """Print an answer: scores as the paper has them, and what the network sees."""
    print(f"\n{title}")
    for hit in hits:
        seen = ", ".join(f"{tag.name} {tag.score:.2f}" for tag in hit.tags[:2])
        print(f"{hit.rank:4}  {hit.scores['paper']:.3f}  {hit.id}: {seen}")
    for note in hits.notes:
        print(f"      {note}")


parser = ArgumentParser(description="Class scores as visual words.")
parser.add_argument("folder", help="of the pictures")
parser.add_argument("query", help="a picture")
parser.add_argument("word", help="a class, or what is more general, such as bird")
parser.add_argument("--plot", default="visual-words.png", help="the file to draw into")
args = parser.parse_args()

model = "efficientnet-lite0@classes"
with Gallery.open(args.folder, name="visual-words", model=model, metric="inner") as gallery:
    print(gallery.add())

    by_picture = gallery.search(args.query, k=5)
    show(args.query, by_picture)

    by_word = gallery.find(args.word, k=5)
    show(args.word, by_word)

    # Two classes may have one name: a crane is a bird and a machine. Their ids keep them apart.
    names = classes.by_id if (classes := gallery.extractor().classes) else {}
    ids = [id_ for id_, name in names.items() if name == args.word]
    apart = [gallery.find(id_, k=5) for id_ in ids if len(ids) > 1]
    for hits in apart:
        show(f"{args.word}, {hits.query} alone", hits)

    Answers([by_picture, by_word, *apart]).plot().save(args.plot)
print(f"\n{args.plot}")
