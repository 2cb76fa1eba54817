"""The project: settings and wiring of the ledger of a company's Groq calls, and ``connect`` for other programs."""

import os

import django
import django.conf


def connect() -> None:
    """Let the Groq clients of a program that is not a Django project write into the ledger. Call it once, at the start.

    The environment names the database (DATABASE_URL, or VAR_DIR for the embedded one). The program's logging stays as
    it is, and nothing is printed, unless USAGE_DEBUG is set.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
    settings = django.conf.settings  # An import of the name would hide this package's own module ``settings``.
    if not settings.USAGE_DEBUG:
        settings.LOGGING_CONFIG = None
    django.setup()
