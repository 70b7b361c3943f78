"""The address of a gallery in a cluster, and where the secrets come from: never from the address."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = {"elasticsearch": "http", "elasticsearch+https": "https"}
INDEX_TYPES = ("int8_hnsw", "bbq_hnsw", "flat", "hnsw")

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,199}")
_OPTIONS = {"ca_cert", "shards", "replicas", "index_type", "timeout"}
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
    if unknown := sorted(set(given) - _OPTIONS):
        raise UsageError(
            f"{unknown[0]!r} is no option of an address; there are {', '.join(sorted(_OPTIONS))}"
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
