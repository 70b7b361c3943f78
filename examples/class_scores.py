"""Class scores as the feature: pictures are alike if the network says the same of them.

    python examples/class_scores.py FOLDER QUERY

The softmax of the 1,000 classes, plain, by euclidean distance, as a classifier's users begin; then the
vector that the model recommends instead. Both are measured: the pictures of one folder belong together.
"""

from argparse import ArgumentParser

from lookalike import Gallery
from lookalike.evaluation import evaluate

parser = ArgumentParser(description="Class scores as the feature.")
parser.add_argument("folder", help="of the pictures, in folders that say what they show")
parser.add_argument("query", help="a picture")
parser.add_argument("--labels", default="folder", help="what belongs together, if not the folders")
parser.add_argument("--plot", default="class-scores.png", help="the file to draw into")
args = parser.parse_args()

scores = Gallery.open(
    args.folder,
    name="class-scores",
    model="efficientnet-lite0@classes",
    metric="euclidean",
    normalize=False,
)
with scores:
    print(scores.add())
    seen = ", ".join(f"{tag.name} {tag.score:.2f}" for tag in scores.describe(args.query, k=3))
    print(f"\n{args.query}: {seen}")
    hits = scores.search(args.query, k=6)
    for hit in hits:
        print(f"{hit.rank:4}  {hit.distance:.3f}  {hit.id}: {hit.tags[0].name} {hit.tags[0].score:.2f}")
    plot = hits.plot()
    before = evaluate(scores, args.labels)

with Gallery.open(args.folder, name="recommended", model="efficientnet-lite0") as recommended:
    recommended.add()
    after = evaluate(recommended, args.labels)

print(f"\n{before.queries} pictures asked for those they belong with\n{'':10} class scores   recommended")
for measure, value in before.measures.items():
    print(f"{measure:10} {value:12.3f}  {after[measure]:12.3f}")
plot.save(args.plot)
print(f"\n{args.plot}")
