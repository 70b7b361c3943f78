"""One connection to one host: pinned to an address that was checked, kept open, cut when asked."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager, suppress
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from lookalike.sources.web.addresses import public_addresses

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    import httpx

_AGENT = "lookalike (similar-image search)"
_CONNECT_SECONDS = 10.0  # for each of a host's addresses, when one does not answer


class Line:
    """A connection to one origin, opened by the first request and kept for those that follow.

    A line is for one host name, never for another at the same address: the certificate was shown
    for this one. Used by one thread at a time; any thread may cut it.
    """

    def __init__(self, url: httpx.URL, *, timeout: float, allow_private: bool) -> None:
        import httpx

        self.used = False
        self._addresses = None if allow_private else public_addresses(url)
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60),
            trust_env=allow_private,
            verify=_certificates(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # A server that honours it sends plain bytes, and what is announced is what comes.
            headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"},
        )
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def ask(self, url: httpx.URL) -> httpx.Response:
        """Send a request; the answer's body is still to come, and the answer to be closed."""
        if self._addresses is None:
            return self._send(url)
        return self._send_to_address(url, self._addresses)

    def cut(self) -> None:
        """End whatever is going on: the thread that waits gets an error or the end of the answer."""
        with self._lock, suppress(OSError):
            self._is_cut = True
            if self._socket:
                # The plain method: that of a TLS socket is not safe while another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _send_to_address(self, url: httpx.URL, addresses: list[str]) -> httpx.Response:
        """Ask the first address that takes a connection, and this one alone from then on."""
        import httpx

        headers = {"Host": url.netloc.decode("ascii")}
        while True:
            try:
                response = self._send(url.copy_with(host=addresses[0]), headers, {"sni_hostname": url.host})
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if len(addresses) == 1 or self._is_cut:
                    raise
                del addresses[0]
            else:
                return response

    def _send(
        self,
        target: httpx.URL,
        headers: dict[str, str] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> httpx.Response:
        request = self._client.build_request(
            "GET", target, headers=headers, extensions={"trace": self._watch, **(extensions or {})}
        )
        with _unlogged():
            response = self._client.send(request, stream=True)
        self.used = True
        return response

    def _watch(self, event: str, info: dict[str, Any]) -> None:
        """Told by the HTTP library of every step of a request: keeps the newest connection."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self._is_cut:
                self.cut()


_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11")
_sending = threading.local()


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the HTTP library from logging what this thread sends: an address may hold a secret."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_of_others)
    _sending.now = True
    try:
        yield
    finally:
        _sending.now = False


def _is_of_others(record: logging.LogRecord) -> bool:  # noqa: ARG001  # the signature of a filter
    return not getattr(_sending, "now", False)


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust, read once: it takes longer than many a download."""
    import httpx

    return httpx.create_ssl_context()
