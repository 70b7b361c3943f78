"""Whole runs against a real server."""

from __future__ import annotations

import csv
import json
import time

import pytest

from lookalike.errors import UsageError
from lookalike.gallery import Gallery
from lookalike.sources.fetch import fetch
from lookalike.sources.tables import read_metadata
from lookalike.system.text import unguarded


def rows_of(file):
    """The rows of a CSV file."""
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def names_in(folder):
    """The names of everything in a folder, hidden or not, but for what spares its tables the indexing."""
    return sorted({file.name for file in folder.iterdir()} - {".lookalikeignore"})


def get(table, into, **options):
    """Fetch from this machine."""
    return fetch(table, into, **({"allow_private": True, "per_host": 8} | options))


def failing(server, table, into, path, **options):
    """Why fetching this one path fails."""
    report = get(table(["id", "url"], [["a", server.address + path]]), into, **options)
    assert (report.fetched, names_in(into)) == (0, ["failed.csv", "metadata.csv"])
    assert rows_of(into / "failed.csv") == [failure._asdict() for failure in report.failed]
    return report.failed[0].reason


def test_a_shop_becomes_a_folder_and_a_gallery(server, flipkart, pictures, tmp_path):
    """The first address of every product comes, named by id, and its kept columns reach a gallery."""
    into = tmp_path / "products"
    table = flipkart(server.address, 300)
    report = get(table, into, image="image", id="uniq_id", keep=["product_name,brand", "description"])
    assert (report.fetched, report.present, report.total, report.failed) == (300, 0, 300, [])
    assert len(server.asked) == 300
    first = "c2d766ca982eca8304150849735f0011"
    assert (into / f"{first}.jpg").read_bytes() == pictures(17)
    metadata = read_metadata(into / "metadata.csv")
    assert metadata[f"{first}.jpg"] == {
        "id": first,
        "product_name": 'Alisha Solid Women\'s Cycling Shorts, "17"',
        "brand": "Alisha",
        "description": "Key Features of 17\nCotton Lycra Navy, Red,\tSpecifications",
        "url": f"{server.address}/image/short-alisha-17-original.jpeg",
    }
    with Gallery.open(into, model="toy") as gallery:
        indexed = gallery.add(metadata=metadata)
        assert (indexed.added, indexed.skipped, indexed.notes) == (300, [], [])
        assert gallery.search(pictures(17), k=1, where=f"id={first}")[0].metadata["brand"] == "Alisha"


def test_all_images(server, flipkart, tmp_path):
    """Every address of a row is a picture of its own."""
    report = get(flipkart(server.address, 5), tmp_path / "p", image="image", id="uniq_id", all_images=True)
    assert report.fetched == 10
    assert "c2d766ca982eca8304150849735f0004_2.jpg" in names_in(tmp_path / "p")


def test_the_ending_is_what_the_file_is(server, table, tmp_path):
    """Neither address nor server decides what a picture is called: its bytes do."""
    kinds = {"PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "JPEG": ".jpg"}
    get(table(["id", "url"], [[k, f"{server.address}/kind/{k}.xyz"] for k in kinds]), tmp_path / "p")
    assert set(names_in(tmp_path / "p")) == {*(k + e for k, e in kinds.items()), "failed.csv", "metadata.csv"}


def test_hostile_ids_stay_in_the_folder(server, table, tmp_path):
    """Whatever the id, its file is in the folder, and metadata.csv has the id itself."""
    ids = [
        "../../x",
        "/etc/x",
        "..",
        "CON",
        "商品/1",
        'say "hi",\nthere',
        "=1+1",
        "x" * 900,
        "metadata.csv",
        "ab",
        "AB",
    ]
    report = get(
        table(["id", "url"], [[i, f"{server.address}/image/{n}"] for n, i in enumerate(ids)]), tmp_path / "p"
    )
    assert report.fetched == len(ids)
    assert names_in(tmp_path) == ["p", "table.csv"]
    assert [unguarded(row["id"]) for row in rows_of(tmp_path / "p" / "metadata.csv")] == ids
    assert set(read_metadata(tmp_path / "p" / "metadata.csv")) <= set(names_in(tmp_path / "p"))


def test_a_link_is_replaced_and_not_followed(server, table, tmp_path):
    """A link of the picture's name that leads nowhere is no way out of the folder."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").symlink_to(tmp_path / "outside.jpg")
    assert get(table(["id", "url"], [["a", f"{server.address}/image/1"]]), tmp_path / "p").fetched == 1
    assert not (tmp_path / "outside.jpg").exists()
    assert not (tmp_path / "p" / "a.jpg").is_symlink()


def test_no_link_in_the_folder_leads_out(server, table, tmp_path):
    """Links under the names that fetch works with are put aside, wherever they lead."""
    folder, outside = tmp_path / "p", tmp_path / "outside"
    folder.mkdir()
    for name in (".lookalike-0.part", ".lookalike-metadata.csv.part", ".lookalikeignore"):
        (folder / name).symlink_to(outside)
    assert get(table(["id", "url"], [["a", f"{server.address}/image/1"]]), folder).fetched == 1
    assert not outside.exists()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/missing/1.jpg", "answered 404 Not Found"),
        ("/page/1.jpg", "not a picture: an HTML page"),
        ("/announced/1", "1,000,000.0 MB, the limit is 1.0 MB"),
        ("/huge/1", "more, the limit is 1.0 MB"),
        ("/truncated/1", "the answer broke off"),
        ("/half/JPEG", "truncated JPEG"),
        ("/half/PNG", "truncated PNG"),
        ("/slow/1", "not done after 0.5 seconds"),
        ("/loop/1", "more than 5 redirects"),
        ("/file/1", "only http:// and https:// are fetched, not file://"),
        ("/broken/1", "answered 503 Service Unavailable"),
        ("/later/1", "answered 429 Too Many Requests, and asks to wait 86,400 seconds"),
    ],
)
def test_what_is_no_picture_is_told_with_its_reason(server, table, tmp_path, path, says):
    """Whatever comes instead of a whole picture leaves no file, and its reason in failed.csv."""
    reason = failing(server, table, tmp_path / "p", path, retries=0, timeout=0.5, max_bytes=10**6)
    assert says in reason


@pytest.mark.parametrize(
    "url", ["ftp://a.org/x.jpg", "//a.org/x.jpg", "x.jpg", "http://[::1/x", "http://a\0b/", "http://:80/"]
)
def test_what_is_no_address_is_told(table, tmp_path, url):
    """An address that can't be asked is a failure of its row, not of the run."""
    report = get(table(["id", "url"], [["a", url]]), tmp_path / "p", retries=0)
    assert "http" in report.failed[0].reason or "machine" in report.failed[0].reason


@pytest.mark.parametrize("path", ["/flaky/1", "/busy/1", "/reset/1"])
def test_what_may_get_better_is_tried_again(server, table, tmp_path, path):
    """Two errors, a request to wait, and a broken connection still give the picture."""
    began = time.monotonic()
    report = get(table(["id", "url"], [["a", server.address + path]]), tmp_path / "p")
    assert (report.fetched, report.failed) == (1, [])
    assert time.monotonic() - began >= {"/flaky/1": 0.7, "/busy/1": 1.0, "/reset/1": 0.2}[path]


@pytest.mark.parametrize(
    ("path", "asked"), [("/missing/1", 1), ("/page/1", 1), ("/half/JPEG", 1), ("/broken/1", 3)]
)
def test_only_what_may_get_better_is_tried_again(server, table, tmp_path, path, asked):
    """A missing page is asked for once, a server in trouble as often as told."""
    failing(server, table, tmp_path / "p", path, retries=2)
    assert server.asked[path] == asked


def test_a_host_that_asks_to_wait_is_left_alone(server, table, tmp_path):
    """While one answer asks to wait, the host gets no other request; a wait too long ends it for the run."""
    rows = [[n, f"{server.address}/later/{n}"] for n in range(50)]
    report = get(table(["id", "url"], rows), tmp_path / "p", per_host=2)
    assert len(report.failed) == 50
    assert sum(server.asked.values()) <= 4


def test_a_host_that_is_gone_is_not_asked_for_ever(table, tmp_path, unused_port):
    """After ten requests without any answer the rest of a host's pictures fail at once."""
    rows = [[n, f"http://127.0.0.1:{unused_port}/{n}.jpg"] for n in range(500)]
    began = time.monotonic()
    report = get(table(["id", "url"], rows), tmp_path / "p", retries=1)
    reasons = {failure.reason for failure in report.failed}
    assert (len(report.failed), time.monotonic() - began < 10) == (500, True)
    assert "not asked: the host gave no answer 10 times in a row" in reasons


def test_redirects_are_followed_host_by_host(server, table, tmp_path):
    """A redirect on the same host, and to another, gives the picture under the row's own address."""
    paths = [f"/{word}/{n}" for n in range(10) for word in ("moved", "elsewhere")]
    report = get(table(["id", "url"], [[p, server.address + p] for p in paths]), tmp_path / "p")
    assert report.fetched == 20
    assert {row["url"] for row in rows_of(tmp_path / "p" / "metadata.csv")} == {
        server.address + p for p in paths
    }


def test_private_addresses_are_refused(server, table, tmp_path):
    """Unless allowed, nothing on this machine is asked, by whatever name."""
    port = server.server_port
    hosts = ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "10.0.0.1"]
    rows = [[host, f"http://{host}:{port}/image/1"] for host in hosts]
    report = fetch(table(["id", "url"], rows), tmp_path / "p", retries=0)
    assert (len(report.failed), sum(server.asked.values())) == (len(hosts), 0)
    assert sum("is not a public address" in failure.reason for failure in report.failed) >= 4


def test_redirects_into_this_machine_are_refused(server, table, tmp_path, monkeypatch):
    """A host that was found public may not lead to one that is not.

    No public server can be had in a test: the check is told that the first address is public.
    """
    answers = iter([True])
    monkeypatch.setattr("lookalike.sources.web.addresses.is_public", lambda _: next(answers, False))
    file = table(["id", "url"], [["a", f"{server.address}/elsewhere/1"]])
    (failure,) = fetch(file, tmp_path / "p").failed
    assert failure.reason.startswith("redirected to http://localhost")
    assert "is not a public address" in failure.reason
    assert list(server.asked) == ["/elsewhere/1"]


def test_a_redirect_keeps_its_secrets(server, table, tmp_path):
    """What failed behind a redirect is told without the password and query that the server added."""
    report = get(table(["id", "url"], [["a", f"{server.address}/signed/1"]]), tmp_path / "p")
    assert "redirected to http://127.0.0.1" in report.failed[0].reason
    assert "word" not in report.failed[0].reason
    assert "secret" not in report.failed[0].reason


@pytest.mark.parametrize("per_host", [1, 3])
def test_a_host_is_asked_no_more_often_than_is_polite(server, table, tmp_path, per_host):
    """Requests at a time stay within the limit, also those that another host's redirects lead to."""
    server.latency = 0.02
    words = ["image", "image", "elsewhere"]
    rows = [[n, f"{server.address}/{words[n % 3]}/{n}"] for n in range(30)]
    assert get(table(["id", "url"], rows), tmp_path / "p", per_host=per_host).fetched == 30
    assert server.most_of_one <= per_host
    assert len(server.connections) <= 2 * per_host


def test_jobs_limits_all_hosts_together(server, table, tmp_path):
    """Two names of one machine are two hosts, and share the threads there are."""
    server.latency = 0.02
    hosts = ["127.0.0.1", "localhost"]
    rows = [[f"{h}{n}", f"http://{h}:{server.server_port}/image/{n}"] for h in hosts for n in range(20)]
    assert get(table(["id", "url"], rows), tmp_path / "p", per_host=8, jobs=3).fetched == 40
    assert server.most <= 3


def test_what_is_there_is_not_fetched_again(server, table, tmp_path):
    """A second run asks only for what failed, what is new, and what has another address now."""
    into = tmp_path / "p"
    columns, good = ["id", "url", "n"], [[f"g{n}", f"{server.address}/image/{n}", n] for n in range(20)]
    get(table(columns, [*good, ["bad", f"{server.address}/missing/1", 0]]), into)
    server.asked.clear()
    good[3][1] = f"{server.address}/kind/PNG.1"
    report = get(table(columns, [*good, ["bad", f"{server.address}/image/99", 0]]), into, keep=["n"])
    assert (report.fetched, report.present, report.total, report.failed) == (2, 19, 21, [])
    assert set(server.asked) == {"/kind/PNG.1", "/image/99"}
    assert "g3.png" in names_in(into)
    assert "g3.jpg" not in names_in(into)
    assert rows_of(into / "failed.csv") == []
    assert [row["n"] for row in rows_of(into / "metadata.csv")] == [*map(str, range(20)), "0"]


def test_a_changed_address_that_fails_leaves_the_old_picture(server, table, tmp_path):
    """The old file and its row stay as they were, and the failure is told."""
    into = tmp_path / "p"
    get(table(["id", "url"], [["a", f"{server.address}/image/1"]]), into)
    report = get(table(["id", "url"], [["a", f"{server.address}/missing/1"]]), into)
    assert (len(report.failed), report.total) == (1, 1)
    assert rows_of(into / "metadata.csv") == [
        {"path": "a.jpg", "id": "a", "url": f"{server.address}/image/1"}
    ]


def test_several_tables_fill_one_folder(server, table, tmp_path):
    """metadata.csv has what each table kept of its own pictures, and forgets files that are gone."""
    into = tmp_path / "p"
    get(
        table(["id", "url", "brand"], [[i, f"{server.address}/image/{i}", "B"] for i in "12"]),
        into,
        keep=["brand"],
    )
    (into / "1.jpg").unlink()
    get(table(["id", "url", "price"], [["3", f"{server.address}/image/3", "7"]]), into, keep=["price"])
    assert [list(row.values())[:4] for row in rows_of(into / "metadata.csv")] == [
        ["3.jpg", "3", "7", ""], ["2.jpg", "2", "", "B"],
    ]  # fmt: skip


def test_leftovers_of_a_killed_run_are_cleared(server, table, tmp_path):
    """Half files have names of their own, are never taken for pictures, and go with the next run."""
    into = tmp_path / "p"
    into.mkdir()
    (into / ".lookalike-7.part").write_bytes(b"half")
    (into / "a.jpg").write_bytes(b"")
    assert get(table(["id", "url"], [["a", f"{server.address}/image/1"]]), into).fetched == 1
    assert names_in(into) == ["a.jpg", "failed.csv", "metadata.csv"]


@pytest.mark.parametrize("name", ["metadata.csv", "failed.csv"])
def test_tables_of_others_are_left_alone(server, table, tmp_path, name):
    """A file that fetch did not write is not overwritten, and nothing is fetched."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / name).write_text("sku,price\n1,2\n")
    with pytest.raises(UsageError, match="is not one that fetch wrote"):
        get(table(["id", "url"], [["a", f"{server.address}/image/1"]]), tmp_path / "p")
    assert not server.asked


@pytest.mark.parametrize(
    "options", [{"per_host": 0}, {"jobs": 0}, {"timeout": 0}, {"retries": -1}, {"max_bytes": 0}]
)
def test_numbers_that_can_not_be_meant(table, tmp_path, options):
    """They are refused before anything is made."""
    with pytest.raises(UsageError, match="above 0"):
        get(table(["id", "url"], []), tmp_path / "p", **options)
    assert not (tmp_path / "p").exists()


def test_a_folder_that_can_not_be_made(server, table, tmp_path):
    """A file in its place is told."""
    (tmp_path / "p").write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        get(table(["id", "url"], [["a", f"{server.address}/image/1"]]), tmp_path / "p")


def test_an_empty_table_gives_empty_tables(table, tmp_path):
    """Nothing to fetch is no error."""
    report = get(table(["id", "url", "x"], []), tmp_path / "p", keep=["x"])
    assert (report.total, str(report)[:16]) == (0, "nothing to fetch")
    assert (tmp_path / "p" / "metadata.csv").read_text() == "path,id,x,url\n"


def test_progress_and_report(server, table, tmp_path):
    """Progress ends at the table's length, and the report is plain data."""
    seen = []
    rows = [[n, f"{server.address}/{'image' if n else 'missing'}/{n}"] for n in range(30)]
    report = get(table(["id", "url"], rows), tmp_path / "p", progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].skipped) == (30, 30, 1)
    assert report.as_dict()["failed"] == [
        {"id": "0", "url": f"{server.address}/missing/0", "reason": "answered 404 Not Found"}
    ]
    assert (report.into, report.metadata) == (str(tmp_path / "p"), str(tmp_path / "p" / "metadata.csv"))


def test_a_picture_too_large_to_open_is_refused(server, table, tmp_path, monkeypatch):
    """The limits of the index hold here, too: what it could not open is not kept."""
    monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", "1000")
    file = table(["id", "url"], [["a", f"{server.address}/kind/PNG.1"]])
    assert "LOOKALIKE_MAX_PIXELS raises it" in get(file, tmp_path / "p").failed[0].reason


def test_cells_without_measure(server, tmp_path):
    """Ids, addresses and fields of any length leave tables that can be read again."""
    file, long = tmp_path / "t.jsonl", "x\0" * 200_000
    rows = [{"id": long, "url": "http://a.org/"}, {"id": "b", "url": f"data:image/png;base64,{long}"}]
    rows += [{"id": "c", "url": f"{server.address}/image/1", "note": long}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    for expected in ((1, 0, 2), (0, 1, 2)):
        report = get(file, tmp_path / "p", keep=["note"])
        assert (report.fetched, report.present, len(report.failed)) == expected
    assert read_metadata(tmp_path / "p" / "metadata.csv")["c.jpg"]["note"] == long[:30_000]
    assert len(rows_of(tmp_path / "p" / "failed.csv")) == 2
