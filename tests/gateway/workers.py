"""The worker processes of a gateway that a test has started."""

from contextlib import suppress

import psutil

from tests.gateway.doors import Door


def workers_of(door: Door) -> list[psutil.Process]:
    """The workers that listen. One that was just forked does not serve yet."""
    return _workers(door, psutil.CONN_LISTEN)


def busy_workers_of(door: Door) -> list[psutil.Process]:
    """The workers that have clients."""
    return _workers(door, psutil.CONN_ESTABLISHED)


def _workers(door: Door, status: str) -> list[psutil.Process]:
    port = int(door.address.rpartition(":")[2])
    return [process for process in psutil.Process().children(recursive=True) if _is_worker(process, port, status)]


def _is_worker(process: psutil.Process, port: int, status: str) -> bool:
    """Whether the process has a socket of this status and no children, as only workers do."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        has_one = any(c.laddr.port == port and c.status == status for c in process.net_connections("tcp"))
        return has_one and not process.children()
    return False
