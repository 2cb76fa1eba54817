"""The headers of a request and of its answer: what is read here, what goes to Groq, and what comes back."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from django.conf import settings

from gateway.asgi import RawHeaders

FORWARDED = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-encoding",
        b"content-type",
        b"idempotency-key",
        b"user-agent",
    }
)
FORWARDED_PREFIXES = (b"x-stainless-", b"groq-", b"openai-")
"""What goes to Groq besides these is named by the setting GATEWAY_FORWARD_HEADERS. Everything else stays here."""

ATTRIBUTION_PREFIXES = (b"x-usage-", b"helicone-", b"x-portkey-", b"x-litellm-")

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
OF_THE_HOST = frozenset({b"alt-svc", b"set-cookie", b"strict-transport-security"})
"""What these headers say is about Groq's host. From the gateway it would be taken as said about ours."""


@dataclass(slots=True)
class RequestHeaders:
    """The headers of one request, sorted by their use. Names are in lower case."""

    forwarded: list[tuple[str, str]] = field(default_factory=list)
    attribution: dict[str, str] = field(default_factory=dict)
    authorization: str = ""
    content_type: str = ""
    content_length: int | None = None
    expects_continue: bool = False
    """The client sends its body only when it is asked for it."""
    retries: int = 0
    """How often the client has sent this request before, as the SDKs of OpenAI and Groq tell."""


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """Sorts the headers. The server has refused those that break the framing of HTTP already."""
    headers = RequestHeaders()
    for name, value in raw:
        use = _use_of(name)
        if use == "forwarded":
            if value.isascii():  # The client of HTTP would write other bytes than these.
                headers.forwarded.append((name.decode("ascii"), value.decode("ascii")))
            if name == b"content-type":
                headers.content_type = value.decode("latin-1")
            elif name == b"x-stainless-retry-count":
                headers.retries = int(value) if value.isdigit() and len(value) < 4 else 0
        elif use == "attribution":
            headers.attribution[name.decode("latin-1")] = _text(value)
        elif name == b"authorization":
            headers.authorization = value.decode("latin-1")
        elif name == b"expect":
            headers.expects_continue = True
        elif name == b"content-length":
            headers.content_length = int(value) if value.isdigit() and len(value) < 19 else None
    return headers


@lru_cache(maxsize=1024)
def _use_of(name: bytes) -> str:
    if name.startswith(ATTRIBUTION_PREFIXES):
        return "attribution"
    if name in FORWARDED or name.startswith(FORWARDED_PREFIXES) or _is_named(name, settings.GATEWAY_FORWARD_HEADERS):
        return "forwarded"
    return ""


def _is_named(name: bytes, patterns: Collection[str]) -> bool:
    """Whether a setting names this header: by its name, or by the beginning of its name and a star."""
    text = name.decode("latin-1")
    return any(text.startswith(p[:-1]) if p.endswith("*") else text == p for p in map(str.lower, patterns))


def _text(value: bytes) -> str:
    """A header's text. Names of people come in UTF-8, although HTTP knows Latin-1 alone."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def answer_headers(raw: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of Groq's answer that go to the client, in their order and as they came."""
    dropped = HOP_BY_HOP
    kept = []
    for name, value in raw:
        lower = name.lower()
        if lower == b"connection":
            dropped = dropped | {token.strip().lower() for token in value.split(b",")}
        if lower not in dropped and lower not in OF_THE_HOST:
            kept.append((name, value))
    return kept if dropped is HOP_BY_HOP else [(name, value) for name, value in kept if name.lower() not in dropped]
