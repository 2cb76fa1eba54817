"""The playground's page and its answers: what is asked, whom it is booked on, what is recorded and shown of it."""

import json

import pytest
from django.test import Client

from accounts.models import Organization, Project, User
from analytics.models import UsageEvent
from groq_client.simulator.server import SimulatorHandle
from playground import asking
from playground.conversation import MAX_TURNS, is_session
from tests.cast import signed_in
from tests.playground.asking import ANSWERS, MODEL, PAGE, ask, lines_of, question, text_of

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


def test_another_model_is_named(groq: SimulatorHandle, user: User) -> None:
    assert text_of(ask(signed_in(user), model="", other_model="unpriced/preview"))
    assert the_event().model == "unpriced/preview"
    assert "name of one" in ask(signed_in(user), model="")[0]["error"]["message"]


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


FAULTS = {
    "error-401": "did not accept this server's key",
    "error-404": "does not know this model",
    "error-413": "too long for this model",
    "error-429": "rate limit is reached",
    "error-503": "has a problem",
    "cut": "connection to Groq failed",
    "error-midstream": "in the middle of its answer",
    "truncated-json": "could not be read",
}


def test_what_goes_wrong_is_said_with_the_code_that_is_recorded(groq: SimulatorHandle, user: User) -> None:
    client = signed_in(user)
    for fault, words in FAULTS.items():
        lines = ask(client, model="", other_model=f"sim/{fault}")
        error, event = lines[-1]["error"], UsageEvent.objects.get(request_id=lines[0]["request_id"])
        assert words in error["message"]
        assert (event.status, event.error_code) == ("error", error["code"])
        assert event.error_code
        assert event.attempts == 1
        assert asking._key() not in json.dumps(lines)


def test_a_timeout_is_told(groq: SimulatorHandle, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.2)
    error = ask(signed_in(user), model="", other_model="sim/timeout")[-1]["error"]
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
    assert figures(signed_in(user), "0" * 32) == figures(signed_in(user), "%00") == "404"
    assert request_id not in figures(signed_in(stranger), request_id)
    assert figures(Client(), request_id) == "302"


# Without JavaScript


def test_a_plain_form_gets_the_whole_answer_with_its_figures(groq: SimulatorHandle, admin: User) -> None:
    client = signed_in(admin)
    response = client.post(PAGE, question("What is <b>bold</b>?", template="greeting"))
    page = response.content.decode()
    assert "What is &lt;b&gt;bold&lt;/b&gt;?" in page
    assert 'class="cost low' in page
    assert not the_event().stream
    form = response.context["form"]
    again = client.post(PAGE, question("And then?", history=form["history"].value(), session=form["session"].value()))
    assert again.content.decode().count('class="cost low') == 2
    assert [turn.role for turn, _ in again.context["turns"]] == ["user", "assistant"] * 2
    assert form["template"].value() == "greeting"
    assert UsageEvent.objects.values("session_id").distinct().count() == 1


def test_a_plain_form_keeps_the_message_that_failed(groq: SimulatorHandle, user: User) -> None:
    response = signed_in(user).post(PAGE, question("Keep me", model="", other_model="sim/error-429"))
    page = response.content.decode()
    assert "rate limit is reached" in page
    assert the_event().error_code in page
    assert response.context["form"]["message"].value() == "Keep me"
    assert response.context["form"]["history"].value() == "[]"


def test_a_plain_form_makes_a_deliberate_error(groq: SimulatorHandle, user: User) -> None:
    page = signed_in(user).post(PAGE, question("", action="fail")).content.decode()
    assert "does not know this model" in page
    assert the_event().error_code in page
