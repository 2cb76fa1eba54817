"""The client's address of a request, from the parts of the headers that can be trusted."""

import re
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

IPV6_HOUSEHOLD = 64
"""The length of an IPv6 network that one customer usually has; the customer can vary the other bits."""
WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d*)?|(?P<v4>[\d.]+):\d*")


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address; for IPv6 the address of its network. None if it is unknown, as on a Unix socket.

    Every proxy appends the address of its caller to X-Forwarded-For, and the caller may have written anything before.
    So with PROXY_COUNT proxies, the client's address is the part at that place from the right. If a proxy wrote a text
    such as "unknown" there, this returns the text, which then stands for all such clients. The proxy's own address
    would stand for everybody, and the next part could be the caller's invention. ``Forwarded`` is never used.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    parts = forwarded.split(",") if forwarded.strip() else []
    if 0 < settings.PROXY_COUNT <= len(parts):
        return _address_in(parts[-settings.PROXY_COUNT])
    return _address_in(request.META.get("REMOTE_ADDR", ""))


def _address_in(part: str) -> str | None:
    """The address in one of the forms that proxies write: with a port, in brackets, in quotes. Another text is returned
    as it is; an empty text gives None."""
    text = part.strip().strip('"').strip()
    match = WITH_PORT.fullmatch(text)
    try:
        address = ip_address(match["v6"] or match["v4"] if match else text)
    except ValueError:
        return text or None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), IPV6_HOUSEHOLD), strict=False).network_address)
