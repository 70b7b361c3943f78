"""`lookalike train`, `reconstruct` and `convert`, as a user types them."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lookalike.cli.training import training_options

PROGRAM = Path(sys.executable).with_name("lookalike")
SHAPES = ("circle", "cross", "stripes")
TINY = ("--set", "inner=16", "--set", "widths=8,16", "--size", "32", "--latent", "4", "--set", "batch=8")


@pytest.fixture
def lookalike(tmp_path):
    """Run `lookalike WORDS` in a folder of its own."""

    def run(*words, code=0):
        done = subprocess.run(
            [PROGRAM, *map(str, words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def test_an_autoencoder(lookalike, shapes, tmp_path):
    """Trained, indexed, and what it draws shown: a line an epoch, its measures, the plots."""
    made = lookalike(
        *("train", "autoencoder", shapes, "--out", "ae", "--epochs", "3", "--seed", "2", *TINY),
        *("--plot", "history.png"),
    )
    lines = made.stderr.splitlines()
    assert [line.split(" ")[1] for line in lines if line.startswith("epoch ")] == ["1/3", "2/3", "3/3"]
    assert made.stdout.splitlines()[0].startswith(f"{tmp_path}/ae: ")
    assert "train mse" in made.stdout
    assert "unexpected" not in made.stderr
    assert (tmp_path / "history.png").stat().st_size > 1000
    assert "48 added" in lookalike("index", shapes, "--gallery", "gallery", "--model", "ae").stdout
    info = json.loads(lookalike("info", "--gallery", "gallery", "--json").stdout)
    assert (info["dim"], info["metric"], info["model"]) == (4, "euclidean", f"{tmp_path}/ae")
    picture = shapes / "circle" / "00.png"
    words = ("reconstruct", picture, shapes / "cross" / "00.png", "--model", "ae")
    drawn = lookalike(*words, "--plot", "out.png")
    assert len(drawn.stdout.splitlines()) == 3
    assert (tmp_path / "out.png").stat().st_size > 1000
    (first, _) = json.loads(lookalike(*words, "--json").stdout)["pictures"]
    assert first["mse"] > 0
    seen = lookalike("describe", picture, "--gallery", "gallery", code=1)
    assert "no classes" in seen.stderr


def test_a_ranker(lookalike, stamps, tmp_path):
    """From a folder to a converted gallery, compared on pictures that the ranker never saw."""
    folder = tmp_path / "shelf"
    for kind in ("animals/birds", "vehicles/construction", "clothes", "food/fruit"):
        (folder / kind).mkdir(parents=True)
        for file in sorted((stamps / kind).glob("*.png"))[:16]:
            os.link(file, folder / kind / file.name)
    lookalike("index", folder)
    made = json.loads(lookalike("train", "ranker", folder, "--out", "ranker", "--json").stdout)
    assert made["pictures"]["test"] > 0
    assert {"test_p5", "base_test_p5"} <= made["measures"].keys()
    assert "the vectors were read from the gallery default" in " ".join(made["notes"])
    converted = lookalike("convert", folder, "--model", "ranker", "--name", "ranked")
    assert converted.stdout.startswith(f"{len(list(folder.rglob('*.png')))} added")
    words = ("evaluate", "--gallery", folder, "--name", "ranked", "--labels", "folder", "--split", "test")
    measured = json.loads(lookalike(*words, "--json").stdout)
    assert measured["queries"] <= made["pictures"]["test"]


def test_pairs(lookalike, shapes, tmp_path):
    """A ranker learns from a table of queries with a better and a worse picture, too."""
    kinds = [sorted(path.relative_to(shapes) for path in (shapes / kind).iterdir()) for kind in SHAPES]
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("query", "better", "worse"))
        for kind, other in zip(kinds, kinds[1:] + kinds[:1], strict=True):
            table.writerows((kind[i], kind[i - n], other[n]) for i in range(16) for n in range(1, 6))
    made = lookalike("train", "ranker", shapes, "--labels", "pairs.csv", "--out", "ranker", "--json")
    made = json.loads(made.stdout)
    assert made["recipe"]["kind"] == "ranker"
    assert {"test_right", "base_test_right"} <= made["measures"].keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ranker", "--epochs", "3"), "no 'epochs' to set"),
        (("autoencoder", "--size", "33"), "33"),
        (("classifier", "--set", "rate"), "expected FIELD=VALUE"),
        (("classifier", "--set", "speed=1"), "no 'speed' to set"),
        (("classifier", "--base", "keras:Nothing"), "Nothing"),
        (("classifier", "--labels", "folder:0"), "folder:0"),
    ],
)
def test_what_cant_be_meant(lookalike, shapes, tmp_path, words, said):
    """A setting that can't be meant is told in one line, and nothing is left behind."""
    done = subprocess.run(
        [PROGRAM, "train", words[0], str(shapes), "--out", "model", *words[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "model").exists()


def test_ctrl_c_while_nothing_learns(tmp_path):
    """Stopped while it reads or writes: that epochs are kept is said if there are any, and how to go on."""

    @click.command
    @training_options
    def stop(**_):
        raise KeyboardInterrupt

    words = ["photos", "--out", str(tmp_path / "model")]
    assert "--resume" not in CliRunner().invoke(stop, words).output
    (tmp_path / "model" / ".training").mkdir(parents=True)
    (tmp_path / "model" / ".training" / "last.npz").touch()
    assert "go on with --resume" in CliRunner().invoke(stop, words).output


def test_ctrl_c(shapes, tmp_path):
    """Stopped by Ctrl-C the best so far is the model, the exit code says so, and --resume goes on."""
    command = [PROGRAM, "train", "autoencoder", str(shapes), "--out", "ae", "--epochs", "400", *TINY]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch 3/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume goes on" in err
    assert out.startswith(f"{tmp_path}/ae: ")
    assert (tmp_path / "ae" / "model.json").exists()
    process = subprocess.Popen([*command, "--resume"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    first = next(line for line in process.stderr if line.startswith("epoch "))
    process.kill()
    process.communicate()
    assert int(first.split(" ")[1].partition("/")[0]) >= 4
