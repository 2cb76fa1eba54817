"""The worker: runs deferred and periodic jobs (``tasks.py`` of the apps) on the ledger's own PostgreSQL, until it is
told to end."""

import asyncio
import logging
import signal
from contextlib import suppress
from typing import Any, Self

from django.conf import settings
from django.db import connections
from procrastinate import PsycopgConnector
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ProcrastinateException
from psycopg import AsyncConnection, Error
from psycopg_pool import PoolTimeout

logger = logging.getLogger("usage.worker")

CONCURRENCY = 3
"""So many jobs at once, a thread each: one that takes an hour does not keep those of every minute waiting."""
GRACE_SECONDS = 20.0
"""So long a job may go on after a signal. Then one that works in batches is told to stop between two of them, and the
rest is done the next time. A job that does not is waited for."""
RETRY_SECONDS = 2.0
CONNECT_SECONDS = 5.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class WorkerConnection(AsyncConnection[Any]):
    """A connection that sees to it that the embedded server runs, where that is the one to connect to."""

    @classmethod
    async def connect(cls, *args: Any, **kwargs: Any) -> Self:
        if connections["default"].settings_dict["ENGINE"] == "usage_dashboard.postgresql":
            await asyncio.to_thread(settings.EMBEDDED_POSTGRES.ensure_running)
        return await super().connect(*args, **kwargs)


def connector() -> PsycopgConnector:
    """The worker's own connections, next to those that its jobs take from Django."""
    parameters = connector_params() | {"application_name": "usage-worker", "connect_timeout": int(CONNECT_SECONDS)}
    parameters.pop("pool", None)
    return PsycopgConnector(
        kwargs=parameters,
        connection_class=WorkerConnection,
        min_size=1,
        max_size=CONCURRENCY + 2,
        timeout=CONNECT_SECONDS,
        reconnect_timeout=CONNECT_SECONDS,
    )


def run() -> None:
    """Work until SIGTERM or SIGINT, then finish what is being done. A second signal ends the process at once."""
    asyncio.run(_until_told())


async def _until_told() -> None:
    loop, is_told = asyncio.get_running_loop(), asyncio.Event()
    work = asyncio.create_task(_work(is_told))

    def stop() -> None:
        is_told.set()
        work.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await work


async def _work(is_told: asyncio.Event) -> None:
    """The worker ends by itself when it loses the database: then another one begins."""
    while not is_told.is_set():
        try:
            with app.replace_connector(connector()):
                async with app.open_async():
                    await app.run_worker_async(
                        concurrency=CONCURRENCY,
                        shutdown_graceful_timeout=GRACE_SECONDS,
                        delete_jobs="successful",
                        install_signal_handlers=False,
                    )
        except (ProcrastinateException, Error, PoolTimeout, OSError) as error:
            logger.warning("The worker has no database, it tries again: %s", error)
        if not is_told.is_set():
            await asyncio.sleep(RETRY_SECONDS)
