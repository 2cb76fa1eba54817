"""Who and what a call is for: what the key is bound to, then our headers, those of other gateways, and the body."""

from typing import Any

import pytest

from accounts.keyring import KeyEntry
from gateway.attribution import attribution_of
from groq_client.call import Attribution


def key(**bound: Any) -> KeyEntry:
    values: dict[str, Any] = {"id": 1, "organization_id": 7, "organization": "acme", "project": "", "user": ""}
    values |= {"scopes": frozenset({"call"}), "expires_at": None, "provider_key": None}
    values |= {"requests_per_minute": None, "tokens_per_minute": None}
    return KeyEntry(**values | bound)


def test_our_headers_say_everything() -> None:
    headers = {
        "x-usage-user": "ann",
        "x-usage-project": "atlas",
        "x-usage-expert": "lawyer",
        "x-usage-template": "t1",
        "x-usage-feature": "rag",
        "x-usage-session": "s1",
        "x-usage-request-id": "r1",
        "x-usage-metadata": '{"ticket": 5}',
    }
    said = attribution_of(key(), headers, {})
    assert said == Attribution("acme", "atlas", "ann", "lawyer", "t1", "rag", "s1", "r1", {"ticket": 5})


def test_the_organization_is_that_of_the_key() -> None:
    assert attribution_of(key(), {"x-usage-organization": "globex"}, {}).organization == "acme"


def test_a_bound_key_books_on_nobody_else() -> None:
    headers = {"x-usage-user": "eve", "x-usage-project": "other", "helicone-user-id": "eve"}
    said = attribution_of(key(project="atlas", user="ann"), headers, {"user": "eve"})
    assert (said.project, said.user) == ("atlas", "ann")


def test_the_body_is_believed_where_no_header_speaks() -> None:
    body = {"user": "ann", "metadata": {"a": 1, "b": 2}}
    assert attribution_of(key(), {}, body) == Attribution("acme", user="ann", metadata={"a": 1, "b": 2})
    said = attribution_of(key(), {"x-usage-user": "ben", "x-usage-metadata": '{"b": 3}'}, body)
    assert (said.user, said.metadata) == ("ben", {"a": 1, "b": 3})
    assert attribution_of(key(), {}, {"user": 5, "metadata": ["no"]}) == Attribution("acme")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "helicone-user-id": "ann",
                "helicone-session-id": "s1",
                "helicone-prompt-id": "t1",
                "helicone-request-id": "r1",
                "helicone-property-environment": "prod",
                "helicone-auth": "Bearer secret",
            },
            Attribution(
                "acme",
                user="ann",
                session_id="s1",
                template_id="t1",
                request_id="r1",
                metadata={"environment": "prod"},
            ),
        ),
        (
            {"x-litellm-end-user-id": "ann", "x-litellm-tags": "a, b", "x-litellm-spend-logs-metadata": '{"c": 1}'},
            Attribution("acme", user="ann", metadata={"tags": ["a", "b"], "c": 1}),
        ),
        (
            {"x-litellm-customer-id": "ann", "x-litellm-trace-id": "s1"},
            Attribution("acme", user="ann", session_id="s1"),
        ),
        (
            {"x-portkey-metadata": '{"_user": "ann", "_prompt": "t1", "c": 1}', "x-portkey-trace-id": "s1"},
            Attribution("acme", user="ann", template_id="t1", session_id="s1", metadata={"c": 1}),
        ),
        ({"x-portkey-metadata": "[" * 50_000, "x-portkey-api-key": "secret"}, Attribution("acme")),
    ],
    ids=["helicone", "litellm", "litellm customer", "portkey", "nonsense"],
)
def test_the_headers_of_other_gateways(headers: dict[str, str], expected: Attribution) -> None:
    assert attribution_of(key(), headers, {}) == expected


def test_our_headers_win_over_those_of_others() -> None:
    headers = {"x-usage-user": "ann", "helicone-user-id": "eve", "helicone-property-a": "1"}
    said = attribution_of(key(), headers, {})
    assert (said.user, said.metadata) == ("ann", {"a": "1"})
