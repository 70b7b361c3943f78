"""The cluster: one client, every call of it tried again while it may help, its errors in our words."""

from __future__ import annotations

import logging
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.errors import (
    LookalikeError,
    NotFound,
    StoreBusy,
    StoreCorrupt,
    StoreUnavailable,
)
from lookalike.stores.elasticsearch.address import credentials
from lookalike.system import forks, imports
from lookalike.system.forks import Forked

try:
    import elasticsearch
    import orjson  # noqa: F401  # the client's serializer for vectors needs it
    from elasticsearch import Elasticsearch
except ImportError as missing:
    raise imports.missing("a gallery in Elasticsearch", "elasticsearch") from missing

# Which node failed and is tried again is for those who ask for it, not for everybody's terminal.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from lookalike.stores.elasticsearch.address import Address

    Call: TypeAlias = Callable[[Elasticsearch], Any]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_OPENING = 10.0
_LONG = 500  # characters of the server's reason that are told
_RETRIED = {429, 502, 503, 504}
_FORBIDDEN = {401, 403}
_MOST_CAUSES = 8
_OPTIONS: dict[str, Any] = {
    "serializers": {"application/json": elasticsearch.serializer.OrjsonSerializer()},
    "max_retries": 0,  # tried again here, with pauses, and within a time
    "connections_per_node": 16,
    "http_compress": False,
}
_HUNG_UP = ("RemoteDisconnected", "Connection aborted", "reset by peer", "closed connection")
_PLAIN = ("record layer failure", "WRONG_VERSION_NUMBER", "wrong version number")


class IndexGone(NotFound):
    """The index is not there any more: another process put a new one in its place, or deleted it."""


class Forbidden(StoreUnavailable):
    """The user may not do that."""


class Clock:
    """How long a call has been tried, and how long it may be.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Seconds left for an attempt; one of several nodes that hangs does not use up all of them."""
        return max(1.0, min(self._end - time.monotonic(), self.seconds / 2))

    def wait(self) -> bool:
        """Pause before the next attempt, each time longer; False where the time is up."""
        pause = self._pause * random.uniform(0.5, 1.5)  # noqa: S311  # nothing depends on it but the load
        if time.monotonic() + pause >= self._end:
            return False
        time.sleep(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True


class Server(Forked):
    """A cluster, as an address names it.

    Raises:
        UsageError: there is a user without a password in the environment.
        StoreUnavailable: there is no file of that certificate authority.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._secure = address.nodes[0].startswith("https:")
        trust = _trusted(address.ca_cert) if self._secure and address.ca_cert is not None else {}
        self._options = {**_OPTIONS, **trust, **credentials()}
        self._client = self._connected()
        forks.watch(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def after_fork_in_child(self) -> None:
        """Leave the parent's connections to it: two processes would read each other's answers."""
        forks.abandon(self._client)
        self._client = self._connected()

    def _connected(self) -> Elasticsearch:
        return Elasticsearch(list(self.address.nodes), **self._options)

    def clock(self, *, opening: bool = False) -> Clock:
        """The time that a call has; at the first one a wrong address is more likely than a pause."""
        return Clock(min(self.address.timeout, _OPENING) if opening else self.address.timeout)

    def call(self, work: Call, clock: Clock | None = None) -> Any:
        """What the server answers to a call, which is made again while that may help.

        Args:
            work: makes the call with the client it is given; made twice it must do no harm.
            clock: the time it has; default the address's own.

        Raises:
            IndexGone: the index is not there.
            StoreUnavailable, StoreBusy, StoreCorrupt: as the messages say.
        """
        clock = clock or self.clock()
        while True:
            try:
                return work(self._client.options(request_timeout=clock.left())).body
            except elasticsearch.UnsupportedProductError as error:
                raise StoreUnavailable(f"{self._where()} is no Elasticsearch; correct the address") from error
            except elasticsearch.ApiError as error:
                if not _may_pass(error) or not clock.wait():
                    raise self._translated(error, clock) from error
            except elasticsearch.TransportError as error:
                causes = _causes(error)
                known = self._misunderstood(error, causes)
                if known is not None or not clock.wait():
                    raise known or self.late(causes, clock) from error

    def has(self, name: str) -> bool:
        """Whether there is an index or alias of a name."""
        return bool(self.call(lambda es: es.indices.exists(index=name), self.clock(opening=True)))

    def refused(self, status: int, type_: str, reason: str) -> LookalikeError | None:
        """What a refusal means for everything that is written; None where it is about one document."""
        if type_ == "index_not_found_exception":
            return IndexGone(f"the index of the gallery {self.address.text} is not there any more")
        if type_ == "cluster_block_exception":
            return self._blocked(reason)
        # To the question whether an index is there the answer is a status, and nothing else.
        if status in _FORBIDDEN or type_ == "security_exception":
            return self._forbidden(status)
        return None

    def late(self, reason: str, clock: Clock) -> StoreUnavailable:
        """The error where the time of a clock is up."""
        hung_up = not self._secure and any(sign in reason for sign in _HUNG_UP)
        hint = "; if it speaks https, the address is elasticsearch+https://…" if hung_up else ""
        return StoreUnavailable(
            f"{self._where()} did not answer as it should within {clock.seconds:g} s ({reason}){hint}; "
            "what was acknowledged is kept: run the same command again when it is up"
        )

    def busy(self) -> StoreBusy:
        """The error where the gallery is closed to writers."""
        return StoreBusy(
            f"the gallery {self.address.text} is being built anew by another process; try again when that "
            "is done, or, if it was killed, after `lookalike check --repair`"
        )

    def _translated(self, error: elasticsearch.ApiError, clock: Clock) -> LookalikeError:
        status, type_, reason = error.status_code, kind_of(error), reason_of(error)
        known = self.refused(status, type_, reason)
        if known is not None:
            return known
        if type_ == "media_type_header_exception" or status == 406:
            return StoreUnavailable(
                f"{self._where()} is another version of Elasticsearch than the client's, "
                "8.19; expected a server of that version, or a client of the server's"
            )
        if status in _RETRIED:
            return self.late(reason, clock)
        return StoreCorrupt(
            f"{self._where()} refused a request for the gallery {self.address.name}: {reason}"
        )

    def _blocked(self, reason: str) -> LookalikeError:
        if "/8/" in reason:
            return self.busy()
        if "/12/" in reason or "flood-stage" in reason:
            return StoreUnavailable(
                f"{self._where()} takes nothing more because its disk is nearly full; make room, and run "
                "the same command again"
            )
        return StoreUnavailable(f"{self._where()} does not let the gallery be written or read: {reason}")

    def _forbidden(self, status: int) -> Forbidden:
        what = "wants to know who you are" if status == 401 else "does not let you do that"
        return Forbidden(
            f"{self._where()} {what} ({status}); set ELASTIC_API_KEY, or ELASTIC_USER and ELASTIC_PASSWORD, "
            "in the environment to those of a user who may read and write the gallery's indices"
        )

    def _misunderstood(self, error: elasticsearch.TransportError, causes: str) -> StoreUnavailable | None:
        """The error where no other attempt can help; None where one may."""
        if self._secure and any(sign in causes for sign in _PLAIN):
            return StoreUnavailable(f"{self._where()} does not speak https; use elasticsearch://")
        if isinstance(error, elasticsearch.SSLError) or "CERTIFICATE" in causes:
            return StoreUnavailable(
                f"{self._where()} can't prove who it is ({causes}); name the file of its certificate "
                "authority with --ca-cert or LOOKALIKE_CA_CERT"
            )
        if not isinstance(error, elasticsearch.ConnectionError | elasticsearch.ConnectionTimeout):
            return StoreUnavailable(f"{self._where()} gave an answer that can't be read: {causes}")
        return None

    def _where(self) -> str:
        return ", ".join(self.address.nodes)


def kind_of(error: elasticsearch.ApiError) -> str:
    """The type of the server's error; "" where it tells none."""
    return str(_told(error).get("type", ""))


def reason_of(error: elasticsearch.ApiError) -> str:
    """The server's reason, the innermost where it gives several."""
    known = [root.get("reason") or root.get("type") for root in _roots(error)]
    return _short(str(known[0])) if known and known[0] else f"status {error.status_code}"


def _told(error: elasticsearch.ApiError) -> dict[str, Any]:
    told = error.body.get("error") if isinstance(error.body, dict) else None
    return told if isinstance(told, dict) else {}


def _roots(error: elasticsearch.ApiError) -> list[dict[str, Any]]:
    told = _told(error)
    roots = [root for root in told.get("root_cause") or () if isinstance(root, dict)]
    return roots or ([told] if told else [])


def _causes(error: BaseException) -> str:
    """What a client's error came of: it tells only its kind itself."""
    told: list[str] = []
    left: list[BaseException] = [error]
    while left and len(told) < _MOST_CAUSES:
        one = left.pop(0)
        told.append(str(one))
        nested = getattr(one, "errors", None) or [one.__cause__ or one.__context__]
        left += [cause for cause in nested if isinstance(cause, BaseException)]
    return _short(max(told, key=len))


def _may_pass(error: elasticsearch.ApiError) -> bool:
    """Whether the same call may work in a moment: too much to do, or no node in charge just now."""
    # A point in time that went with its node is opened anew by the call itself.
    lost = any(root.get("type") == "search_context_missing_exception" for root in _roots(error))
    return lost or (error.status_code in _RETRIED and "/12/" not in reason_of(error))


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _trusted(ca_cert: str) -> dict[str, Any]:
    """The client's option that makes it believe a certificate authority besides those it knows."""
    file = Path(ca_cert).expanduser()
    if not file.is_file():
        raise StoreUnavailable(f"there is no file {ca_cert} with a certificate authority")
    return {"ca_certs": str(file)}
