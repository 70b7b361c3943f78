"""The examples run as a user runs them, and what they print and draw is so."""

from __future__ import annotations

import csv
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from base64 import b64decode
from io import BytesIO
from itertools import groupby
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image, ImageColor

from lookalike.views.plots.sheets import ACCENT

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NOTEBOOK = EXAMPLES / "tour.ipynb"
SCRIPTS = sorted(script.name for script in EXAMPLES.glob("*.py"))
FLAMINGO, POLO = "animals/birds/pink_flamingo.png", "clothes/t_poloshirt.png"
KINDS = {"animals/birds": 18, "clothes": 12, "food/fruit": 8, "vehicles/construction/cartoon": 8}
"""Folders of the stamps that the examples are tried on, and how many pictures of each."""


@pytest.fixture
def shelf(stamps, tmp_path):
    """A folder of some stamps: enough of a kind to be told from another."""
    folder = tmp_path / "shelf"
    for kind, most in KINDS.items():
        (folder / kind).mkdir(parents=True)
        named = [stamps / FLAMINGO, stamps / POLO]
        there = sorted((stamps / kind).glob("*.png"), key=lambda file: (file not in named, file))
        for file in there[:most]:
            shutil.copyfile(file, folder / kind / file.name)
    return folder


def run(folder, script, *arguments):
    """What a script prints, started in a folder, where its plot stays; its warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script, *arguments],
        cwd=folder,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def drawn(content):
    """The size of a plot, and how many framed queries it has."""
    with Image.open(content) as image:
        pixels = image.convert("RGB")
    # The left edge of a frame is 24 units from the margin, 1.5 pixels each; words are never so high.
    edge = [pixels.getpixel((36, y)) for y in range(pixels.height)]
    runs = [(colour, len(list(run_))) for colour, run_ in groupby(edge)]
    return pixels.size, sum(colour == ImageColor.getrgb(ACCENT) and high > 100 for colour, high in runs)


def answers(said):
    """The answers that were printed: what stands above the ranked lines, and these, as (number, id)."""
    found = {}
    for block in said.split("\n\n"):
        hits = re.findall(r"^ +\d+ +(-?\d+\.\d+)  ([^:\n]+)", block, re.MULTILINE)
        if hits:
            found[block.strip().partition("\n")[0]] = [(float(number), id_) for number, id_ in hits]
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_read_at_a_glance(script):
    """No example is longer than 60 lines, and each begins with how to start it."""
    text = (EXAMPLES / script).read_text("utf-8")
    assert len(text.splitlines()) <= 60
    assert f"\n    python examples/{script} " in text.partition('"""\n\n')[0]


def test_any_layer(shelf):
    """Nearer to the pixels the neighbours are worse; the plot has one query and a row for each layer."""
    layers = [f"efficientnet-lite0@{layer}" for layer in ("input", "block4c", "pool")]
    said = run(shelf.parent, "any_layer.py", shelf.name, POLO, *layers, "--labels", "folder", "-k", "3")
    shares = [int(share) for share in re.findall(r"nearest, (\d+)% belong", said)]
    assert len(shares) == 3
    assert shares[0] < shares[1] < shares[2]
    assert [int(dim.replace(",", "")) for dim in re.findall(r": ([\d,]+) numbers", said)] == [
        3 * 224 * 224,
        80 * 14 * 14,
        1280,
    ]
    pooled = answers(said)["efficientnet-lite0@pool: 1,280 numbers a picture"]
    assert [Path(id_).parent.name for _, id_ in pooled] == ["clothes"] * 3
    (width, height), queries = drawn(shelf.parent / "any-layer.png")
    assert queries == 1
    assert height > width  # three rows of four tiles, with their words
    assert not (shelf / ".lookalike").exists()


def test_a_layer_that_does_not_exist_loses_no_other(shelf):
    """The message about it is printed in its place, and the others are drawn."""
    said = run(
        shelf.parent, "any_layer.py", shelf.name, POLO, "efficientnet-lite0@nonsense", "efficientnet-lite0"
    )
    assert "efficientnet-lite0 has no layer 'nonsense'" in said
    assert drawn(shelf.parent / "any-layer.png")[1] == 1


@pytest.fixture
def table(shelf, tmp_path):
    """A table of products whose pictures a server of this machine has, and the server."""
    handler = functools.partial(_Quiet, directory=str(shelf))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    files = [file for kind in ("clothes", "food/fruit") for file in sorted((shelf / kind).glob("*.png"))]
    rows = [
        {
            "uniq_id": f"{number:032x}",
            "product_name": file.stem,
            "product_category_tree": json.dumps([f"{file.parent.name.title()} >> All"]),
            "image": json.dumps([f"http://127.0.0.1:{server.server_port}/{file.relative_to(shelf)}"]),
        }
        for number, file in enumerate(files)
    ]
    with (tmp_path / "products.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    yield tmp_path / "products.csv", {row["product_name"]: row["uniq_id"] for row in rows}
    server.shutdown()
    server.server_close()
    thread.join()


def test_mailbox_source(shelf, mailboxes):
    """Pictures in a mailbox come in, the likest of them is found, and the page shows them all."""
    birds, clothes = (sorted((shelf / kind).glob("*.png"))[:5] for kind in ("animals/birds", "clothes"))
    box = mailboxes.write(shelf.parent / "mail.mbox", *map(mailboxes.message, [*birds, *clothes]))
    said = run(shelf.parent, "mailbox_source.py", box.name, "gallery", "mail.html")
    assert f"mbox://{box}/message-" in said
    assert (shelf.parent / "mail.html").read_text().count("data:image/jpeg") == 6


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


def test_products(table):
    """Both methods answer each product; by category the clothes come first; a folder needs no table."""
    file, ids = table
    columns = ["--id", "uniq_id", "--keep", "product_name", "product_category_tree=category"]
    said = run(file.parent, "products.py", file.name, *columns, "--allow-private")
    assert said.count(f"{len(ids)} fetched") == 1
    assert (file.parent / "products" / "metadata.csv").exists()
    assert len(re.findall(r"^  \w+: \w+, \w+, \w+$", said, re.MULTILINE)) == 2 * 2

    polo = f"{ids['t_poloshirt']}.png"
    again = run(file.parent, "products.py", "products", polo, "--plot", "polo.png")
    assert again.count(f"{len(ids)} unchanged") == 2
    assert "fetched" not in again
    network, _ = re.findall(r"^  t_poloshirt: (.*)$", again, re.MULTILINE)
    assert network.startswith("t_tshirt, ")
    for ranked in re.findall(r"^  t_poloshirt, by category: (.*)$", again, re.MULTILINE):
        assert re.findall(r" (\d\.\d\d)", ranked) == ["1.00"] * 3
    (_, one), (_, two) = drawn(file.parent / "polo.png"), drawn(file.parent / "products.png")
    assert (one, two) == (1, 2)


def test_class_scores(shelf):
    """The class is named, the distances grow, and the recommended vector is better in every measure."""
    said = run(shelf.parent, "class_scores.py", shelf.name, FLAMINGO)
    assert f"{FLAMINGO}: flamingo " in said
    (found,) = answers(said).values()
    distances = [number for number, _ in found]
    assert len(distances) == 6
    assert distances == sorted(distances)
    measures = re.findall(r"^(\S+@\d+) +([\d.]+) +([\d.]+)$", said, re.MULTILINE)
    assert [name for name, _, _ in measures] == ["P@1", "P@5", "P@10", "recall@10", "mAP@100", "nDCG@10"]
    assert all(float(before) < float(after) for _, before, after in measures)
    (width, height), queries = drawn(shelf.parent / "class-scores.png")
    assert queries == 1
    assert width > 3 * height  # one row of a query and six hits


def test_visual_words(shelf):
    """A word sums its classes, a class's id keeps it apart: the crane that is a bird, and the machine."""
    found = answers(run(shelf.parent, "visual_words.py", shelf.name, FLAMINGO, "crane"))
    picture, word, bird, machine = found.values()
    assert list(found) == [FLAMINGO, "crane", "crane, n02012849 alone", "crane, n03126707 alone"]
    assert all(score >= 1 for hits in found.values() for score, _ in hits)
    assert FLAMINGO not in [id_ for _, id_ in picture]
    assert picture[0][1].startswith("animals/birds/")
    crane = "animals/birds/crowned_crane.png"
    assert word[0][1] == bird[0][1] == crane
    assert machine[0][1].startswith("vehicles/construction/")
    assert {id_: score for score, id_ in machine}.get(crane, 1) < 1.01
    assert drawn(shelf.parent / "visual-words.png")[1] == 4


def test_train_autoencoder(shelf):
    """Trained, it answers beside the default model, and draws what it was asked; again it is not trained."""
    said = run(shelf.parent, "train_autoencoder.py", shelf.name, POLO, "--epochs", "2")
    assert "epoch 2/2 (autoencoder)" in said
    found = answers(said)
    assert [len(hits) for hits in found.values()] == [3, 3]
    assert [re.search(r": ([\d,]+) numbers", name)[1] for name in found] == ["16", "1,280"]
    assert "16 numbers, euclidean" in said
    drawn_to = shelf.parent / "autoencoder.png"
    first = drawn_to.stat().st_mtime_ns
    again = run(shelf.parent, "train_autoencoder.py", shelf.name, POLO)
    assert again.startswith("ae-model is there already")
    assert drawn_to.stat().st_mtime_ns > first


def test_train_ranker(shelf):
    """Trained in seconds and converted, the gallery is measured on pictures that the ranker never saw."""
    said = run(shelf.parent, "train_ranker.py", shelf.name, POLO)
    count = len(list(shelf.rglob("*.png")))
    assert said.startswith(f"{count} added")
    assert len(re.findall(rf"^{count} added", said, re.MULTILINE)) == 2
    measures = re.findall(r"^(\S+@\d+) +([\d.]+) +([\d.]+)$", said, re.MULTILINE)
    assert [name for name, _, _ in measures] == ["P@1", "P@5", "P@10", "recall@10", "mAP@100", "nDCG@10"]
    assert list(answers(said)) == ["before", "after"]


def test_train_deep_ranker(shelf):
    """One command trains a network of chance weights on the folders, and says what it gained."""
    base = ("--base", "keras:VGG16?weights=none&size=32")
    settings = ("--set", "unfreeze=block5_conv3", "epochs=1", "batch=8", "rate=0.001")
    said = run(shelf.parent, "train_deep_ranker.py", shelf.name, *base, *settings)
    assert "epoch 1/1 (ranking)  loss" in said
    gained = re.findall(r"^ +[\d.]+ +[\d.]+  (.*)$", said, re.MULTILINE)
    assert gained == ["P@5, pictures never seen", "mAP@100, pictures never seen"]
    assert (shelf.parent / "my-deep-ranker" / "model.json").is_file()


def test_train_cifar(cifar_folder):
    """Two stages on CIFAR's batches, ten hits with their labels by the scores, and by the vector below."""
    random = np.random.default_rng(0)
    batches = {
        name: (random.integers(0, 256, (30, 32, 32, 3), np.uint8), [n % 3 for n in range(30)])
        for name in ("data_batch_1", "data_batch_2", "test_batch")
    }
    folder = cifar_folder(batches)
    base = ("--base", "keras:VGG16?weights=none&size=32", "--set", "size=32", "unfreeze=block5_conv1")
    said = run(folder.parent, "train_cifar.py", folder.name, "test/00011", *base, "--pictures", "60")
    assert "epoch 6/6 (top)" in said
    assert [len(hits) for hits in answers(said).values()] == [10, 10]
    assert re.findall(r"(\d+) numbers, (\d+) pictures", said) == [("3", "30"), ("512", "30")]
    assert (folder.parent / "cifar-scores.png").exists()


def test_the_notebook_is_kept_without_outputs():
    """No cell has an output or a number, so that it differs only where its author changed it."""
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """The name of a kernel that is this very Python, whatever kernels are installed."""
    home = tmp_path / "jupyter"
    (home / "kernels" / "this").mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    content = {"argv": start, "display_name": "this", "language": "python"}
    (home / "kernels" / "this" / "kernel.json").write_text(json.dumps(content))
    for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    return "this"


@pytest.fixture
def toured(shelf, kernel, tmp_path, monkeypatch):
    """What the cells of the notebook show, by their ids, run on the shelf."""
    monkeypatch.setenv("LOOKALIKE_EXAMPLE_PICTURES", str(shelf))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, kernel_name=kernel, timeout=300, resources=resources).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def shown(outputs, kind):
    """The one thing of a kind, such as text/html, that a cell shows."""
    (found,) = (output.data[kind] for output in outputs if kind in output.get("data", {}))
    return found


def test_the_notebook(toured, shelf):
    """From the folder to the plots every cell runs, shows what it says, and writes nothing to stderr."""
    assert not [out for outs in toured.values() for out in outs if out.get("name") == "stderr"]
    count = len(list(shelf.rglob("*.png")))
    assert toured["index"][0].text.startswith(f"{count} added; {count} pictures in ")
    page = shown(toured["search"], "text/html")
    assert page.count("<img") == 7
    assert "<script" not in page
    for cell, queries in {"plot": 2, "where": 1, "answers": 1}.items():
        assert drawn(_png(toured[cell]))[1] == queries
    assert "animals/birds" in shown(toured["find"], "text/html")
    frame = shown(toured["pandas"], "text/html")
    assert all(f"<th>{column}</th>" in frame for column in ("rank", "id", "score", "distance", "tags"))
    assert "'P@5': 0." in toured["evaluate"][0].text
    table = shown(toured["compare"], "text/html")
    assert table.count("<tr>") == 1 + 3
    assert "block3b+avg</td>" in table
    with Image.open(_png(toured["quality"])) as chart:
        assert chart.width > 1000


def _png(outputs):
    """The picture that a cell shows, as a file."""
    return BytesIO(b64decode(shown(outputs, "image/png")))
