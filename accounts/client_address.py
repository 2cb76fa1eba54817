"""The address that a request came from, as far as it can be trusted."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

IPV6_HOUSEHOLD = 64
"""Bits of an IPv6 address that name a connection; the rest is its owner's to vary."""


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address; for IPv6 that of its network. None where it cannot be told, as on a Unix socket.

    Every proxy appends the address that it was called from to X-Forwarded-For, and what stands before was written by
    the caller. Hence with PROXY_COUNT proxies in front of us the one that counts is that many from the right.
    """
    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if 0 < settings.PROXY_COUNT <= len(forwarded):
        address = _normal(forwarded[-settings.PROXY_COUNT])
        if address:
            return address
    return _normal(request.META.get("REMOTE_ADDR", ""))


def _normal(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((int(address), IPV6_HOUSEHOLD), strict=False).network_address)
    return str(address)
