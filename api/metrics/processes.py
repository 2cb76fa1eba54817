"""The metrics of the processes of this server: gunicorn's, and its workers'. Each is told with its process id, since
only one of them answers, and each must count up by itself."""

import os
from collections.abc import Iterator
from contextlib import suppress

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

SERVER_PID = "USAGE_SERVER_PID"
"""The environment variable by which ``gunicorn.conf.py`` tells its workers who has started them."""


def processes() -> list[Metric]:
    cpu = CounterMetricFamily("process_cpu_seconds", "Time on processors.", labels=["pid"])
    resident = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", labels=["pid"])
    files = GaugeMetricFamily("process_open_fds", "Open files and sockets.", labels=["pid"])
    threads = GaugeMetricFamily("process_threads", "Threads.", labels=["pid"])
    start = GaugeMetricFamily("process_start_time_seconds", "When the process began.", labels=["pid"])
    for process in _of_this_server():
        with suppress(psutil.Error), process.oneshot():
            times, labels = process.cpu_times(), [str(process.pid)]
            cpu.add_metric(labels, times.user + times.system)
            resident.add_metric(labels, process.memory_info().rss)
            files.add_metric(labels, process.num_fds())
            threads.add_metric(labels, process.num_threads())
            start.add_metric(labels, process.create_time())
    return [cpu, resident, files, threads, start]


def _of_this_server() -> Iterator[psutil.Process]:
    parent = os.getppid()
    if os.environ.get(SERVER_PID) != str(parent):
        yield psutil.Process()
        return
    with suppress(psutil.Error):
        server = psutil.Process(parent)
        yield server
        yield from server.children()
