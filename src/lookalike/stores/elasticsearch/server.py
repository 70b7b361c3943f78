"""The cluster: its address, one client, every call tried again while it may help, its errors in our words.

Secrets come from the environment, never from the address.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from lookalike.errors import LookalikeError, NotFound, StoreBusy, StoreCorrupt, StoreUnavailable, UsageError
from lookalike.system import forks, imports
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self
    from urllib.parse import SplitResult

    from elasticsearch import Elasticsearch as Client

    Call: TypeAlias = Callable[[Client], Any]

SCHEMES = {"elasticsearch": "http", "elasticsearch+https": "https"}
INDEX_TYPES = ("int8_hnsw", "bbq_hnsw", "flat", "hnsw")

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,199}")
_IN_ADDRESS = {"ca_cert", "shards", "replicas", "index_type", "timeout"}
_EXAMPLE = "elasticsearch://localhost:9200/photos"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gallery is.

    text: as the user typed it.
    nodes: URLs of the nodes to talk to.
    name: of the gallery, and so of the alias.
    ca_cert: file of the certificate authority to trust.
    shards, replicas, index_type: of a new gallery; None for the default.
    timeout: seconds it goes on trying where the cluster does not answer.
    """

    text: str
    nodes: tuple[str, ...]
    name: str
    ca_cert: str | None = None
    shards: int | None = None
    replicas: int | None = None
    index_type: str | None = None
    timeout: float = _PATIENCE

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address.

        Raises:
            UsageError: it can't be meant; what may be a password in it is refused without being repeated.
        """
        if "@" in text:
            raise UsageError(
                "an address holds no @: others could read a user and password in it; set ELASTIC_API_KEY, or "
                "ELASTIC_USER and ELASTIC_PASSWORD, in the environment (and write %40 in the name of a file)"
            )
        parts, nodes = _split(text)
        name = unquote(parts.path.removeprefix("/").removesuffix("/"))
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} can't be a gallery's name in Elasticsearch; expected lower case letters, digits "
                f"and _ . - as in {_EXAMPLE}"
            )
        if parts.fragment:
            raise UsageError(f"{text!r} is no address of Elasticsearch; expected one such as {_EXAMPLE}")
        return cls(text, nodes, name, **_options(parts.query))


def credentials() -> dict[str, Any]:
    """What the client is to log in with, from the environment.

    Raises:
        UsageError: a user without a password, or a key that can be none; it is not repeated.
    """
    if key := os.environ.get("ELASTIC_API_KEY"):
        if not key.isascii() or not key.isprintable():
            raise UsageError("ELASTIC_API_KEY holds what no key does, such as a line break; set it anew")
        return {"api_key": key}
    user = os.environ.get("ELASTIC_USER") or os.environ.get("ELASTIC_USERNAME")
    if not user:
        return {}
    password = os.environ.get("ELASTIC_PASSWORD")
    if not password:
        raise UsageError("ELASTIC_USER is set, but ELASTIC_PASSWORD is not; set both, or neither")
    # Encoded here, as the server reads it: the client would take nothing but ASCII.
    return {"basic_auth": b64encode(f"{user}:{password}".encode()).decode()}


def _split(text: str) -> tuple[SplitResult, tuple[str, ...]]:
    """An address in its parts, and the URLs of its nodes."""
    with suppress(ValueError):
        parts = urlsplit(text)
        return parts, tuple(_node(SCHEMES[parts.scheme], host) for host in parts.netloc.split(","))
    # What stands in the place of a port may be a password: neither it nor Python's error is repeated.
    raise UsageError(f"the address names no host and port, which is a number, as in {_EXAMPLE}")


def _node(scheme: str, text: str) -> str:
    host = urlsplit(f"//{text}")
    if not host.hostname:
        raise ValueError("a host has no name")
    name = f"[{host.hostname}]" if ":" in host.hostname else host.hostname
    return f"{scheme}://{name}:{host.port or 9200}"


def _options(query: str) -> dict[str, Any]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(given) - _IN_ADDRESS):
        raise UsageError(
            f"{unknown[0]!r} is no option of an address; there are {', '.join(sorted(_IN_ADDRESS))}"
        )
    index_type = given.get("index_type")
    if index_type is not None and index_type not in INDEX_TYPES:
        raise UsageError(f"index_type is {index_type!r}; expected one of {', '.join(INDEX_TYPES)}")
    options: dict[str, Any] = {
        "ca_cert": given.get("ca_cert") or os.environ.get("LOOKALIKE_CA_CERT") or None,
        "index_type": index_type,
    }
    for name, least in (("shards", 1), ("replicas", 0), ("timeout", 1)):
        if name in given:
            options[name] = _number(name, given[name], least)
    return options


def _number(name: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise UsageError(f"{name} is {text!r}; expected a whole number, {least} or more")
    return int(text)


try:
    import elasticsearch
    import orjson  # noqa: F401  # the client's serializer for vectors needs it
    from elasticsearch import Elasticsearch
except ImportError as missing:
    raise imports.missing("a gallery in Elasticsearch", "elasticsearch") from missing

# Which node failed and is tried again is for those who ask for it, not for everybody's terminal.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())


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
