"""`lookalike index TABLE`, by the real program."""

import json

from PIL import Image


def test_index_takes_the_pictures_and_their_fields_from_one_table(lookalike, tmp_path):
    """Both are found in the same column, from the table's own folder."""
    (tmp_path / "lists").mkdir()
    for name, colour in {"red.png": "red", "blue.png": "blue"}.items():
        Image.new("RGB", (9, 9), colour).save(tmp_path / "lists" / name)
    table = tmp_path / "lists" / "urls.csv"
    table.write_text("id,url,price\n1,red.png,5\n2,blue.png,7\n")
    words = ("index", "lists/urls.csv", "--metadata", "lists/urls.csv", "--model", "toy", "--json")
    done = lookalike(*words, "--gallery", tmp_path / "gallery")
    assert (done.returncode, json.loads(done.stdout)["added"], done.stderr) == (0, 2, "")
    words = ("search", "lists/red.png", "--gallery", tmp_path / "gallery", "--where", "price>5", "--json")
    hits = json.loads(lookalike(*words).stdout)["hits"]
    assert [(hit["id"], hit["metadata"]) for hit in hits] == [("lists/blue.png", {"id": 2, "price": 7})]
