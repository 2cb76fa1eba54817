"""The worker runs deferred and periodic jobs (``tasks.py`` of the apps) on the ledger's own PostgreSQL until a signal
ends it."""

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
"""At most this many jobs run at once, each in a thread, so that a long job does not delay those of every minute."""
GRACE_SECONDS = 20.0
"""The seconds that a job may go on after a signal. Then a job that works in batches stops after the present batch, and
its next run does the rest. Other jobs are waited for."""
RETRY_SECONDS = 2.0
CONNECT_SECONDS = 5.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class WorkerConnection(AsyncConnection[Any]):
    """A connection that starts the embedded server before it connects, if the ledger uses that server."""

    @classmethod
    async def connect(cls, *args: Any, **kwargs: Any) -> Self:
        if connections["default"].settings_dict["ENGINE"] == "usage_dashboard.postgresql":
            await asyncio.to_thread(settings.EMBEDDED_POSTGRES.ensure_running)
        return await super().connect(*args, **kwargs)


def connector() -> PsycopgConnector:
    """The worker's own connections. Its jobs take theirs from Django."""
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
    """Work until SIGTERM or SIGINT, then finish the running jobs. A second signal ends the process at once."""
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
    """Run workers until ``is_told`` is set. A worker ends when it loses the database; then a new one starts."""
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
