"""Downloads, against a real server on this machine that misbehaves."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from lookalike.errors import DownloadError
from lookalike.sources.web import Deadline, Downloader, Failed, download
from lookalike.sources.web.addresses import is_public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PICTURE = bytes(range(256)) * 40


class Handler(BaseHTTPRequestHandler):
    """Answers by the path's first word."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str | None]]] = []
    cookies: ClassVar[list[str | None]] = []
    connections: ClassVar[set[int]] = set()

    def do_GET(self) -> None:
        """Dispatch, and close unless asked to keep: what is broken must not be kept alive."""
        self.close_connection = not self.path.startswith("/kept/")
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.cookies.append(self.headers.get("Cookie"))
        self.connections.add(self.client_address[1])
        getattr(self, self.path.removeprefix("/kept").strip("/").partition("/")[0].partition("?")[0])()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; the length may be set to a wrong one."""
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def picture(self) -> None:
        """A picture, its type spelled oddly."""
        self.answer(body=PICTURE, Content_Type="Image/PNG; charset=none")

    def missing(self) -> None:
        """An error page."""
        self.answer(404, b"<html>gone</html>")

    def busy(self) -> None:
        """Another time, please."""
        self.answer(429, Retry_After="7")

    def cookie(self) -> None:
        """Something to remember."""
        self.answer(body=PICTURE, Set_Cookie="a=b; Path=/")

    def announced(self) -> None:
        """A length beyond any limit."""
        self.answer(Content_Length=str(10**12))

    def truncated(self) -> None:
        """Less than was announced."""
        self.answer(body=PICTURE[:100], Content_Length=str(len(PICTURE)))

    def packed(self) -> None:
        """50 MB in a few kB."""
        self.answer(body=gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    def twice(self) -> None:
        """Packed twice: so could be gigabytes, in as few bytes."""
        inner = gzip.compress(bytes(5_000_000))
        self.answer(body=gzip.compress(inner), Content_Encoding="gzip, gzip")

    def foreign(self) -> None:
        """Packed as nobody asked for."""
        self.answer(body=PICTURE, Content_Encoding="br")

    def unpacked(self) -> None:
        """Said to be packed, and not."""
        self.answer(body=PICTURE, Content_Encoding="gzip")

    def cutoff(self) -> None:
        """Packed, and without its end."""
        self.answer(body=gzip.compress(PICTURE)[:-20], Content_Encoding="gzip")

    def zipped(self) -> None:
        """A picture that was packed although nobody asked for it."""
        self.answer(body=gzip.compress(PICTURE), Content_Encoding="gzip", Content_Type="image/png")

    def error(self) -> None:
        """An error page that is large inside."""
        self.answer(500, gzip.compress(bytes(40_000_000)), Content_Encoding="gzip")

    def huge(self) -> None:
        """Without end."""
        self.send_response(200)
        self.end_headers()
        self._drip(bytes(100_000), 0)

    def slow(self) -> None:
        """A byte now and then."""
        self.send_response(200)
        self.end_headers()
        self._drip(b"x", 0.05)

    def slowheader(self) -> None:
        """A header that does not end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self._drip(b"x", 0.05)

    def garbage(self) -> None:
        """Another protocol."""
        self.wfile.write(b"\0\1\2 this is no HTTP\r\n\r\n")

    def once(self) -> None:
        """A redirect."""
        self.answer(302, Location="/picture")

    def elsewhere(self) -> None:
        """A redirect to another name of this machine."""
        self.answer(302, Location=f"http://localhost:{self.server.server_port}/picture")

    def loop(self) -> None:
        """A redirect to itself."""
        self.answer(302, Location="/loop")

    def file(self) -> None:
        """A redirect into the file system."""
        self.answer(302, Location="file:///etc/passwd")

    def nonsense(self) -> None:
        """A redirect to no address."""
        self.answer(302, Location="http://machine:port/")

    def _drip(self, part: bytes, pause: float) -> None:
        try:
            for _ in range(2_000):
                self.wfile.write(part)
                time.sleep(pause)
        except OSError:
            pass  # the other side had enough, as it should


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that runs for this module."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["picture", "once"])
def test_gives_bytes_type_and_final_address(server: str, path: str) -> None:
    """A picture comes whole, directly or after a redirect, with the type in lower case."""
    got = download(f"{server}/{path}")
    assert (got.content, got.url, got.content_type) == (PICTURE, f"{server}/picture", "image/png")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing", "answered 404 Not Found"),
        ("truncated", "the answer broke off"),
        ("garbage", "is not HTTP"),
        ("loop", "more than 5 redirects"),
        ("file", "only http:// and https://"),
        ("nonsense", "can't be read"),
        ("announced", "1,000,000.0 MB, the limit is 1.0 MB"),
        ("huge", "more, the limit is 1.0 MB"),
        ("packed", "more, the limit is 1.0 MB"),
    ],
)
def test_says_what_went_wrong(server: str, path: str, words: str) -> None:
    """Every way of giving no picture has words of its own, and an answer without end is left."""
    with pytest.raises(DownloadError) as caught:
        download(f"{server}/{path}", max_bytes=1_000_000, timeout=10)
    assert words in str(caught.value)
    assert str(caught.value).startswith((f"{server}/{path}: ", "file:/etc/passwd: "))


@pytest.mark.parametrize("path", ["slow", "slowheader"])
def test_time_is_limited_in_all(server: str, path: str) -> None:
    """A server that sends a byte now and then, in its header even, is given up after the timeout."""
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"not done after 0\.4 seconds"):
        download(f"{server}/{path}", timeout=0.4)
    assert time.monotonic() - began < 2


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (lambda: f"http://127.0.0.1:{_free_port()}/q.jpg", "nothing answers there"),
        (lambda: "http://no-such-machine.invalid/q.jpg", "no machine is called no-such-machine.invalid"),
        (lambda: "ftp://example.org/q.jpg", "only http:// and https://"),
        (lambda: "http:///q.jpg", "names no machine"),
        (lambda: "http://[::1/q.jpg", "expected http://"),
        (lambda: "http://exa\nmple.org/", "expected http://"),
    ],
)
def test_addresses_that_lead_nowhere(url: Callable[[], str], words: str) -> None:
    """A closed port, an unknown name, another scheme and a malformed address are told apart."""
    with pytest.raises(DownloadError, match=words):
        download(url(), timeout=10)


def test_secrets_are_sent_but_not_repeated(server: str) -> None:
    """User, password and query reach the server, and no message, cause or result."""
    secret = server.replace("http://", "http://anna:hunter2@")
    got = download(f"{secret}/picture?token=t0ken#part")
    assert got.url == f"{server}/picture"
    assert Handler.seen[-1] == ("/picture?token=t0ken", "Basic YW5uYTpodW50ZXIy")
    with pytest.raises(DownloadError) as caught:
        download(f"{secret}/truncated?token=t0ken")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not any(word in str(caught.value) for word in ("anna", "hunter2", "t0ken"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::]", "10.1.2.3"]
)
def test_private_addresses_can_be_refused(server: str, host: str) -> None:
    """With allow_private=False nothing on this machine or its network is asked, whatever its name."""
    asked = len(Handler.seen)
    port = server.rpartition(":")[2]
    with pytest.raises(DownloadError, match="is not a public address"):
        download(f"http://{host}:{port}/picture", allow_private=False)
    assert len(Handler.seen) == asked


def test_redirects_are_checked_again(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public address that redirects to a private one is refused there, and is reached by its own name.

    No public server can be had in a test: the check is told that the first address is public.
    """
    answers = iter([True, False])
    monkeypatch.setattr("lookalike.sources.web.addresses.is_public", lambda _: next(answers))
    asked = len(Handler.seen)
    with pytest.raises(DownloadError, match=r"localhost:\d+/picture: leads to (127\.0\.0\.1|::1)"):
        download(f"{server}/elsewhere", allow_private=False)
    assert [path for path, _ in Handler.seen[asked:]] == ["/elsewhere"]


def test_whatis_public() -> None:
    """Addresses inside other addresses are looked at, and special networks are not public."""
    from ipaddress import ip_address

    private = "127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 "
    private += "::1 fe80::1 fc00::1 ::ffff:10.0.0.1 2002:7f00:1:: 64:ff9b::7f00:1 ff02::1 ::"
    assert not [text for text in private.split() if is_public(ip_address(text))]
    assert all(is_public(ip_address(text)) for text in ("8.8.8.8", "2001:4860:4860::8888"))


def test_import_is_light() -> None:
    """Importing the module loads no HTTP library: only a download does."""
    script = "import sys, lookalike.sources.web; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def _get(downloader: Downloader, url: str) -> tuple[bytes, str | None]:
    parts: list[bytes] = []
    with Deadline(5) as deadline:
        answer = downloader.get(url, parts.append, deadline)
    return b"".join(parts), answer.location


def test_connections_are_kept(server: str) -> None:
    """Downloads from one host, a missing page and a redirect among them, share one connection."""
    with Downloader(max_bytes=10**6, timeout=5, allow_private=True) as downloader:
        Handler.connections.clear()
        for _ in range(3):
            assert _get(downloader, f"{server}/kept/picture") == (PICTURE, None)
            assert _get(downloader, f"{server}/kept/once")[1] == f"{server}/picture"
            with pytest.raises(Failed, match="404"):
                _get(downloader, f"{server}/kept/missing")
    assert len(Handler.connections) == 1


def test_a_kept_connection_that_has_ended_is_opened_again(server: str) -> None:
    """A server may end a connection after any answer, unannounced: the next download does not fail."""
    with Downloader(max_bytes=10**6, timeout=5, allow_private=True) as downloader:
        for _ in range(3):
            assert _get(downloader, f"{server}/picture") == (PICTURE, None)


@pytest.mark.parametrize(
    ("path", "again", "wait"),
    [
        ("missing", False, None),
        ("truncated", True, None),
        ("busy", True, 7.0),
        ("garbage", False, None),
        ("announced", False, None),
    ],
)
def test_says_whether_another_attempt_may_help(
    server: str, path: str, *, again: bool, wait: float | None
) -> None:
    """A busy server and an answer that broke off are worth another attempt; a missing page is not."""
    with (
        Downloader(max_bytes=10**6, timeout=5, allow_private=True) as downloader,
        pytest.raises(Failed) as caught,
    ):
        _get(downloader, f"{server}/{path}")
    assert (caught.value.again, caught.value.wait) == (again, wait)


def test_a_host_that_gives_no_answer_is_told_from_one_that_does(server: str) -> None:
    """A closed port is silence, an error page is not."""
    with Downloader(max_bytes=10**6, timeout=5, allow_private=True) as downloader:
        with pytest.raises(Failed) as silence:
            _get(downloader, f"http://127.0.0.1:{_free_port()}/")
        with pytest.raises(Failed) as page:
            _get(downloader, f"{server}/missing")
    assert (silence.value.silent, page.value.silent) == (True, False)


def test_cookies_are_not_kept(server: str) -> None:
    """What one download was told to remember is not told to the next."""
    with Downloader(max_bytes=10**6, timeout=5, allow_private=True) as downloader:
        _get(downloader, f"{server}/kept/cookie")
        _get(downloader, f"{server}/kept/picture")
    assert Handler.cookies[-1] is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/twice", "packed as 'gzip, gzip', which was not asked for"),
        ("/foreign", "packed as 'br', which was not asked for"),
        ("/unpacked", "is called gzip, and is not"),
        ("/cutoff", "the answer broke off"),
        ("/error", "answered 500"),
    ],
)
def test_packed_answers_are_bounded(server: str, path: str, words: str) -> None:
    """Only one layer of what everybody can unpack is unpacked, a little at a time."""
    with pytest.raises(DownloadError, match=words):
        download(server + path, max_bytes=1_000_000)


def test_a_packed_picture_is_unpacked(server: str) -> None:
    """A server that packs in spite of the request is understood."""
    assert download(server + "/zipped").content == PICTURE


def test_addresses_of_a_site_are_not_public() -> None:
    """IPv4 in the old clothes of IPv6, and the addresses within a site, are no way in."""
    for address in ("::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "64:ff9b:1::a00:1"):
        assert not is_public(ipaddress.ip_address(address))
