"""A picture from an address, bounded in bytes, in time, in redirects, and in where it may lead."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lookalike.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_REDIRECTS = 5
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # the IPv4 network, seen from an IPv6 one
_AGENT = "lookalike (similar-image search)"


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
    import httpx

    try:
        here = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise DownloadError("not an address that can be read: expected http://… or https://…") from None
    with (
        _Deadline(timeout) as deadline,
        httpx.Client(timeout=timeout, trust_env=allow_private, headers={"User-Agent": _AGENT}) as client,
    ):
        for _ in range(_REDIRECTS + 1):
            with (
                _explained(here, deadline),
                _answer(client, here, deadline, allow_private=allow_private) as response,
            ):
                if not response.has_redirect_location:
                    return _read(response, here, max_bytes)
                here = here.join(response.headers["Location"])
    raise DownloadError(f"{_public(here)}: more than {_REDIRECTS} redirects")


class _Deadline:
    """Cuts the connection when the time is over: httpx itself limits only each wait for some bytes."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """Told by httpx of every step of a request: keeps the newest connection."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self.over:
                self._cut()

    def _cut(self) -> None:
        with self._lock, suppress(OSError):
            if self._socket:
                # The plain method: that of a TLS socket is not safe while another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@contextmanager
def _answer(
    client: httpx.Client, url: httpx.URL, deadline: _Deadline, *, allow_private: bool
) -> Iterator[httpx.Response]:
    if url.scheme not in {"http", "https"} or not url.host:
        raise DownloadError(f"{_public(url)}: only http:// and https:// are fetched")
    # A server that honours it sends plain bytes, and what is announced is what comes.
    headers = {"Accept-Encoding": "identity"}
    extensions: dict[str, Any] = {"trace": deadline.watch}
    target = url
    if not allow_private:
        headers["Host"] = url.netloc.decode("ascii")
        extensions |= {"sni_hostname": url.host}
        target = url.copy_with(host=_public_address(url))
    with client.stream("GET", target, headers=headers, extensions=extensions) as response:
        yield response


def _public_address(url: httpx.URL) -> str:
    """One address of the host, all of which are public."""
    found = socket.getaddrinfo(url.host, url.port or url.scheme, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if not _is_public(ipaddress.ip_address(address)):
            raise DownloadError(f"{_public(url)}: leads to {address}, which is not a public address")
    return addresses[0]


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        teredo = address.teredo[1] if address.teredo else None
        address = address.ipv4_mapped or address.sixtofour or teredo or translated or address
    return address.is_global and not address.is_multicast


def _read(response: httpx.Response, url: httpx.URL, max_bytes: int) -> Downloaded:
    if not response.is_success:
        raise DownloadError(
            f"{_public(url)}: answered {response.status_code} {response.reason_phrase}".rstrip()
        )
    announced = response.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise DownloadError(_too_large(url, max_bytes, f"{int(announced) / 1e6:,.1f} MB"))
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise DownloadError(_too_large(url, max_bytes, "more"))
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Downloaded(b"".join(parts), _public(url), kind)


def _too_large(url: httpx.URL, max_bytes: int, size: str) -> str:
    return f"{_public(url)}: {size}, the limit is {max_bytes / 1e6:,.1f} MB"


@contextmanager
def _explained(url: httpx.URL, deadline: _Deadline) -> Iterator[None]:
    """Whatever goes wrong on the way, as one error that says it."""
    import httpx

    try:
        yield
        if deadline.over:  # a connection that was cut can look like the end of the answer
            raise httpx.ReadTimeout("")
    except DownloadError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        # `from None`: the cause would quote the whole address.
        raise DownloadError(f"{_public(url)}: {_explanation(error, url, deadline)}") from None


def _explanation(error: Exception, url: httpx.URL, deadline: _Deadline) -> str:
    import httpx

    if deadline.over or isinstance(error, httpx.TimeoutException):
        return f"not done after {deadline.seconds:g} seconds"
    causes = tuple(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"no machine is called {url.host}, or names can't be looked up now"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "the connection was refused: nothing answers there"
    return _transport_explanation(error)


def _transport_explanation(error: Exception) -> str:
    import httpx

    if isinstance(error, httpx.InvalidURL | ValueError) or "Invalid URL" in str(error):
        return "redirects to an address that can't be read"
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer broke off" if "complete" in str(error) else "the answer is not HTTP"
    return f"the connection failed ({type(error).__name__})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _public(url: httpx.URL) -> str:
    """The address without what may be secret."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))
