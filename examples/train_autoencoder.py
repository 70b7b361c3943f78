"""A convolutional autoencoder of one's own pictures as the feature, beside the default model.

    python examples/train_autoencoder.py FOLDER QUERY [--epochs N]

What is compared with what: a picture of 256 x 256 pixels goes through the encoder down to 16 numbers,
and pictures are alike if these numbers are, by euclidean distance. The decoder draws each picture from
its 16 numbers again: what it can't draw, a search can't know. The model learns without any label.
"""

from argparse import ArgumentParser
from pathlib import Path

from lookalike import Gallery
from lookalike.evaluation import evaluate
from lookalike.training import AutoencoderRecipe, reconstruct, train_autoencoder

parser = ArgumentParser(description="An autoencoder as the feature.")
parser.add_argument("folder", help="of the pictures, in folders that say what they show")
parser.add_argument("query", help="a picture of it")
parser.add_argument("--out", default="ae-model", help="the folder of the model")
parser.add_argument("--epochs", type=int, default=AutoencoderRecipe().epochs, help="at most")
args = parser.parse_args()

if Path(args.out, "model.json").exists():
    print(f"{args.out} is there already")
else:
    made = train_autoencoder(args.folder, AutoencoderRecipe(epochs=args.epochs), out=args.out, progress=print)
    made.history.plot("The autoencoder").save("autoencoder-history.png")
    for part in ("train", "test"):
        error, colour = made.measures[f"{part}_mse"], made.measures[f"{part}_own_colour_mse"]
        print(f"{part}: the error is {error:.4f}, that of each picture's mean colour {colour:.4f}")

for name, model in (("ae", args.out), ("default", "efficientnet-lite0")):
    with Gallery.open(args.folder, name=name, model=model) as gallery:
        gallery.add()
        hits = gallery.search(args.query, k=3)
        print(f"\n{gallery.model}: {gallery.info()['dim']:,} numbers, {hits.metric}")
        for hit in hits:
            print(f"{hit.rank:4}  {hit.distance:.3f}  {hit.id}")
        print(f"P@5 of all pictures by their folders: {evaluate(gallery, 'folder')['P@5']:.3f}")
        if model == args.out:
            query = Path(args.folder, args.query)
            drawn = [query if query.exists() else args.query, *(hit.path for hit in hits)]

reconstruct(drawn, args.out).plot("Given, and drawn from 16 numbers").save("autoencoder.png")
print("\nautoencoder.png")
