"""A call to be pasted into a terminal: its key, and the line of curl.

A ledger keeps only the SHA-256 of a secret, and so could not print the key of an earlier start again. The secret of
this one key is therefore derived from the demonstration's SECRET_KEY, which lies under ``var/``: each start finds the
same secret, a line that was copied before a restart goes on working, and nothing more is kept on disk. A new key at
each start would break that line, and leave a revoked key and two lines in the audit trail each time.
"""

import json

from django.utils.crypto import salted_hmac

from accounts import api_keys
from accounts.models import ApiKey, KeyState, Organization, User
from usage_dashboard.demo.people import ACME, OWNER

NAME = "Terminal"
PROJECT = "terminal"
MODEL = "openai/gpt-oss-20b"
PROMPT = "Name three rivers."


def command(address: str) -> str:
    """The line that makes a call through the gateway. The address ends with a slash. Makes the key if there is none."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]})
    headers = (f"Authorization: Bearer {secret()}", "Content-Type: application/json", f"X-Usage-Project: {PROJECT}")
    options = " ".join(f"-H '{header}'" for header in headers)
    return f"curl {address}openai/v1/chat/completions {options} -d '{body}'"


def secret() -> str:
    """The secret of the key, which is made if there is none that works. A key that somebody revoked stays revoked: the
    next one has the next secret."""
    number = 0
    while True:
        derived = _derived(number)
        key = ApiKey.objects.filter(digest=api_keys.digest_of(derived)).first()
        if key is None:
            return _create(derived)
        if key.state is KeyState.ACTIVE:
            return derived
        number += 1


def _create(derived: str) -> str:
    """Make a key with this secret, and revoke an earlier one of this name, whose secret nobody can tell any more."""
    organization, owner = Organization.objects.get(slug=ACME.slug), User.objects.get(username=OWNER.username)
    for key in organization.api_keys.filter(name=NAME, revoked_at=None):
        api_keys.revoke(key, by=owner)
    return api_keys.create(ApiKey(organization=organization, name=NAME), by=owner, secret=derived)


def _derived(number: int) -> str:
    """The secret of the key after this number of earlier ones."""
    digest = salted_hmac("usage_dashboard.demo.first_call", str(number), algorithm="sha512").digest()
    return api_keys.secret_of(int.from_bytes(digest))
