"""`lookalike evaluate` and `lookalike compare`, as they are typed and printed."""

import json
import signal
import subprocess
import sys
import time

import click
import pytest

from lookalike import Gallery
from lookalike.cli import commands, measure
from lookalike.errors import NotFound, UsageError

RED = "toy?normalize=0#euclidean"


@pytest.fixture
def folder(tmp_path, paint):
    """Four pictures of different red on a line, a at 0 and 1, b at 3 and 7."""
    return paint(tmp_path / "line", {"a/0.png": 0, "a/1.png": 20, "b/3.png": 60, "b/7.png": 140})


@pytest.fixture
def indexed(folder):
    """The folder, with its gallery."""
    with Gallery.open(folder, model="toy?normalize=0", metric="euclidean") as gallery:
        gallery.add()
    return folder


def run(command, *words):
    """The exit code of a command in this process; errors are raised."""
    # By way of the program: alone, a command would keep a help option without -h for ever.
    arguments = [command.name, *map(str, words)]
    return commands.main(arguments, prog_name="lookalike", standalone_mode=False) or 0


def test_evaluate_prints_a_table(indexed, capsys):
    """One row for all queries, one for each label, with the measures on the left."""
    assert run(measure.evaluate, indexed, "--labels", "folder") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines[0] == ["P@1", "P@5", "P@10", "recall@10", "mAP@100", "nDCG@10", "queries", "label"]
    assert lines[1] == ["0.750", "0.200", "0.100", "1.000", "0.833", "0.875", "4", "all"]
    assert [line[-1] for line in lines[2:]] == ["a", "b"]


def test_evaluate_shows_the_best_and_the_worst(tmp_path, paint, capsys):
    """Of many labels five of either end are shown, and all of them with --by-label."""
    folder = paint(
        tmp_path / "many", {f"{n:02}/{i}.png": 6 * n + 90 * i for n in range(14) for i in range(2)}
    )
    with Gallery.open(folder, model="toy?normalize=0", metric="euclidean") as gallery:
        gallery.add()
    run(measure.evaluate, folder, "--labels", "folder")
    assert "(4 more labels between: --by-label)" in capsys.readouterr().out
    run(measure.evaluate, folder, "--labels", "folder", "--by-label")
    assert len(capsys.readouterr().out.splitlines()) == 2 + 1 + 14


def test_evaluate_finds_the_gallery(indexed, tmp_path, monkeypatch, capsys):
    """Without a folder it is the one found upward; a folder told wins over the environment."""
    monkeypatch.chdir(indexed / "a")
    run(measure.evaluate, "--labels", "folder", "--json", "-k", "1")
    here = json.loads(capsys.readouterr().out)
    monkeypatch.setenv("LOOKALIKE_GALLERY", str(tmp_path / "elsewhere"))
    run(measure.evaluate, indexed, "--labels", "folder", "--json", "-k", "1")
    assert json.loads(capsys.readouterr().out) == here
    assert here["measures"]["P@1"] == 0.75
    with pytest.raises(NotFound):
        run(measure.evaluate, tmp_path, "--labels", "folder")


def test_evaluate_splits(indexed, tmp_path, capsys):
    """By a file of ids, a share or a filter; what is said of it goes to standard error."""
    ids = tmp_path / "ids.txt"
    ids.write_text("b/3.png\n\na/0.png\n")
    for split, queries in ((ids, 2), ("folder=b", 0), (".25", 1)):
        if queries:
            run(measure.evaluate, indexed, "--labels", "folder", "--split", split, "--json")
            assert json.loads(capsys.readouterr().out)["queries"] == queries
        else:
            with pytest.raises(UsageError, match="nothing to ask"):
                run(measure.evaluate, indexed, "--labels", "folder", "--split", split)


def test_evaluate_says_what_was_expected(indexed):
    """Labels that match nothing are an error that names the forms."""
    with pytest.raises(UsageError, match="expected folder, folder:N, name:REGEX"):
        run(measure.evaluate, indexed, "--labels", "kind")


@pytest.mark.parametrize(
    "words",
    [
        ["--query", "Q1", "Q2", "-k", "2", "--models", RED, "toy"],
        ["--query", "Q1", "--query", "Q2", "--models", RED, "--models", "toy", "-k", "2"],
        ["--models", RED, "toy", "-k2", "--query", "Q1", "Q2", "--quiet"],
    ],
)
def test_options_take_several_words(folder, capsys, words):
    """`--models A B` and `--models A --models B` are the same, wherever they stand."""
    places = {"Q1": "a/0.png", "Q2": str(folder / "b" / "7.png")}
    assert run(measure.compare, folder, *(places.get(word, word) for word in words)) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("query")] == [
        "query a/0.png",
        f"query {places['Q2']}",
    ]
    assert shown.count(RED) == shown.count("toy ") + shown.count("toy\n") == 2 * 2 + 1


def test_the_folder_may_stand_behind_two_dashes(folder, capsys):
    """`--` ends the words of an option; without it the folder is missed, and the message says why."""
    assert run(measure.compare, "--labels", "folder", "--models", RED, "--", folder) == 0
    assert "0.833" in capsys.readouterr().out
    with pytest.raises(click.UsageError, match="before options that take several words"):
        run(measure.compare, "--labels", "folder", "--models", RED, folder)


def test_compare_prints_plots_and_pages(folder, tmp_path, capsys):
    """A row a method; both plots and the page are written, and told on standard error."""
    plot, page = tmp_path / "c.png", tmp_path / "c.html"
    words = [
        "--models",
        RED,
        "toy",
        "--labels",
        "folder",
        "--query",
        "a/0.png",
        "--plot",
        plot,
        "--html",
        page,
    ]
    assert run(measure.compare, folder, *words) == 0
    shown = capsys.readouterr()
    table = shown.out.splitlines()[-3:]
    assert table[0].split() == [
        "P@5", "mAP@100", "nDCG@10", "dim", "bytes/picture", "pictures/s", "ms/search", "method",
    ]  # fmt: skip
    assert table[1].split()[:3] == ["0.200", "0.833", "0.875"]
    assert [line.split()[-1] for line in table[1:]] == [RED, "toy"]
    assert plot.stat().st_size > 5000
    assert plot.with_name("c-quality.png").stat().st_size > 5000
    assert RED.split("#", maxsplit=1)[0].replace("&", "&amp;") in page.read_text()
    assert shown.err.count("written to") == 3


def test_a_failed_method_makes_the_exit_code_1(folder, capsys):
    """The others are shown, its row and a line on standard error say why."""
    assert run(measure.compare, folder, "--models", "nonsense", RED, "--labels", "folder") == 1
    shown = capsys.readouterr()
    assert "0.833" in shown.out
    assert "nonsense (failed)" in shown.out
    assert shown.err.count("there is no model 'nonsense'") == 1


def test_where_all_methods_failed_nothing_is_drawn(folder, tmp_path, capsys):
    """There is no answer to show, and no plot of nothing is written."""
    plot = tmp_path / "c.png"
    words = ["--models", "nonsense", "--query", "a/0.png", "--plot", plot]
    assert run(measure.compare, folder, *words) == 1
    assert not plot.exists()
    assert "query" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "file", "said"),
    [
        ("--plot", "c.gif", "use .png, .svg or .pdf"),
        ("--plot", "nowhere/c.png", "there is no folder"),
        ("--html", "nowhere/c.html", "there is no folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_first(folder, tmp_path, capsys, option, file, said):
    """Before the long work: no method has printed anything."""
    with pytest.raises((UsageError, click.UsageError), match=said):
        run(measure.compare, folder, "--models", RED, "--labels", "folder", option, tmp_path / file)
    assert capsys.readouterr().out == ""


def test_compare_prints_json(folder, capsys):
    """Nothing but one object is on standard output."""
    run(measure.compare, folder, "--models", RED, "--labels", "folder", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["methods"][0]["measures"]["mAP@100"] == pytest.approx(5 / 6)


STOPPED = """
import sys
from lookalike.cli import commands, measure, run
commands.add_command(measure.compare)
sys.exit(run(sys.argv[1:]))
"""


def test_ctrl_c_leaves_nothing(stamps, tmp_path):
    """Stopped while it makes a gallery, the program removes it and exits as if stopped by hand."""
    place = tmp_path / "tmp"
    place.mkdir()
    words = ["compare", stamps, "--models", "toy?grid=4", "--labels", "folder:2"]
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, *words], env={"TMPDIR": str(place)}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not list(place.glob("*/gallery/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert (process.returncode, list(place.iterdir())) == (130, [])
    assert "stopped" in said
