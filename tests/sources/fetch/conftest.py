"""A server on this machine that misbehaves, and tables of addresses that lead to it."""

from __future__ import annotations

import csv
import io
import socket
import threading
import time
from collections import Counter
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

FLIPKART = [
    *("uniq_id", "crawl_timestamp", "product_url", "product_name", "product_category_tree", "pid"),
    *("retail_price", "discounted_price", "image", "is_FK_Advantage_product", "description"),
    *("product_rating", "overall_rating", "brand", "product_specifications"),
]


@cache
def picture(number, kind="JPEG"):
    """A small picture of this number's own colours."""
    image = Image.new("RGB", (48, 36), ((number * 37) % 256, (number * 91) % 256, number % 256))
    image.paste(((number * 11) % 256, 80, 160), (4, 4, 20, 20))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers by the path's first word; what follows is for the test to tell requests apart."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Count, dispatch."""
        seen, host = self.server, self.headers["Host"]
        with seen.lock:
            seen.asked[self.path] += 1
            seen.connections.add(self.client_address)
            seen.under_way[host] += 1
            seen.most_of_one = max(seen.most_of_one, seen.under_way[host])
            seen.most = max(seen.most, seen.under_way.total())
        try:
            time.sleep(seen.latency)
            word, _, self.rest = self.path.strip("/").partition("/")
            getattr(self, word)()
        except OSError:
            self.close_connection = True  # the other side had enough
        finally:
            with seen.lock:
                seen.under_way[host] -= 1

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, status=200, body=b"", **headers):
        """Send a whole answer; the length may be set to a wrong one."""
        if status >= 400 and not body:
            body = b"<html>sorry</html>"
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with self.server.lock:
            self.server.under_way[self.headers["Host"]] -= 1  # who reads the last byte may ask again at once
        try:
            self.wfile.write(body)
        finally:
            with self.server.lock:
                self.server.under_way[self.headers["Host"]] += 1

    def image(self):
        """A picture by its number; the ending of the address says nothing."""
        number = int("".join(c for c in self.rest if c.isdigit()) or 0)
        self.answer(body=picture(number), Content_Type="application/octet-stream")

    def kind(self):
        """A picture of the format that is asked for, called something else."""
        self.answer(body=picture(1, self.rest.split(".")[0]), Content_Type="image/x-unknown")

    def page(self):
        """HTML that calls itself a JPEG."""
        body = b"<!DOCTYPE html><html>gone" + b" " * 2_000
        self.answer(body=body, Content_Type="image/jpeg")

    def missing(self):
        """An error page."""
        self.answer(404)

    def flaky(self):
        """An error twice, and then the picture."""
        if self.server.asked[self.path] <= 2:
            self.answer(500)
        else:
            self.answer(body=picture(7))

    def broken(self):
        """Always an error."""
        self.answer(503)

    def busy(self):
        """Once: come again in a second."""
        if self.server.asked[self.path] == 1:
            self.answer(429, Retry_After="1")
        else:
            self.answer(body=picture(8))

    def later(self):
        """Come again tomorrow."""
        self.answer(429, Retry_After="86400")

    def reset(self):
        """Hang up without an answer, once."""
        if self.server.asked[self.path] == 1:
            self.close_connection = True
        else:
            self.answer(body=picture(9))

    def truncated(self):
        """Less than was announced, always."""
        body = picture(3)
        self.answer(body=body[:200], Content_Length=str(len(body)))
        self.close_connection = True

    def half(self):
        """A picture that lacks its second half, announced as whole."""
        body = picture(3, "PNG" if self.rest == "PNG" else "JPEG")
        self.answer(body=body[: len(body) // 2])

    def announced(self):
        """A length beyond any limit."""
        self.answer(Content_Length=str(10**12))
        self.close_connection = True

    def huge(self):
        """A JPEG without end, its length not told."""
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        self.wfile.write(picture(1))
        for _ in range(10_000):
            self.wfile.write(bytes(100_000))

    def slow(self):
        """A byte now and then."""
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        for byte in picture(1):
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def moved(self):
        """A redirect to this server's picture."""
        self.answer(302, Location=f"/image/{self.rest}")

    def elsewhere(self):
        """A redirect to the same server by another name."""
        self.answer(302, Location=f"http://localhost:{self.server.server_port}/image/{self.rest}")

    def signed(self):
        """A redirect with a password and a token to what is not there."""
        there = f"http://me:word@127.0.0.1:{self.server.server_port}/missing/1?token=secret"
        self.answer(302, Location=there)

    def loop(self):
        """A redirect to itself."""
        self.answer(302, Location=self.path)

    def file(self):
        """A redirect into the file system."""
        self.answer(302, Location="file:///etc/passwd")


@pytest.fixture
def server():
    """A server with an `address`, and what it has seen: `asked`, `connections`, `most` requests at a time."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        http.lock = threading.Lock()
        http.asked, http.connections = Counter(), set()
        http.under_way, http.most, http.most_of_one = Counter(), 0, 0
        http.latency = 0.0
        http.address = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


@pytest.fixture
def pictures():
    """The function that makes a picture of a number, the same as the server's."""
    return picture


@pytest.fixture
def table(tmp_path):
    """A function that writes a CSV file: column names, and rows."""

    def write(columns, rows, name="table.csv"):
        file = tmp_path / name
        with file.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([columns, *rows])
        return file

    return write


@pytest.fixture
def flipkart(table):
    """A function that writes a table in the columns of the original; two addresses a row."""

    def write(address, count):
        return table(FLIPKART, (_product(address, number) for number in range(count)), "flipkart.csv")

    return write


def _product(address, number):
    images = [f"{address}/image/short-alisha-{number}-{view}.jpeg" for view in ("original", "1100x1360")]
    return [
        f"c2d766ca982eca8304150849735f{number:04x}",
        "2016-03-25 22:59:23 +0000",
        f"http://www.flipkart.com/p/itm{number}?pid=SRT{number}",
        f'Alisha Solid Women\'s Cycling Shorts, "{number}"',
        '["Clothing >> Women\'s Clothing >> Lingerie, Sleep & Swimwear >> Shorts"]',
        f"SRTEH2FF9KEDEFG{number}",
        999 + number,
        "" if number % 50 == 0 else 379,
        "[" + ", ".join(f'"{url}"' for url in images) + "]",
        "false",
        f"Key Features of {number}\nCotton Lycra Navy, Red,\tSpecifications",
        "No rating available",
        "No rating available",
        "Alisha",
        '{"product_specification"=>[{"key"=>"Number of Contents in Sales Package", "value"=>"Pack of 3"}]}',
    ]


@pytest.fixture
def unused_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]
