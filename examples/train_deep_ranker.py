"""Train the upper layers of a network so that pictures of one label score higher.

    python examples/train_deep_ranker.py FOLDER [--labels folder | pairs.csv] [--set epochs=4 ...]

One network sees a query, a better and a worse picture, and the loss falls as the better one scores higher.
The result is a model like any other: `lookalike index FOLDER --model my-deep-ranker --name deep`. It needs
Keras and takes minutes; `lookalike train ranker` gains more in seconds wherever both were measured
(benches/ranker.py).
"""

from argparse import ArgumentParser

from deep_ranker import DeepRankerRecipe, train_deep_ranker

from lookalike.extractors import DEFAULT

parser = ArgumentParser(description="Train a ranker through the network.")
parser.add_argument("folder", help="of the pictures, in folders that say what they show")
parser.add_argument("--labels", default="folder", help="what belongs together, or a table of pairs")
parser.add_argument("--base", default=DEFAULT, help="the network to begin with")
parser.add_argument("--out", default="my-deep-ranker", help="the folder of the model")
parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="settings of the recipe")
parser.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
parser.add_argument("--overwrite", action="store_true", help="replace a model that is there already")
args = parser.parse_args()

recipe = DeepRankerRecipe().changed(dict(setting.split("=", 1) for setting in args.set))
made = train_deep_ranker(
    args.folder,
    recipe,
    labels=args.labels,
    base=args.base,
    out=args.out,
    resume=args.resume,
    overwrite=args.overwrite,
    progress=lambda event: print(event) if hasattr(event, "stage") else None,
)
print(f"\n{made}: {made.seconds:.1f} s", *made.notes, sep="\n  ")
for gain in made.gains:
    print(f"{gain.before:6.3f}  {gain.after:6.3f}  {gain.words}")
