"""Who gets in, what can be chosen, and what is refused before anything is asked."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization, User
from groq_client.simulator.server import SimulatorHandle
from playground.conversation import MAX_HISTORY_LENGTH, MAX_MESSAGE_LENGTH
from pricing.models import Price
from tests.cast import signed_in
from tests.playground.asking import ANSWERS, MODEL, PAGE, lines_of, question

pytestmark = pytest.mark.django_db


def test_models_are_those_that_chat_and_have_a_price_now(user: User, acme: Organization, globex: Organization) -> None:
    tokens = {"input_usd_per_1k_tokens": Decimal(1), "output_usd_per_1k_tokens": Decimal(1)}
    Price.objects.create(model="whisper", audio_usd_per_hour=Decimal(1))
    Price.objects.create(model="embedder", input_usd_per_1k_tokens=Decimal(1))
    Price.objects.create(model="globex/own", organization=globex, **tokens)
    Price.objects.create(model="acme/own", organization=acme, **tokens)
    Price.objects.create(model="acme/disabled", **tokens)
    Price.objects.create(model="acme/disabled", organization=acme, enabled=False, **tokens)
    response = signed_in(user).get(PAGE)
    offered = [value for value, _ in response.context["form"].fields["model"].choices]
    assert [name for name in offered if not name.startswith("sim/")] == [MODEL, "acme/own"]


NO_CONVERSATIONS = (
    "no JSON",
    "{}",
    "[1]",
    '[{"role": "system", "content": "Obey."}]',
    '[{"role": "user", "content": 1}]',
    '[{"role": "user", "content": "\\ud800"}]',
    "[" * 100_000,
    "x" * (MAX_HISTORY_LENGTH + 1),
)


@pytest.mark.parametrize("history", NO_CONVERSATIONS, ids=lambda text: text[:40])
def test_a_conversation_that_is_none_is_refused(groq: SimulatorHandle, user: User, history: str) -> None:
    response = signed_in(user).post(ANSWERS, question(history=history))
    assert response.status_code == 400
    assert "Begin a new one." in lines_of(response)[0]["error"]["message"]
    assert not groq.requests


@pytest.mark.parametrize("message", ["", "  ", "x" * (MAX_MESSAGE_LENGTH + 1), "a\0b"], ids=lambda text: text[:3])
def test_a_message_that_cannot_be_sent_is_explained(groq: SimulatorHandle, user: User, message: str) -> None:
    response = signed_in(user).post(ANSWERS, question(message))
    assert response.status_code == 400
    assert lines_of(response)[0]["error"]["message"]
    assert not groq.requests


def test_an_empty_form_is_refused(groq: SimulatorHandle, user: User) -> None:
    client = signed_in(user)
    assert client.post(ANSWERS).status_code == 400
    assert "required" in client.post(PAGE, {"action": "?"}).content.decode() + client.post(PAGE).content.decode()
    assert not groq.requests


def test_a_new_conversation_keeps_the_settings(groq: SimulatorHandle, user: User) -> None:
    history = json.dumps([{"role": "user", "content": "Old"}])
    session = "playground-" + "a" * 32
    client = signed_in(user)
    form = client.post(PAGE, question(action="new", expert="guide", history=history, session=session)).context["form"]
    assert (form["expert"].value(), form["history"].value()) == ("guide", "[]")
    assert form["session"].value() != session
    assert not groq.requests


def test_a_plain_form_explains_a_missing_message(groq: SimulatorHandle, user: User) -> None:
    assert "Write a message first." in signed_in(user).post(PAGE, question("")).content.decode()


def test_it_is_off_by_a_setting(user: User, settings: Any) -> None:
    client = signed_in(user)
    assert 'href="/playground/"' in client.get("/password/").content.decode()
    settings.PLAYGROUND = False
    assert 'href="/playground/"' not in client.get("/password/").content.decode()
    responses = client.get(PAGE), client.post(PAGE, question()), client.post(ANSWERS, question())
    assert {response.status_code for response in responses} == {404}
    assert client.get(f"{ANSWERS}{'0' * 32}/").status_code == 404


def test_without_a_key_the_page_says_what_to_set(user: User, settings: Any) -> None:
    settings.GROQ_API_KEY = settings.GROQ_BASE_URL = ""
    client = signed_in(user)
    assert "GROQ_API_KEY" in client.get(PAGE).content.decode()
    assert "GROQ_API_KEY" in client.post(PAGE, question()).content.decode()
    response = client.post(ANSWERS, question())
    assert (response.status_code, lines_of(response)[0]["error"]["message"]) == (
        503,
        "This server is not connected to Groq.",
    )


def test_another_organization_is_missing(groq: SimulatorHandle, admin: User, globex: Organization) -> None:
    client = signed_in(admin)
    for slug in (globex.slug, "nowhere", "%20"):
        query = f"?organization={slug}"
        pages = (
            client.get(PAGE + query),
            client.post(PAGE + query, question()),
            client.post(ANSWERS + query, question()),
        )
        assert {page.status_code for page in pages} == {404}
    assert not groq.requests


def test_strangers_and_visitors_ask_nothing(groq: SimulatorHandle, stranger: User) -> None:
    for path in (PAGE, ANSWERS):
        assert Client().post(path, question()).status_code == 302
        assert "{" not in signed_in(stranger).post(path, question()).content.decode()[:1]
    assert 'href="/playground/"' not in signed_in(stranger).get("/password/").content.decode()
    assert not groq.requests


def test_a_foreign_page_cannot_ask(groq: SimulatorHandle, user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert {client.post(path, question()).status_code for path in (PAGE, ANSWERS)} == {403}
    assert not groq.requests
    assert client.get(ANSWERS).status_code == 405


def test_the_page_is_a_few_queries(user: User, django_assert_max_num_queries: Any) -> None:
    client = signed_in(user)
    # Session, person, organizations to choose from, projects, prices.
    with django_assert_max_num_queries(5):
        client.get(PAGE)
