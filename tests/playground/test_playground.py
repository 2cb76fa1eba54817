"""The playground's page and its answers: what is asked, whom it is booked on, what is recorded and shown of it."""

import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import Organization, Project, User
from accounts.places import Places
from groq_client.simulator.server import SimulatorHandle
from ledger.models import UsageEvent
from ledger.recording.record import record
from playground import asking, views
from playground.conversation import MAX_TURNS, is_session
from playground.limits import SPENT
from pricing.models import Price
from tests.cast import signed_in, zone_at_noon
from tests.ledger.calls import call, usage
from tests.playground.asking import ANSWERS, FAULTS, MODEL, PAGE, ask, lines_of, question, text_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume"),  # the test client is no ASGI server
]

# What is recorded, and on whom


def the_event() -> UsageEvent:
    return UsageEvent.objects.select_related("organization", "project", "user").get()


def test_an_answer_comes_in_pieces_and_is_recorded(groq: SimulatorHandle, user: User, acme: Organization) -> None:
    Project.objects.create(organization=acme, slug="web", name="Web")
    session = "playground-" + "a" * 32
    lines = ask(signed_in(user), project="web", template="greeting", expert="guide", session=session)
    assert [set(line) for line in lines] == [{"request_id"}] + [{"text"}] * (len(lines) - 1)
    assert len(lines) > 5
    event = the_event()
    assert (event.organization, event.user, event.request_id) == (acme, user, lines[0]["request_id"])
    assert (event.project and event.project.slug, event.template_id, event.expert_id) == ("web", "greeting", "guide")
    assert (event.feature, event.session_id, event.stream, event.status) == ("playground", session, True, "success")
    assert event.output_tokens > 0
    assert not event.tokens_estimated
    assert event.cost_usd is not None
    assert groq.requests[-1].body["max_completion_tokens"] == asking.MAX_ANSWER_TOKENS


def test_streaming_can_be_turned_off(groq: SimulatorHandle, user: User) -> None:
    lines = ask(signed_in(user), stream="")
    assert [set(line) for line in lines] == [{"request_id"}, {"text"}]
    assert not the_event().stream


def test_nobody_asks_as_somebody_else(
    groq: SimulatorHandle, user: User, colleague: User, acme: Organization, globex: Organization
) -> None:
    said = {"user": colleague.handle, "organization": globex.slug, "feature": "x", "request_id": "y", "metadata": "{}"}
    lines = lines_of(
        signed_in(user).post(
            ANSWERS, question(**said), headers={"X-Usage-User": colleague.handle, "X-Usage-Organization": globex.slug}
        )
    )
    event = the_event()
    assert (event.user, event.organization, event.feature) == (user, acme, "playground")
    assert event.request_id == lines[0]["request_id"] != "y"


def test_a_super_admin_books_on_an_organization_but_on_none_of_its_people(
    groq: SimulatorHandle, super_admin: User, globex: Organization, default_organization: Organization
) -> None:
    namesake = User.objects.create_user("somebody", organization=globex, handle=super_admin.handle)
    ask(signed_in(super_admin), query="?organization=globex")
    event = the_event()
    assert (event.organization, event.user, event.metadata) == (globex, None, {"asked_by": super_admin.username})
    assert namesake.handle == super_admin.handle
    ask(signed_in(super_admin))
    assert UsageEvent.objects.filter(organization=default_organization, user=None).count() == 1


def test_only_projects_of_the_organization_can_be_chosen(
    groq: SimulatorHandle, user: User, acme: Organization, globex: Organization
) -> None:
    Project.objects.create(organization=acme, slug="ours", name="Ours")
    Project.objects.create(organization=globex, slug="theirs", name="Theirs")
    client = signed_in(user)
    page = client.get(PAGE).content.decode()
    assert "Ours" in page
    assert "Theirs" not in page
    response = client.post(ANSWERS, question(project="theirs"))
    assert response.status_code == 400
    assert "valid choice" in lines_of(response)[0]["error"]["message"]
    assert not Project.objects.filter(organization=acme, slug="theirs").exists()
    assert not UsageEvent.objects.exists()


def test_only_models_with_a_price_that_is_enabled_are_asked(groq: SimulatorHandle, user: User, price: Price) -> None:
    client = signed_in(user)
    assert "valid choice" in ask(client, model="unpriced/preview")[0]["error"]["message"]
    assert "Choose a model" in ask(client, model="")[0]["error"]["message"]
    Price.objects.create(model=MODEL, enabled=False, output_usd_per_1k_tokens=1)
    assert "valid choice" in ask(client)[0]["error"]["message"]
    assert not groq.requests


# Limits


def test_what_is_sent_has_a_limit(groq: SimulatorHandle, user: User) -> None:
    turns = json.dumps([{"role": "user", "content": "x" * 49_000}] * 3)
    assert "too long" in ask(signed_in(user), history=turns)[0]["error"]["message"]
    assert "8000" in ask(signed_in(user), "x" * 8_001)[0]["error"]["message"]
    assert not groq.requests


def test_a_person_has_a_few_messages_on_their_way_at_once(
    groq: SimulatorHandle, user: User, colleague: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Places(3, 1)
    monkeypatch.setattr(views, "ASKS", few)
    with few.taken(user.pk):
        said = ask(signed_in(user))
        assert "on their way already" in said[-1]["error"]["message"]
        assert "on their way already" in sent(signed_in(user), "Keep me")
        assert not groq.requests
        assert text_of(ask(signed_in(colleague)))
    assert text_of(ask(signed_in(user)))
    assert few.number_taken == 0


def test_a_person_may_spend_so_much_a_day(
    groq: SimulatorHandle, user: User, colleague: User, settings: Any, acme: Organization
) -> None:
    Organization.objects.filter(pk=acme.pk).update(time_zone=zone_at_noon())
    settings.PLAYGROUND_DAILY_USD = 1
    spent = replace(usage(0, 3_000_000), total_tokens=3_000_000)  # 90 cents
    record([call(MODEL, organization="acme", user="ann", feature="playground", at=now(), usage=spent)])
    assert text_of(ask(signed_in(user)))
    record([call(MODEL, organization="acme", user="ann", feature="playground", at=now(), usage=spent)])
    response = signed_in(user).post(ANSWERS, question())
    assert (response.status_code, lines_of(response)[0]["error"]["message"]) == (429, SPENT)
    assert SPENT in signed_in(user).post(PAGE, question()).content.decode()
    assert text_of(ask(signed_in(colleague)))
    settings.PLAYGROUND_DAILY_USD = 0
    assert text_of(ask(signed_in(user)))


# The conversation


def test_what_went_before_goes_along_and_no_more_than_allowed(groq: SimulatorHandle, user: User) -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(MAX_TURNS + 4)]
    ask(signed_in(user), "And now?", history=json.dumps(turns))
    sent = [(message["role"], message["content"]) for message in groq.requests[-1].body["messages"]]
    assert sent == [(turn["role"], turn["content"]) for turn in turns[4:]] + [("user", "And now?")]


def test_each_page_is_a_session_of_its_own_and_no_other_name_is_taken(groq: SimulatorHandle, user: User) -> None:
    client = signed_in(user)
    sessions = {client.get(PAGE).context["form"]["session"].value() for _ in range(2)}
    assert len(sessions) == 2
    assert all(map(is_session, sessions))
    ask(client, session="somebody-elses")
    assert is_session(the_event().session_id)


# Failures


def test_what_goes_wrong_is_said_with_the_code_that_is_recorded(groq: SimulatorHandle, user: User) -> None:
    client = signed_in(user)
    for fault, words in FAULTS.items():
        if fault in ("timeout", "slow-chunks"):  # which take their time
            continue
        lines = ask(client, model=f"sim/{fault}")
        error, event = lines[-1]["error"], UsageEvent.objects.get(request_id=lines[0]["request_id"])
        assert words in error["message"]
        assert (event.status, event.error_code) == ("error", error["code"])
        assert event.error_code
        assert event.attempts == 1
        assert asking._key() not in json.dumps(lines)


def test_a_timeout_is_told(groq: SimulatorHandle, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.2)
    error = ask(signed_in(user), model="sim/timeout")[-1]["error"]
    assert (error["code"], error["message"]) == ("timeout", "Groq did not answer in time.")
    assert the_event().error_code == "timeout"


def test_a_deliberate_error_needs_no_message(groq: SimulatorHandle, user: User) -> None:
    error = ask(signed_in(user), "", action="fail")[-1]["error"]
    event = the_event()
    assert (event.status, event.error_code, event.model_requested) == ("error", error["code"], "no-such-model")


# What is shown


def figures(client: Client, request_id: str) -> str:
    response = client.get(f"{ANSWERS}{request_id}/")
    return str(response.status_code) if response.status_code != 200 else response.content.decode()


def test_figures_are_what_was_recorded_and_cost_is_for_those_who_may_see_it(
    groq: SimulatorHandle, user: User, admin: User, acme: Organization
) -> None:
    request_id = ask(signed_in(user))[0]["request_id"]
    event = the_event()
    shown = figures(signed_in(user), request_id)
    assert MODEL in shown
    assert f"{event.output_tokens:,}" in shown
    assert "cost" not in shown.lower()
    assert "$" not in shown
    assert 'class="cost low' in figures(signed_in(admin), request_id)
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    assert 'class="cost low' in figures(signed_in(User.objects.get(pk=user.pk)), request_id)


def test_other_peoples_figures_are_missing(
    groq: SimulatorHandle, user: User, colleague: User, outsider: User, stranger: User
) -> None:
    request_id = ask(signed_in(user))[0]["request_id"]
    assert figures(signed_in(colleague), request_id) == "404"
    assert figures(signed_in(outsider), request_id) == "404"
    assert figures(signed_in(user), "0" * 32) == figures(signed_in(user), "%20") == "404"
    assert request_id not in figures(signed_in(stranger), request_id)
    assert figures(Client(), request_id) == "302"


# Without JavaScript


def sent(client: Client, *arguments: Any, **more: Any) -> str:
    """The page that comes back when a plain form is sent."""
    return b"".join(client.post(PAGE, question(*arguments, **more))).decode()


def field(page: str, name: str) -> str:
    """What a field of the page holds."""
    if found := re.search(rf'<textarea name="{name}"[^>]*>\s*(.*?)</textarea>', page, re.DOTALL):
        return unescape(found[1])
    (found_input,) = re.findall(rf'<input[^>]* name="{name}"[^>]*>', page)
    value = re.search(r' value="([^"]*)"', found_input)
    return unescape(value[1]) if value else ""


def test_a_plain_form_gets_the_whole_answer_with_its_figures(groq: SimulatorHandle, admin: User) -> None:
    client = signed_in(admin)
    page = sent(client, "What is <b>bold</b>?", template="greeting")
    assert "What is &lt;b&gt;bold&lt;/b&gt;?" in page
    assert 'class="cost low' in page
    assert not the_event().stream
    assert field(page, "template") == "greeting"
    again = sent(client, "And then?", history=field(page, "history"), session=field(page, "session"))
    assert again.count('class="cost low') == 2
    assert [turn["role"] for turn in json.loads(field(again, "history"))] == ["user", "assistant"] * 2
    assert UsageEvent.objects.values("session_id").distinct().count() == 1


def test_a_plain_form_keeps_the_message_that_failed(groq: SimulatorHandle, user: User) -> None:
    page = sent(signed_in(user), "Keep me", model="sim/error-429")
    assert "rate limit is reached" in page
    assert the_event().error_code in page
    assert (field(page, "message").strip(), field(page, "history")) == ("Keep me", "[]")


def test_a_plain_form_makes_a_deliberate_error(groq: SimulatorHandle, user: User) -> None:
    page = sent(signed_in(user), "", action="fail")
    assert "does not know this model" in page
    assert the_event().error_code in page
