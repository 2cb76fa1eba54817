"""What a prompt would cost on each model: exact, sorted, bounded, kept nowhere, for those who see prices."""

import logging
import re
from decimal import Decimal
from html import unescape
from secrets import token_hex
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables

from accounts.models import Organization, User
from accounts.rate import Rate
from analytics.pages.models import estimate
from analytics.reports import estimates
from groq_client.tokens import estimate_prompt
from ledger.models import UsageEvent
from pricing.cost import cost
from pricing.models import Price
from tests.cast import signed_in
from tests.pricing.prices import Used, make_price

pytestmark = pytest.mark.django_db

ADDRESS = "/models/estimate/"
PROMPT = "What is the National Dish of India?"
OSS, QWEN, LLAMA, VOICE, HEARS, RETIRED = (
    "openai/gpt-oss-120b",
    "qwen/qwen3.8-27b",
    "llama-9/new",
    "canopylabs/orpheus-v1-english",
    "whisper-large-v3",
    "llama-3.3-70b-versatile",
)
NOTHING: dict[str, Any] = {"input_usd_per_1k_tokens": None, "output_usd_per_1k_tokens": None}


@pytest.fixture
def prices(acme: Organization, globex: Organization) -> None:
    make_price(OSS, input_usd_per_1k_tokens=Decimal("0.00015"), output_usd_per_1k_tokens=Decimal("0.0006"))
    make_price(OSS, organization=acme, input_usd_per_1k_tokens=Decimal("0.0001"))
    make_price(QWEN, input_usd_per_1k_tokens=Decimal("0.0008"), output_usd_per_1k_tokens=Decimal("0.004"))
    make_price(LLAMA, input_usd_per_1k_tokens=Decimal("0.00005"), output_usd_per_1k_tokens=Decimal("0.00008"))
    make_price(VOICE, **NOTHING, usd_per_1k_characters=Decimal("0.022"))
    make_price(HEARS, **NOTHING, audio_usd_per_hour=Decimal("0.111"))
    make_price(RETIRED)
    make_price("off/c", enabled=False)
    make_price("secret/g", organization=globex)


def asked(person: User, prompt: str = PROMPT, output: str = "100", **headers: str) -> str:
    response = signed_in(person).post(ADDRESS, {"prompt": prompt, "output": output}, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def lines(html: str) -> list[tuple[str, Decimal, str]]:
    """Each model of the answer with its exact cost and how the prompt was counted."""
    body = html.partition('id="estimates-title"')[2]
    rows = re.findall(
        r'side-name">.*?</span>([^<]*)</span>.*?title="\$([\d.,]+)".*?<td[^>]*>(.*?)</td>', body, re.DOTALL
    )
    return [
        (unescape(name), Decimal(dollars.replace(",", "")), " ".join(prompt.split())) for name, dollars, prompt in rows
    ]


def test_every_models_cost_the_cheapest_first(prices: None, admin: User) -> None:
    tokens = {
        model: estimate_prompt({"messages": [{"role": "user", "content": PROMPT}]}, model)
        for model in (OSS, QWEN, LLAMA)
    }
    assert tokens[OSS] == 79  # what Groq counted
    own = Price.objects.get(model=OSS, organization__isnull=False)
    expected = [
        (LLAMA, cost(Used(tokens[LLAMA], 100), Price.objects.get(model=LLAMA)), f"about {tokens[LLAMA]} tokens"),
        (OSS, cost(Used(79, 100), own), "79 tokens"),
        (QWEN, cost(Used(tokens[QWEN], 100), Price.objects.get(model=QWEN)), f"{tokens[QWEN]} tokens"),
        (VOICE, cost(Used(characters=len(PROMPT)), Price.objects.get(model=VOICE)), f"{len(PROMPT)} characters"),
    ]
    html = asked(admin)
    assert lines(html) == sorted(expected, key=lambda row: row[1] or 0)
    assert "Own price" in html
    assert "1 retired model left out." in html
    assert "1 model left out that is not charged by text alone." in html
    assert PROMPT in html  # it stays in the form


def test_a_super_admin_gets_everybodys_prices(prices: None, super_admin: User) -> None:
    assert "Own price" not in asked(super_admin)


def test_what_does_not_fit_is_marked(prices: None, admin: User) -> None:
    assert "Too long for it" not in asked(admin, output="1000")
    assert asked(admin, output="70000").count("Too long for it") == 2  # both known models


def test_htmx_gets_the_list_alone(prices: None, admin: User) -> None:
    html = asked(admin, **{"HX-Request": "true", "HX-Request-Type": "partial"})
    assert len(lines(html)) == 4
    assert "<form" not in html
    assert PROMPT not in html


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"prompt": "", "output": "1"}, "This field is required"),
        ({"prompt": "x" * 100_001, "output": "1"}, "at most 100000 characters"),
        ({"prompt": "a\0b", "output": "1"}, "Null characters are not allowed"),
        ({"prompt": "x", "output": "-1"}, "greater than or equal to 0"),
        ({"prompt": "x", "output": "1000001"}, "less than or equal to 1000000"),
        ({"prompt": "x", "output": "long"}, "Enter a whole number"),
        ({"prompt": "x"}, "This field is required"),
    ],
)
def test_what_is_wrong_is_said(prices: None, admin: User, sent: dict[str, str], message: str) -> None:
    html = signed_in(admin).post(ADDRESS, sent).content.decode()
    assert message in html
    assert lines(html) == []


def test_hostile_text_is_counted(prices: None, admin: User) -> None:
    for prompt in (" " * 100_000, "🤷🏽‍♀️" * 10_000, "<|endoftext|>" * 5_000, "\n"):
        assert len(lines(asked(admin, prompt))) == 4


def test_a_person_has_a_number_of_estimates_a_minute(
    prices: None, admin: User, super_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "RATE", Rate(2, seconds=1_000_000_000))
    assert [bool(lines(asked(admin))) for _ in range(3)] == [True, True, False]
    assert estimate.TOO_OFTEN in asked(admin)
    assert lines(asked(super_admin))  # others go on


def test_the_prompt_is_kept_nowhere(prices: None, admin: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with CaptureQueriesContext(connection) as queries:
        asked(admin, "canary-in-a-coal-mine")
    assert not [query for query in queries if "canary" in query["sql"]]
    assert "canary" not in caplog.text
    assert not UsageEvent.objects.exists()
    assert not [session for session in Session.objects.all() if "canary" in str(session.get_decoded())]


def test_it_takes_a_fixed_number_of_queries(prices: None, admin: User) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            asked(admin)
        return len(queries)

    before = count()
    for number in range(20):
        make_price(f"model-{number}")
    assert count() == before


def test_only_those_who_see_prices(prices: None, user: User, acme: Organization) -> None:
    assert signed_in(user).get(ADDRESS).status_code == 403
    assert signed_in(user).post(ADDRESS, {"prompt": "x", "output": "1"}).status_code == 403
    acme.show_user_cost = True
    acme.save()
    html = asked(user)
    assert lines(html)
    assert "secret/g" not in html


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_tokens_are_counted(
    prices: None, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[object] = []

    def counting(body: dict[str, Any], model: str) -> int:
        held.append(connection.connection)
        return estimate_prompt(body, model)

    monkeypatch.setattr(estimates, "estimate_prompt", counting)
    assert lines(asked(admin))
    assert held == [None] * 3  # the families of the three models that read text


def test_the_report_of_a_failure_does_not_quote_the_prompt(
    prices: None, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django mails or logs such a report, with the variables of every function on the way."""

    @sensitive_variables("body")  # which is this test's own
    def failing(body: object, model: str) -> int:
        raise RuntimeError("Something is broken.")

    monkeypatch.setattr(estimates, "estimate_prompt", failing)
    canary = token_hex()  # The report quotes lines of this file, so that it must not be in one.
    client = signed_in(admin)
    client.raise_request_exception = False
    response = client.post(ADDRESS, {"prompt": canary, "output": "1"})
    assert response.status_code == 500
    report = ExceptionReporter(response.wsgi_request, *response.exc_info).get_traceback_html()
    assert "Something is broken." in report
    assert canary not in report
