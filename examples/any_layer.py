"""Any layer of a network as the feature: how deep must one go to see what a picture shows?

    python examples/any_layer.py FOLDER QUERY
    python examples/any_layer.py FOLDER QUERY keras:MobileNet@0 keras:MobileNet@conv1 keras:MobileNet@-1

The first layer is the pixels themselves, the last the class scores, and each row of the plot is the
answer by one of them; `lookalike models NAME` lists those of a network. What is made here is thrown away
afterwards; `lookalike index FOLDER --model NAME@LAYER` keeps it.
"""

from argparse import ArgumentParser

from lookalike.evaluation import compare

DEPTHS = ("input", "block2b", "block4c", "block6d", "pool", "classes")

parser = ArgumentParser(description="Any layer of a network as the feature.")
parser.add_argument("folder", help="of the pictures")
parser.add_argument("query", help="a picture")
parser.add_argument("layers", nargs="*", default=[f"efficientnet-lite0@{depth}" for depth in DEPTHS])
parser.add_argument("-k", type=int, default=5, help="how many neighbours")
parser.add_argument("--labels", help="what belongs together, such as `folder`: measures each layer, too")
parser.add_argument("--plot", default="any-layer.png", help="the file to draw into")
args = parser.parse_args()

comparison = compare(args.folder, args.layers, queries=[args.query], labels=args.labels, k=args.k)

for layer in comparison:
    if layer.error is not None:
        print(f"\n{layer.method}: {layer.error}")
        continue
    print(f"\n{layer.method}: {layer.dim:,} numbers a picture")
    if layer.evaluation is not None:
        print(f"   of any picture's five nearest, {layer.evaluation['P@5']:.0%} belong to it")
    for hit in layer.answers[0].hits:
        print(f"{hit.rank:4}  {hit.score:6.3f}  {hit.id}")

comparison.plot("answers").save(args.plot)
print(f"\n{args.plot}")
