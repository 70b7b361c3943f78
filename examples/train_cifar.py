"""Class scores of one's own network as the feature: InceptionV3 fine-tuned on CIFAR-10, in two stages.

    python examples/train_cifar.py cifar-10-batches-py QUERY [--base keras:InceptionV3] [--pictures N]

2,000 pictures at 140 x 140, first with a frozen base, then with its top unfrozen; the ten scores of two
pictures are compared by euclidean distance. They are sought among the test pictures, which the network
has never seen. QUERY is an id such as test/00011, or a file. The recommended vector, from the layer below
the scores, is measured beside them.
"""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from lookalike import Gallery
from lookalike.evaluation import evaluate
from lookalike.training import ClassifierRecipe, train_classifier

parser = ArgumentParser(description="A fine-tuned classifier as the feature.")
parser.add_argument("folder", help="CIFAR-10 as it is handed out for Python")
parser.add_argument("query", help="test/00011, or a file")
parser.add_argument("--base", default="keras:InceptionV3", help="the network to begin with")
parser.add_argument("--out", default="cifar", help="the folder of the model")
parser.add_argument("--pictures", type=int, default=2000, help="to learn from")
parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="of the recipe, as size=96")
args = parser.parse_args()

if Path(args.out, "model.json").exists():
    print(f"{args.out} is there already")
else:
    settings = dict(text.split("=") for text in args.set)
    recipe = replace(ClassifierRecipe.cifar(), limit=args.pictures).changed(settings)
    made = train_classifier(args.folder, recipe, base=args.base, out=args.out, progress=print)
    made.history.plot("Two stages").save("cifar-history.png")
    print({name: round(value, 3) for name, value in made.measures.items()})

query = f"id:{args.query}" if args.query.startswith(("test/", "train/")) else args.query
for name, model in (("scores", f"{args.out}@classes"), ("recommended", args.out)):
    with Gallery.open(args.folder, name=name, model=model) as gallery:
        gallery.add(exclude=["train/"])
        print(f"\n{model}: {gallery.info()['dim']} numbers, {len(gallery):,} pictures")
        found = evaluate(gallery, "label")
        print(f"P@10 {found['P@10']:.3f}, mAP@100 {found['mAP@100']:.3f}")
        hits = gallery.search(query, k=10)
        for hit in hits:
            print(f"{hit.rank:4}  {hit.distance:.3f}  {hit.id}: {hit.metadata['label']}")
        hits.plot().save(f"cifar-{name}.png")
