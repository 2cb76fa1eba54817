"""The command line: ``manage.py`` in a checkout, ``groq-usage-dashboard`` where the wheel is installed."""

import os
import sys
from platform import python_version

import django
from django.core.management import execute_from_command_line

from usage_dashboard.version import DISTRIBUTION, version


def main() -> None:
    """Do what the arguments say. In place of Django's version, ours is told."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
    if sys.argv[1:] in (["--version"], ["version"]):
        sys.stdout.write(f"{DISTRIBUTION} {version()} (Django {django.__version__}, Python {python_version()})\n")
    else:
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
