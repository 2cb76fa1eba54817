"""The memory of an upload by itself: many files of 25 MB are sent through our gateway at once, faster than the upstream
reads them. What the server's memory grows by is divided by their number."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import aiohttp

from benchmarks.events_there import events, wait_for_events
from benchmarks.gateways import Gateway, ours, upstream
from benchmarks.setup import report

UPLOADS, MEGABYTES = 40, 25
CHUNK = 256 * 1024
BOUNDARY = "benchmark"
PATH = "/openai/v1/audio/transcriptions"
SAMPLE_SECONDS = 0.05


def run(uploads: int = UPLOADS, megabytes: int = MEGABYTES) -> None:
    with upstream() as groq, ours(groq) as gateway:
        before = events()
        asyncio.run(_send(gateway, 4, megabytes))  # each worker has to load what an upload takes
        growth = _growth(gateway, uploads, megabytes)
        wait_for_events(before + 4 + uploads)
    value = f"{growth / uploads:.2f} MB each, {growth:.0f} in all"
    report(f"{uploads} uploads of {megabytes} MB at once: memory", value, "≤ 5 MB each")


def _growth(gateway: Gateway, uploads: int, megabytes: int) -> float:
    """The largest growth of the server's memory in MB while files are sent."""
    sending = threading.Thread(target=lambda: asyncio.run(_send(gateway, uploads, megabytes)))
    before = most = gateway.memory_mb()
    sending.start()
    while sending.is_alive():
        time.sleep(SAMPLE_SECONDS)
        most = max(most, gateway.memory_mb())
    sending.join()
    return most - before


async def _send(gateway: Gateway, uploads: int, megabytes: int) -> None:
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": f"multipart/form-data; boundary={BOUNDARY}"}

    async def one(session: aiohttp.ClientSession) -> None:
        url = f"http://127.0.0.1:{gateway.port}{PATH}"
        async with session.post(url, data=_form(megabytes), headers=headers) as response:
            assert response.status == 200, await response.text()
            await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session) for _ in range(uploads)))


async def _form(megabytes: int) -> AsyncIterator[bytes]:
    """A form with a WAV file, piece by piece."""
    size = megabytes * 1024 * 1024
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-large-v3\r\n'.encode()
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'.encode()
    yield wave_header(size)
    for _ in range(size // CHUNK):
        yield bytes(CHUNK)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def wave_header(size: int) -> bytes:
    """The beginning of a WAV file of 16,000 samples of two bytes a second, with ``size`` bytes of samples."""
    numbers = [(36 + size, 4), (16, 4), (1, 2), (1, 2), (16_000, 4), (32_000, 4), (2, 2), (16, 2), (size, 4)]
    riff, length, *form, data = [number.to_bytes(width, "little") for number, width in numbers]
    return b"RIFF" + riff + b"WAVEfmt " + length + b"".join(form) + b"data" + data
