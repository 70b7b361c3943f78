"""`lookalike fetch`, as it is typed."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lookalike.cli.fetching import fetch
from lookalike.errors import UsageError


def run(*words):
    """Run the command in this process."""
    return CliRunner().invoke(fetch, [str(word) for word in words])


def test_it_says_what_came_and_what_did_not(server, table, tmp_path):
    """The summary, the first failures with their reasons, and exit code 0 although some failed."""
    rows = [[n, f"{server.address}/{'image' if n > 6 else 'missing'}/{n}"] for n in range(10)]
    done = run(table(["id", "url"], rows), "--into", tmp_path / "p", "--allow-private")
    assert done.exit_code == 0
    assert done.stdout.startswith("3 fetched, 7 failed; 3 pictures in ")
    assert f"metadata: {tmp_path / 'p' / 'metadata.csv'}" in done.stdout
    assert done.stderr.count("answered 404 Not Found") == 5
    assert f"and 2 more; {tmp_path / 'p' / 'failed.csv'} lists every one" in done.stderr


def test_every_option_reaches_the_library(server, flipkart, tmp_path):
    """A table of products by its own columns, with limits, as JSON."""
    words = ["--image", "image", "--id", "uniq_id", "--keep", "product_name,pid=code", "--keep", "brand"]
    words += ["--all-images", "--per-host", 2, "--jobs", 2, "--timeout", 5, "--retries", 0, "--max-size", 1]
    done = run(flipkart(server.address, 3), "--into", tmp_path / "p", *words, "--allow-private", "--json")
    report = json.loads(done.stdout)
    assert (report["fetched"], report["failed"], server.most <= 2) == (6, [], True)
    header = (tmp_path / "p" / "metadata.csv").read_text("utf-8").splitlines()[0]
    assert header == "path,id,product_name,code,brand,url"


def test_addresses_of_this_machine_need_the_flag(server, table, tmp_path):
    """Without --allow-private nothing here is asked; with no picture at all the exit code is 1."""
    done = run(table(["url"], [[f"{server.address}/image/1"]]), "--into", tmp_path / "p", "--quiet")
    assert (done.exit_code, done.stdout, sum(server.asked.values())) == (1, "", 0)
    done = run(table(["url"], [[f"{server.address}/image/1"]]), "--into", tmp_path / "p")
    assert "note: --allow-private" in done.stderr


def test_a_small_limit_refuses(server, table, tmp_path):
    """--max-size is in megabytes."""
    file = table(["url"], [[f"{server.address}/image/1"]])
    done = run(file, "--into", tmp_path / "p", "--allow-private", "--max-size", "0.0001")
    assert "the limit is 0.0 MB" in done.stderr


def test_a_missing_column_is_a_usage_error(table, tmp_path):
    """The message lists the columns there are."""
    done = run(table(["a", "b"], []), "--into", tmp_path / "p", "--image", "c")
    assert isinstance(done.exception, UsageError)
    assert "has no column 'c'; it has: a, b" in str(done.exception)


@pytest.mark.parametrize("words", [[], ["--into", "p", "--jobs", "0"], ["--into", "p", "--timeout", "0"]])
def test_usage_errors(table, words):
    """A missing folder and impossible numbers end with exit code 2."""
    assert run(table(["url"], []), *words).exit_code == 2
