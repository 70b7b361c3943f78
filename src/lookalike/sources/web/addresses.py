"""What may be asked: addresses that can be read, and machines that are public."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from lookalike.errors import DownloadError
from lookalike.sources.web.failures import Failed, without_secrets

if TYPE_CHECKING:
    import httpx

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # the IPv4 network, seen from an IPv6 one
_INNER = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::/96",  # IPv4 in its oldest clothes
        "::ffff:0:0:0/96",  # and in others
        "64:ff9b:1::/48",  # translation within a network
        "fec0::/10",  # addresses of one site, as they were called
    )
)


def read(url: str) -> httpx.URL:
    """The address in its parts.

    Raises:
        DownloadError: it can't be read, or is neither `http://` nor `https://`.
    """
    import httpx

    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise DownloadError("not an address that can be read: expected http://… or https://…") from None
    require_web(parts)
    return parts


def require_web(url: httpx.URL) -> None:
    """Refuse any scheme but the web's two."""
    if url.scheme not in {"http", "https"}:
        raise Failed(without_secrets(url), f"only http:// and https:// are fetched, not {url.scheme}://")
    if not url.host:
        raise Failed(without_secrets(url), "names no machine")


def public_addresses(url: httpx.URL) -> list[str]:
    """The addresses of the host, every one of which is public."""
    found = socket.getaddrinfo(url.host, url.port or url.scheme, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if not is_public(ipaddress.ip_address(address)):
            raise Failed(without_secrets(url), f"leads to {address}, which is not a public address")
    return list(dict.fromkeys(addresses))


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether anybody may be meant: not this machine, its network, or a special one."""
    if isinstance(address, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        teredo = address.teredo[1] if address.teredo else None
        if any(address in network for network in _INNER):
            return False
        address = address.ipv4_mapped or address.sixtofour or teredo or translated or address
    return address.is_global and not address.is_multicast
