"""The ledger of a company's Groq calls, and what connects a program to it."""

import os

import django


def connect() -> None:
    """Let the Groq clients of a program that is not a Django project write into the ledger. Call it once, at the start.

    The database is that of the environment (DATABASE_URL, or VAR_DIR for the embedded one).
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
    django.setup()
