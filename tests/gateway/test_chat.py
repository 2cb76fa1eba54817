"""Chat through the gateway: the bytes of Groq, and one event."""

import pytest

from tests.gateway.doors import Door, question

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_answer_and_its_event(door: Door) -> None:
    response = door.ask()
    assert response.status_code == 200
    usage = response.json()["usage"]
    assert response.headers["x-usage-tokens"] == str(usage["total_tokens"])
    event = door.only()
    assert event.request_id == response.headers["x-usage-request-id"]
    assert (event.input_tokens, event.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (event.status, event.tokens_estimated) == ("success", False)


def test_a_stream_and_its_event(door: Door) -> None:
    response = door.ask(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    event = door.only()
    assert (event.status, event.stream, event.tokens_estimated) == ("success", True, False)
    assert event.output_tokens > 0
    assert event.ttft_ms is not None


def test_the_question_arrives_as_it_was_sent(door: Door) -> None:
    door.ask(headers={"x-usage-user": "Zoë".encode(), "x-secret": "of the company", "user-agent": "curl/8"})
    (request,) = door.groq.requests
    assert request.body == question()
    assert request.headers["authorization"] == "Bearer gsk_of_the_server"
    assert request.headers["user-agent"] == "curl/8"
    assert not [name for name in request.headers if name.startswith(("x-usage", "x-secret"))]
    assert door.only().user.username == "Zoë"
