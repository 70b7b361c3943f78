"""One download, and many of them one after another on connections that are kept."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from lookalike.errors import LookalikeError
from lookalike.sources.web.addresses import read, require_web
from lookalike.sources.web.deadlines import Deadline
from lookalike.sources.web.failures import REDIRECTS, Failed, of_error, of_status, without_secrets
from lookalike.sources.web.lines import Line
from lookalike.sources.web.packing import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

_LINES = 4  # connections that a downloader keeps, each to another host
_WORTH_READING = 65_536  # bytes of an error page that cost less than a new connection


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What an address gave.

    content: its bytes.
    url: where it came from in the end, after redirects; without user, password and query.
    content_type: what the server says it is, `image/jpeg` for example, or "".
    """

    content: bytes
    url: str
    content_type: str


class Answer(NamedTuple):
    """How an address answered.

    content_type: what the server says the bytes are, or "".
    location: the address that it leads on to; None if the bytes themselves came.
    """

    content_type: str
    location: str | None


def download(
    url: str, *, max_bytes: int = 150_000_000, timeout: float = 30.0, allow_private: bool = True
) -> Downloaded:
    """Fetch one address.

    Args:
        url: `http://` or `https://`.
        max_bytes: more is refused, by the length announced or as soon as it has come.
        timeout: seconds for everything together, from the name to the last byte.
        allow_private: whether the address may lead into this machine or its network. Right for an
            address that a user typed, wrong for a table of addresses that somebody else made. When
            False, every address of the name has to be public, at each redirect anew, the connection
            goes to the very address that was checked, and no proxy is used.

    Raises:
        DownloadError: which address, and what went wrong. It never quotes user, password or query.
    """
    downloader = Downloader(max_bytes=max_bytes, timeout=timeout, allow_private=allow_private)
    with downloader, Deadline(timeout) as deadline:
        for _ in range(REDIRECTS + 1):
            parts: list[bytes] = []
            answer = downloader.get(url, parts.append, deadline)
            if answer.location is None:
                return Downloaded(b"".join(parts), without_secrets(read(url)), answer.content_type)
            url = answer.location
    raise Failed(without_secrets(read(url)), f"more than {REDIRECTS} redirects")


class Downloader:
    """Downloads one address after another, and keeps its connections; for one thread.

    Args:
        max_bytes, timeout, allow_private: as for `download`; the timeout is that of each request.
    """

    def __init__(self, *, max_bytes: int, timeout: float, allow_private: bool) -> None:
        self.max_bytes = max_bytes
        self.timeout = timeout
        self.allow_private = allow_private
        self._lines: OrderedDict[tuple[str, str, int | None], Line] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._lines:
            self._lines.popitem()[1].close()

    def get(self, url: str, receive: Callable[[bytes], object], deadline: Deadline) -> Answer:
        """Ask one address once; a redirect is answered, not followed.

        Args:
            url: `http://` or `https://`.
            receive: called with each part of the bytes; what it raises ends the download.
            deadline: of the request.

        Raises:
            DownloadError: as `Failed`, which says whether another attempt may do better, for an
                address that can be read.
        """
        here = read(url)
        progress = _Progress()
        with self._explained(here, deadline, progress):
            response = self._ask(here, deadline)
            progress.answered = True
            try:
                if response.has_redirect_location:
                    return self._redirect(response, here)
                return Answer(self._receive(response, here, receive), None)
            finally:
                response.close()

    def _ask(self, url: httpx.URL, deadline: Deadline) -> httpx.Response:
        import httpx

        line = self._line(url, deadline)
        try:
            return line.ask(url)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # A server may end a kept connection at any time, and the request then has not been seen.
            if not line.used or deadline.over:
                raise
        self._hang_up(url)
        return self._line(url, deadline).ask(url)

    def _line(self, url: httpx.URL, deadline: Deadline) -> Line:
        key = _origin(url)
        if key not in self._lines:
            if len(self._lines) == _LINES:
                self._lines.popitem(last=False)[1].close()
            self._lines[key] = Line(url, timeout=self.timeout, allow_private=self.allow_private)
        self._lines.move_to_end(key)
        deadline.watch(self._lines[key])
        return self._lines[key]

    def _hang_up(self, url: httpx.URL) -> None:
        """Close the connection; for the next one the host's name is looked up and checked again."""
        line = self._lines.pop(_origin(url), None)
        if line is not None:
            line.close()

    def _redirect(self, response: httpx.Response, here: httpx.URL) -> Answer:
        target = here.join(response.headers["Location"])
        require_web(target)
        _read_away(response)
        return Answer("", str(target))

    def _receive(self, response: httpx.Response, url: httpx.URL, receive: Callable[[bytes], object]) -> str:
        if not response.is_success:
            _read_away(response)
            raise of_status(url, response)
        announced = _announced(response)
        if announced is not None and announced > self.max_bytes:
            raise self._too_large(url, f"{announced / 1e6:,.1f} MB")
        size = 0
        for part in unpacked(response, url):
            size += len(part)
            if size > self.max_bytes:
                raise self._too_large(url, "more")
            receive(part)
        content_type: str = response.headers.get("Content-Type", "")
        return content_type.partition(";")[0].strip().lower()

    def _too_large(self, url: httpx.URL, size: str) -> Failed:
        return Failed(without_secrets(url), f"{size}, the limit is {self.max_bytes / 1e6:,.1f} MB")

    @contextmanager
    def _explained(self, url: httpx.URL, deadline: Deadline, progress: _Progress) -> Iterator[None]:
        """Whatever goes wrong on the way, as one error that says it."""
        import httpx

        try:
            yield
            if deadline.over:  # a connection that was cut can look like the end of the answer
                raise httpx.ReadTimeout("")
        except LookalikeError:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            self._hang_up(url)
            # `from None`: the cause would quote the whole address.
            raise of_error(
                error, url, seconds=deadline.seconds, over=deadline.over, answered=progress.answered
            ) from None


@dataclass(slots=True)
class _Progress:
    """How far one request has come."""

    answered: bool = False


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _announced(response: httpx.Response) -> int | None:
    """The length that was announced, if it was."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _read_away(response: httpx.Response) -> None:
    """Read a body that nobody needs, if it is short: the connection can then be used again."""
    announced = _announced(response)
    if announced is not None and announced <= _WORTH_READING:
        for _ in response.iter_raw():  # as it comes: what is packed may be large inside
            pass
