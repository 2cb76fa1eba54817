"""The simulator's command line, shared by ``python -m groq_client.simulator`` and the Django command."""

import argparse
import math
import sys

from groq_client.simulator.faults import FAULTS, HEADERS
from groq_client.simulator.server import CannotListenError, run

DEFAULT_PORT = 8899


def positive_speed(text: str) -> float:
    """A speed from the command line: a number greater than 0, or ``inf``."""
    speed = float(text)
    if math.isnan(speed) or speed <= 0:
        raise argparse.ArgumentTypeError("the speed must be greater than 0")
    return speed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that both commands share."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument(
        "--speed", type=positive_speed, default=1.0, help="2 halves every waiting time, inf never waits (default 1)"
    )
    parser.add_argument("--list-faults", action="store_true", help="show what the simulator can be told to do wrong")


def fault_list() -> str:
    """The list of all faults, for a terminal."""
    width = max(map(len, FAULTS)) + 2
    usage = "Choose a fault by the model's name (sim/<fault>, sim/<fault>/<real model>) or by the header x-sim-fault."
    faults, headers = (
        "\n".join(f"{name:<{width}}{description}" for name, description in registry.items())
        for registry in (FAULTS, HEADERS)
    )
    return f"{usage}\n\n{faults}\n\nRequest headers:\n\n{headers}"


def announcement(address: str) -> str:
    """The text to print once the simulator listens."""
    return f"The Groq simulator listens on {address} (use it as GROQ_BASE_URL)."


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator and return the exit status."""
    parser = argparse.ArgumentParser("groq_client.simulator", description="A local stand-in for the Groq API.")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    if options.list_faults:
        sys.stdout.write(fault_list() + "\n")
        return 0
    try:
        run(options.host, options.port, options.speed, _announce)
    except CannotListenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _announce(address: str) -> None:
    sys.stdout.write(announcement(address) + "\n")
    sys.stdout.flush()
