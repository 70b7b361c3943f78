"""What can go wrong on the way, as one error that says it and whether trying again may help."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from lookalike.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

REDIRECTS = 5
"""How often an address may lead on to another."""

_TOO_MANY = 429
_WAIT = 1.0  # seconds, for a server that has too many requests and does not say when to come again
_TRY_AGAIN = {408, 425, _TOO_MANY, 500, 502, 503, 504}


class Failed(DownloadError):
    """A download that failed.

    reason: what went wrong, without the address.
    again: whether a later attempt may do better.
    wait: seconds that the server asks to wait before it; None if it does not say.
    silent: whether the host gave no answer at all.
    """

    def __init__(
        self,
        address: str,
        reason: str,
        *,
        again: bool = False,
        wait: float | None = None,
        silent: bool = False,
    ) -> None:
        super().__init__(f"{address}: {reason}")
        self.reason = reason
        self.again = again
        self.wait = wait
        self.silent = silent


def of_status(url: httpx.URL, response: httpx.Response) -> Failed:
    """The failure that an answer other than success is."""
    status = response.status_code
    return Failed(
        without_secrets(url),
        f"answered {status} {response.reason_phrase}".rstrip(),
        again=status in _TRY_AGAIN,
        wait=_seconds(response.headers.get("Retry-After", "")) or (_WAIT if status == _TOO_MANY else None),
    )


def of_error(error: Exception, url: httpx.URL, *, seconds: float, over: bool, answered: bool) -> Failed:
    """The failure that an exception of the HTTP library or the network means.

    Args:
        error: what was raised.
        url: which address was asked.
        seconds: the time there was.
        over: whether it is over.
        answered: whether an answer had begun.
    """
    reason, again = _explanation(error, url, seconds, over=over)
    return Failed(without_secrets(url), reason, again=again, silent=not answered)


def without_secrets(url: httpx.URL) -> str:
    """The address without what may be secret: user, password, query."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


def _seconds(retry_after: str) -> float | None:
    """A `Retry-After` header, which is a number of seconds or a date."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    with suppress(ValueError, OverflowError, OSError):
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    return None


def _explanation(error: Exception, url: httpx.URL, seconds: float, *, over: bool) -> tuple[str, bool]:
    """(in words, whether trying again may help)."""
    import httpx

    if over or isinstance(error, httpx.TimeoutException):
        return f"not done after {seconds:g} seconds", True
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            again = cause.errno == socket.EAI_AGAIN
            return f"no machine is called {url.host}, or names can't be looked up now", again
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused: nothing answers there", True
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}", False
    return _of_transport(error)


def _of_transport(error: Exception) -> tuple[str, bool]:
    import httpx

    if isinstance(error, httpx.InvalidURL | ValueError) or "Invalid URL" in str(error):
        return "redirects to an address that can't be read", False
    if isinstance(error, httpx.RemoteProtocolError):
        if "disconnected" in str(error):
            return "the connection was closed without an answer", True
        broken = "complete" in str(error)
        return ("the answer broke off" if broken else "the answer is not HTTP"), broken
    return f"the connection failed ({type(error).__name__})", isinstance(error, httpx.NetworkError | OSError)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
