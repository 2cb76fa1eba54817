"""Who and what a call is for: by its key, by headers, and by the fields ``user`` and ``metadata`` of its body.

What the key is bound to wins over everything. The ``X-Usage-…`` headers win over those of other gateways, and those
over the body.
"""

import json
from collections.abc import Mapping
from typing import Any

from accounts.keyring import KeyEntry
from groq_client.call import Attribution
from groq_client.context import MAX_METADATA_HEADER, attribution_from_headers
from groq_client.metadata import clean_metadata
from groq_client.names import identity, shown_name

OTHERS: dict[str, str] = {
    "helicone-user-id": "user",
    "helicone-session-id": "session_id",
    "helicone-prompt-id": "template_id",
    "helicone-request-id": "request_id",
    "x-portkey-trace-id": "session_id",
    "x-litellm-end-user-id": "user",
    "x-litellm-customer-id": "user",
    "x-litellm-session-id": "session_id",
    "x-litellm-trace-id": "session_id",
}
"""The headers of other gateways that say what ours do."""
OTHERS_METADATA = {"x-portkey-metadata", "x-litellm-spend-logs-metadata"}
PROPERTY = "helicone-property-"
TAGS = "x-litellm-tags"
PORTKEY_FIELDS = {"_user": "user", "_prompt": "template_id"}
"""The entries of Portkey's metadata that it gives a meaning to."""


def attribution_of(key: KeyEntry, headers: Mapping[str, str], body: Mapping[str, Any]) -> Attribution:
    """The attribution of a call. It always names the organization of the key, whatever else is said."""
    said = _of_body(body)
    if headers:
        said = said.merged(_of_others(headers)).merged(attribution_from_headers(headers))
    bound = Attribution(organization=key.organization, project=key.project, user=key.user)
    said = said.merged(bound)
    return said.merged(Attribution(metadata=clean_metadata(said.metadata))) if headers and said.metadata else said


def _of_body(body: Mapping[str, Any]) -> Attribution:
    user, metadata = body.get("user"), body.get("metadata")
    return Attribution(
        user=shown_name(user) if isinstance(user, str) else "",
        metadata=clean_metadata(metadata) if isinstance(metadata, Mapping) and metadata else {},
    )


def _of_others(headers: Mapping[str, str]) -> Attribution:
    fields: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    for name, value in headers.items():
        if (field := OTHERS.get(name)) is not None:
            fields.setdefault(field, value)
        elif name in OTHERS_METADATA:
            metadata |= _object(value)
        elif name.startswith(PROPERTY):
            metadata[name.removeprefix(PROPERTY)] = value
        elif name == TAGS:
            metadata["tags"] = [tag.strip() for tag in value.split(",")]
    for name, field in PORTKEY_FIELDS.items():
        if isinstance(metadata.get(name), str):
            fields.setdefault(field, metadata.pop(name))
    cleaned = {field: shown_name(value) if field == "user" else identity(value) for field, value in fields.items()}
    return Attribution(**cleaned, metadata=clean_metadata(metadata) if metadata else {})


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if len(text) <= MAX_METADATA_HEADER else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
