"""What a request says of where it comes from."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from flask import has_request_context, request

# What a proxy says of the one it calls for.
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
_OWN_NAMES = {"127.0.0.1", "localhost", "::1"}
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


@lru_cache(maxsize=1024)
def parse_address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Read an address as proxies write them: with a port, in brackets, or IPv4 in IPv6. None if it is none."""
    match = _WITH_PORT.fullmatch(text or "")
    try:
        found = ip_address(next(filter(None, match.groups())) if match else text or "")
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@lru_cache(maxsize=1024)
def network_of(text: str | None, *, ipv4_prefix: int, ipv6_prefix: int = 64) -> str:
    """The network of an address, `unknown` for no address. An IPv6 customer gets at least a /64, often a /48."""
    found = parse_address(text)
    if found is None:
        return "unknown"
    return str(ip_network((found, ipv4_prefix if found.version == 4 else ipv6_prefix), strict=False))


def device() -> dict[str, str | None]:
    """`ip_address` and `user_agent`, harmless to store and to show; None outside a request, on the command line."""
    if not has_request_context():
        return {"ip_address": None, "user_agent": None}
    agent = "".join(mark for mark in request.user_agent.string if mark.isprintable())[:255]
    address = parse_address(request.remote_addr)
    # A zone id (fe80::1%eth0) says nothing to anybody elsewhere, and can be of any length.
    return {"ip_address": str(address).partition("%")[0] if address else None, "user_agent": agent or None}


def is_this_machine() -> bool:
    """Say whether this request comes from this machine, and that is known: over loopback, past no proxy, by a name of its own.

    The connection counts, not what a proxy says: ProxyFix leaves the header from which it took another address, and any such
    header is a no. So is another site's name, which a page in a browser here can lead to this machine (DNS rebinding).
    """
    address = parse_address(request.environ.get("REMOTE_ADDR"))
    if address is None or not address.is_loopback or any(name.startswith(_FORWARDED) for name in request.environ):
        return False
    try:
        return urlsplit(request.host_url).hostname in _OWN_NAMES
    except ValueError:
        return False
