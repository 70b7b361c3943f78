"""The shipped table, and the script that makes it from WordNet's files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lookalike.extractors.vocabulary
from lookalike.extractors.vocabulary.names import fold, plurals, singulars, table

PACKAGE = Path(lookalike.extractors.vocabulary.__file__).parent
SCRIPT = Path(__file__).parents[3] / "scripts/make_classes.py"
NEAR = Path(__file__).parents[3] / "scripts/make_everyday.py"


def test_every_synset_leads_to_the_top():
    """Each parent is in the table, and only `entity` has none."""
    synsets = table().synsets
    assert all(parent in synsets for _, parents in synsets.values() for parent in parents)
    assert [names for names, parents in synsets.values() if not parents] == [["entity"]]


def test_the_table_is_small_and_its_licence_beside_it():
    """A few hundred kB at most; WordNet asks for its notice on every copy."""
    assert (PACKAGE / "imagenet.json").stat().st_size < 300_000
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in (PACKAGE / "LICENSE.wordnet").read_text()


def test_importing_the_vocabulary_is_light():
    """Neither numpy nor difflib is loaded, and the table is not read."""
    code = (
        "import sys; from lookalike.extractors.vocabulary.names import table;"
        "print({'numpy', 'difflib'} & set(sys.modules), table.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() 0\n"


def test_singulars_follow_wordnets_rules():
    """Detachment by ending, exceptions first, any word of a phrase; `ss` and two letters stay."""
    irregular = {"mice": ["mouse"]}
    assert next(singulars("mice", irregular)) == "mouse"
    assert "church" in singulars("churches", irregular)
    assert "fireman" in singulars("firemen", irregular)
    assert "attorney general" in singulars("attorneys general", irregular)
    assert "computer mouse" in singulars("computer mice", irregular)
    assert list(singulars("glass", irregular)) == list(singulars("as", irregular)) == []
    assert {"mice", "mouses"} <= set(plurals("mouse", irregular))
    assert "berries" in plurals("berry", irregular)


def test_folding_keeps_what_matters():
    """Spaces, hyphens, case and width are folded; accents and apostrophes are not."""
    assert fold("  Lady\u2019s__Slipper ") == "lady's slipper"
    assert fold("\uff34\u2010shirt") == fold("T-SHIRT") == "t shirt"
    assert fold("Caf\u00e9") == fold("cafe\u0301") != fold("cafe")


@pytest.fixture
def small_wordnet(tmp_path):
    """A folder laid out as WordNet's: an instance above a class, two names, one pointer of another kind."""
    lines = ["  1 a licence line\n", "", "", ""]
    top = len(lines[0])
    lines[1] = f"{top:08d} 03 n 01 entity 0 000 | all there is  \n"
    bird = top + len(lines[1])
    lines[2] = f"{bird:08d} 05 n 02 bird 0 Aves_class 0 001 @i {top:08d} n 0000 | it flies  \n"
    crane = bird + len(lines[2])
    lines[3] = f"{crane:08d} 05 n 01 crane 0 002 @ {bird:08d} n 0000 + 00000001 v 0101 | a wader | or not  \n"
    (tmp_path / "data.noun").write_text("".join(lines))
    (tmp_path / "noun.exc").write_text("aves avis\ncranen crane nothing\n")
    (tmp_path / "wnids.txt").write_text(f"n{crane:08d}\n")
    return tmp_path, [f"n{offset:08d}" for offset in (top, bird, crane)]


def make(wordnet, wnids, output):
    command = [sys.executable, SCRIPT, wordnet, wnids, "--output", output]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_reads_wordnets_format(small_wordnet, tmp_path):
    """Names, direct hypernyms of both kinds, and the exceptions whose singular is a name."""
    folder, (top, bird, crane) = small_wordnet
    made = make(folder, folder / "wnids.txt", tmp_path / "table.json")
    assert made.returncode == 0, made.stderr
    written = json.loads((tmp_path / "table.json").read_text())
    assert written["classes"] == [crane]
    assert written["synsets"] == {
        top: [["entity"], []],
        bird: [["bird", "Aves class"], [top]],
        crane: [["crane"], [bird]],
    }
    assert written["plurals"] == {"cranen": ["crane"]}


def test_the_script_refuses_another_wordnet(small_wordnet, tmp_path):
    """An offset where no synset begins is an error that says so, and nothing is written."""
    folder, _ = small_wordnet
    (folder / "wnids.txt").write_text("n00000003\n")
    made = make(folder, folder / "wnids.txt", tmp_path / "table.json")
    assert "this is not WordNet 3.0" in made.stderr
    assert not (tmp_path / "table.json").exists()


def test_the_shipped_table_is_what_the_script_makes(wordnet, tmp_path):
    """Made again from WordNet 3.0, the table is the same byte for byte."""
    (tmp_path / "wnids.txt").write_text("\n".join(table().classes))
    made = make(wordnet, tmp_path / "wnids.txt", tmp_path / "table.json")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "table.json").read_bytes() == (PACKAGE / "imagenet.json").read_bytes()


def test_the_shipped_everyday_words_are_what_the_script_makes(wordnet, tmp_path):
    """Made again from WordNet 3.0, the table of what comes near to a word is the same byte for byte."""
    made = subprocess.run(
        [sys.executable, NEAR, wordnet, "--output", tmp_path / "near.json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "near.json").read_bytes() == (PACKAGE / "everyday.json").read_bytes()
    assert (PACKAGE / "everyday.json").stat().st_size < 200_000
