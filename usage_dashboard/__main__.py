"""The command line: ``manage.py`` in a checkout, ``groq-usage-dashboard`` where the wheel is installed."""

import os
import sys
from platform import python_version

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from usage_dashboard.version import DISTRIBUTION, version


def main() -> None:
    """Do what the arguments say. In place of Django's version, ours is told.

    A bad setting ends the program with its sentence alone, because the sentence says what to do and a traceback would
    hide it. ``--traceback`` shows where the setting is read.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
    if sys.argv[1:] in (["--version"], ["version"]):
        sys.stdout.write(f"{DISTRIBUTION} {version()} (Django {django.__version__}, Python {python_version()})\n")
        return
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(error))


if __name__ == "__main__":
    main()
