"""``python -m benchmarks.wrong_keys``: what a wrong key costs beside a right one, and how far 1,000 wrong keys a second
slow a program with a right one.

``python -m benchmarks.wrong_keys PORT SECONDS`` is the sender of wrong keys, in a process of its own.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection

from benchmarks.gateway import PATH, load, ours, upstream
from benchmarks.setup import prepare, report

RATE, LINKS = 1_000, 20
ROUNDS, SECONDS = 4, 3.0
ASKED = 2_000


def main() -> None:
    prepare()
    with upstream() as groq, ours(groq) as (port, key):
        wrong, right = cost(port, "gul_" + "0" * 38, 401), cost(port, key, 405)
        report("A wrong key | a right one, whose request goes no further", f"{wrong:.3f} | {right:.3f} ms")
        quiet, busy, sent = [], [], []
        for _ in range(ROUNDS):
            quiet.append(load(port, key, 1, SECONDS, stream=False)["p50"])
            command = [sys.executable, "-m", "benchmarks.wrong_keys", str(port), str(SECONDS + 1)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
                busy.append(load(port, key, 1, SECONDS, stream=False)["p50"])
                sent.append(int(sender.communicate()[0]) / (SECONDS + 1))
    without, meanwhile = statistics.median(quiet), statistics.median(busy)
    value = f"{without:.2f} | {meanwhile:.2f} ms, × {meanwhile / without:.2f}"
    report(f"One caller's p50 without | with {statistics.median(sent):,.0f} wrong keys a second", value, "≤ × 2")


def cost(port: int, key: str, status: int) -> float:
    """The median of the milliseconds until a request is refused that no upstream hears of."""
    link, times = HTTPConnection("127.0.0.1", port), []
    for _ in range(ASKED):
        began = time.perf_counter()
        link.request("GET", PATH, headers={"Authorization": f"Bearer {key}"})
        answer = link.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status == status
    return statistics.median(times)


async def send_wrong_keys(port: int, seconds: float) -> int:
    """Send RATE wrong keys a second, or as many as are answered, and return the number of all."""
    until = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_send_on_one_link(port, number, until) for number in range(LINKS))))


async def _send_on_one_link(port: int, number: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent, began = 0, time.perf_counter()
    while time.perf_counter() < until:
        key = f"gul_{number:08}{sent:030}"
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
        sent += 1
        await asyncio.sleep(max(0.0, began + sent * LINKS / RATE - time.perf_counter()))
    writer.close()
    return sent


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(asyncio.run(send_wrong_keys(int(sys.argv[1]), float(sys.argv[2]))))
    else:
        main()
