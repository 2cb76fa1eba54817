"""``manage.py demo``: runs the demonstration until Ctrl-C. ``make demo`` starts it."""

import io
import signal
import time
from typing import NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import timezone

import groq_client
from ledger.recording import pool
from usage_dashboard.demo import PASSWORD, history
from usage_dashboard.demo.first_call import command
from usage_dashboard.demo.people import Login, NotADemoError, create_people
from usage_dashboard.demo.processes import (
    Child,
    ChildDiedError,
    kill,
    port_problem,
    start_simulator,
    start_web,
    start_worker,
    stop,
)
from usage_dashboard.demo.progress import Progress
from usage_dashboard.demo.single import AlreadyRunningError, single_demo
from usage_dashboard.demo.traffic import Traffic, real_traffic, simulated_traffic
from usage_dashboard.postgresql.base import DatabaseWrapper as EmbeddedDatabase

DAYS = 90
EVENTS = 210_000
DATABASE_STOP_SECONDS = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    help = "Show everything: a database, two organizations, 90 days of history, the server, live calls. Ctrl-C ends it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--days", type=int, default=DAYS, help=f"length of the history (default {DAYS})")
        parser.add_argument("--events", type=int, default=EVENTS, help=f"how many it has (default {EVENTS:,})")

    def handle(self, *, port: int, days: int, events: int, **_: object) -> None:
        address = f"http://127.0.0.1:{port}{settings.ROOT_PATH}/"
        try:
            with single_demo(address, port):
                self._run(address, port, days, events)
        except AlreadyRunningError as error:
            raise CommandError(str(error)) from None

    def _run(self, address: str, port: int, days: int, events: int) -> None:
        if problem := port_problem(port):
            raise CommandError(f"{problem} Choose another one: make demo PORT={min(port + 1, 65_535)}")
        for number in SIGNALS:
            signal.signal(number, _interrupt)
        self._children: list[Child] = []
        self._traffic: Traffic | None = None
        try:
            logins = self._prepare(days, events)
            first_call = command(address) if settings.GATEWAY else ""  # Servers know the keys that are there before.
            self._serve(port)
            self._announce(address, logins, first_call)
            self._watch()
        except KeyboardInterrupt:
            self.stdout.write("\nStopping.")
        except ChildDiedError as error:
            raise CommandError(str(error)) from None
        finally:
            self._stop()

    def _prepare(self, days: int, events: int) -> list[Login]:
        self._say("Preparing the database")
        call_command("migrate", verbosity=0)
        call_command("sync_prices", yes=True, stdout=io.StringIO())
        try:
            logins = create_people()
        except NotADemoError:
            raise CommandError(
                "This database has people already, and the demo makes sign-ins with a known password. "
                "Give it a database of its own: VAR_DIR=var/demo make demo"
            ) from None
        self._load_history(days, events)
        call_command("collectstatic", interactive=False, verbosity=0)
        return logins

    def _load_history(self, days: int, events: int) -> None:
        progress = Progress("events")
        try:
            added = history.load(days, events, timezone.now(), progress)
        finally:
            progress.close()
        self._say(f"Loaded {added:,} events" if added else "The history is there already")

    def _serve(self, port: int) -> None:
        """Start the child processes and the live calls."""
        environment = {}
        if settings.GROQ_API_KEY:
            self._traffic = real_traffic(settings.GROQ_API_KEY, settings.GROQ_BASE_URL)
        else:
            simulator, base_url = start_simulator()
            self._children.append(simulator)
            environment = {"GROQ_API_KEY": "simulator", "GROQ_BASE_URL": base_url}
            self._traffic = simulated_traffic(base_url)
        self._children.append(start_web(port, environment))
        self._children.append(start_worker())
        self._traffic.start()

    def _announce(self, address: str, logins: list[Login], first_call: str) -> None:
        rows = [("user", "password", "role", "sees"), *((x.username, PASSWORD, x.role, x.sees) for x in logins)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self._say(f"\nThe dashboard is at {self.style.SUCCESS(address)}")
        self._say("Sign in as one of these; the password is for the demonstration only.")
        self._say("")
        for row in rows:
            self._say("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if first_call:
            self._say("\nA call of your own, from another terminal, is on the dashboard at once, as project terminal:")
            self._say(f"\n{first_call}")
        calls = (
            "to Groq, about every ten seconds" if settings.GROQ_API_KEY else "to a local simulator, about every second"
        )
        self._say(f"\nLive calls go {calls}. Ctrl-C stops everything.")

    def _watch(self) -> None:
        """Wait for a signal. Raises ChildDiedError if a child ends by itself."""
        told = ""
        while True:
            for child in self._children:
                child.check()
            problem = self._traffic.problem if self._traffic else ""
            if problem and problem != told:
                self.stderr.write(f"A live call failed: {problem}")
                told = problem
            time.sleep(0.5)

    def _stop(self) -> None:
        """End everything, the database last. A second signal ends the children at once."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: kill(self._children))
        if self._traffic is not None:
            self._traffic.stop()
        groq_client.flush(timeout=2)
        stop(self._children)
        pool.close()
        connections.close_all()
        self._release_database()

    def _release_database(self) -> None:
        wrapper = connections["default"]
        if isinstance(wrapper, EmbeddedDatabase):
            wrapper.close_pool()
            if not settings.EMBEDDED_POSTGRES.release(DATABASE_STOP_SECONDS):
                self._say("Another program uses the embedded database, which goes on for it.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
