"""A bare pass-through, as short as it can be written: the limit of the language for a gateway."""

import os

import aiohttp

UPSTREAM = os.environ.get("GROQ_BASE_URL", "")
sessions: list[aiohttp.ClientSession] = []


async def application(scope, receive, send):  # type: ignore[no-untyped-def]
    if scope["type"] != "http":
        return
    if not sessions:
        sessions.append(aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)))
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {"content-type": "application/json", "authorization": "Bearer gsk"}
    async with sessions[0].post(UPSTREAM + scope["path"], data=body, headers=headers) as response:
        kept = [(n, v) for n, v in response.raw_headers if n.lower() != b"transfer-encoding"]
        await send({"type": "http.response.start", "status": response.status, "headers": kept})
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
