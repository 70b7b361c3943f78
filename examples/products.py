"""Products compared by two methods: the three most similar of each, side by side.

    python examples/products.py flipkart.csv --id uniq_id --keep product_name product_category_tree=category
    python examples/products.py FOLDER [QUERY ...]

A table of addresses is fetched into a folder first, which then has the pictures and `metadata.csv`; a
folder that has both is taken as it is.
"""

from argparse import ArgumentParser
from pathlib import Path

from lookalike import Gallery
from lookalike.evaluation import compare
from lookalike.sources.fetch import fetch
from lookalike.sources.tables import read_metadata

# What a product is, and what it is made of: colours and textures, without a place. The galleries of both
# are kept beside the pictures; `keras:VGG16@fc1` or a network of one's own goes in the same way.
METHODS = {"whole-network": "efficientnet-lite0", "early-layer": "efficientnet-lite0@block3b+avg"}

parser = ArgumentParser(description="Products compared by two methods.")
parser.add_argument("products", type=Path, help="a folder with metadata.csv, or a table of addresses")
parser.add_argument("queries", nargs="*", help="pictures or ids; default the first two products")
parser.add_argument("--image", help="the table's column of addresses")
parser.add_argument("--id", help="the table's column of ids")
parser.add_argument("--keep", nargs="*", default=(), help="columns to keep: COLUMN, or COLUMN=FIELD")
parser.add_argument("--allow-private", action="store_true", help="fetch from one's own network, too")
parser.add_argument("--plot", default="products.png", help="the file to draw into")
args = parser.parse_args()

folder = args.products
if folder.is_file():
    folder = folder.with_suffix("")
    report = fetch(
        args.products, folder, image=args.image, id=args.id, keep=args.keep, allow_private=args.allow_private
    )
    print(report)
metadata = read_metadata(folder / "metadata.csv")
queries = args.queries or list(metadata)[:2]


def title(id_: str) -> str:
    """The product's name, if the table has one."""
    return str(metadata.get(id_, {}).get("product_name", id_))


for name, model in METHODS.items():
    with Gallery.open(folder, name=name, model=model) as gallery:
        print(f"\n{name}: {gallery.add(metadata=metadata)}")
        for hits in gallery.search([*queries], k=3):
            print(f"  {title(hits.query)}: {', '.join(title(hit.id) for hit in hits)}")
        if "category" in gallery.store.fields():
            # The nearest twenty once more, those of the likest category first.
            for hits in gallery.search([*queries], k=3, rerank="category"):
                found = (f"{title(hit.id)} {hit.score:.2f}" for hit in hits)
                print(f"  {title(hits.query)}, by category: {', '.join(found)}")

compare(folder, galleries=list(METHODS), queries=queries, k=3).plot("answers").save(args.plot)
print(f"\n{args.plot}")
