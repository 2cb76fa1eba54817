"""The connection to Groq. Its address comes from the settings alone, and redirects are not followed.

Failures are raised as httpx's exceptions, by which ``groq_client.errors`` names them as on the way of the SDK.
"""

from collections.abc import AsyncIterator

import aiohttp
import httpx
from yarl import URL

DEFAULT_BASE_URL = "https://api.groq.com"
CONNECT_SECONDS = 10.0
DNS_SECONDS = 60
MAX_HEADER = 65_536
OWN_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""The headers that aiohttp would add where the client sent none."""

RequestBody = bytes | AsyncIterator[bytes] | None


class Upstream:
    """Groq, or whatever speaks its protocol at ``base_url``. A process has one, which opens its connections when it is
    first used."""

    def __init__(self, base_url: str) -> None:
        self._base = (base_url or DEFAULT_BASE_URL).rstrip("/")
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: RequestBody
    ) -> aiohttp.ClientResponse:
        """The answer, whose body is still to be read. Raises ``httpx.TransportError``."""
        try:
            return await self._opened().request(
                method, self._url(path, query), headers=headers, data=body, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise transport_error(error) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                auto_decompress=False,
                skip_auto_headers=OWN_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=MAX_HEADER,
                max_field_size=MAX_HEADER,
            )
        return self._session

    def _url(self, path: str, query: str) -> URL:
        """The address as it is, without any change of its encoding. Those without ids and queries are kept."""
        if query:
            return URL(f"{self._base}{path}?{query}", encoded=True)
        url = self._urls.get(path)
        if url is None:
            url = URL(self._base + path, encoded=True)
            if len(self._urls) < 100:
                self._urls[path] = url
        return url


def transport_error(error: Exception) -> httpx.TransportError:
    """What went wrong on the way, without the texts of the HTTP client, which may quote what was sent."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout("connecting took too long")
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError("no connection")
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no bytes in time")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return httpx.RemoteProtocolError("the connection ended too soon")
    return httpx.ReadError("the connection ended")
