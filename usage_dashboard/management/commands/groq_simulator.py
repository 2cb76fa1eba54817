"""``manage.py groq_simulator``: a local stand-in for the Groq API, for demonstrations and development."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from groq_client.simulator import command
from groq_client.simulator.server import CannotListenError, run


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl+C."""

    help = "Run a local simulator of the Groq API, with scripted faults."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        command.add_arguments(parser)

    def handle(self, *, host: str, port: int, speed: float, list_faults: bool, **_: object) -> None:
        if list_faults:
            self.stdout.write(command.fault_list())
            return
        try:
            run(host, port, speed, self._announce)
        except CannotListenError as error:
            raise CommandError(str(error)) from error

    def _announce(self, address: str) -> None:
        self.stdout.write(command.announcement(address))
        self.stdout.flush()
