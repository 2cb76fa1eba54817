"""``manage.py encrypt_provider_keys``: encrypt the organizations' keys for Groq with a new key of the encryption."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.provider_keys import UnreadableProviderKeyError, encrypt_again, unreadable_provider_keys
from accounts.second_factor.codes import encrypt_apps_again


class Command(BaseCommand):
    help = (
        "Encrypts all organizations' keys for Groq, and what apps make their codes of, with the first key of "
        "PROVIDER_KEY_SECRET. Afterwards the others can be taken away. Changes nothing if a key for Groq cannot be "
        "decrypted."
    )

    def handle(self, **_: Any) -> None:
        try:
            count = encrypt_again()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except UnreadableProviderKeyError as error:
            names = ", ".join(unreadable_provider_keys())
            raise CommandError(
                f"Nothing is changed: PROVIDER_KEY_SECRET does not decrypt the keys for Groq of: {names}. Add the value"
                " that it had when they were entered, or remove these keys on the page Keys."
            ) from error
        apps = encrypt_apps_again()
        self.stdout.write(f"{count} keys for Groq are encrypted with the first key of PROVIDER_KEY_SECRET.")
        self.stdout.write(f"So are {apps} apps for codes.")
