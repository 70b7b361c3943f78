"""Retrain the ranking: pictures of one label shall score higher, learnt in seconds from stored vectors.

    python examples/train_ranker.py FOLDER QUERY [--labels folder]

The gallery's vectors go through a linear map that draws pictures of a label together, checked on labels
and pictures that it did not see; where it would not help, nothing is changed. Then the gallery is
converted, which opens no picture, and both are measured on the pictures kept apart.
"""

from argparse import ArgumentParser
from pathlib import Path

from lookalike import Gallery
from lookalike.evaluation import evaluate
from lookalike.evaluation.splits import Split
from lookalike.training import train_ranker

parser = ArgumentParser(description="Rank pictures of one label higher.")
parser.add_argument("folder", help="of the pictures, in folders that say what they show")
parser.add_argument("query", help="a picture")
parser.add_argument("--labels", default="folder", help="what belongs together, if not the folders")
parser.add_argument("--out", default="my-ranker", help="the folder of the model")
args = parser.parse_args()

with Gallery.open(args.folder) as gallery:
    print(gallery.add())

if not Path(args.out, "model.json").exists():
    made = train_ranker(args.folder, labels=args.labels, out=args.out)
    print(f"\n{args.out}: {made.seconds:.1f} s", *made.notes, sep="\n  ")

with Gallery.open(args.folder) as before:
    print(before.convert(args.out, name="ranked"))

with Gallery.open(args.folder) as before, Gallery.open(args.folder, name="ranked") as after:
    ranked = evaluate(after, args.labels, split="test")
    plain = evaluate(before, args.labels, only=Split.read(Path(args.out, "split.csv")).ids("test"))
    print(f"\n{plain.queries} pictures that it never saw\n{'':10} before   after")
    for measure, value in plain.measures.items():
        print(f"{measure:10} {value:6.3f}  {ranked[measure]:6.3f}")
    for name, one in (("before", before), ("after", after)):
        print(f"\n{name}")
        for hit in one.search(args.query, k=5):
            print(f"{hit.rank:4}  {hit.score:.3f}  {hit.id}")
