"""The playground, a page that asks Groq and shows the recorded figures. PLAYGROUND=0 turns it off."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict
from functools import wraps
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.database import let_go_of_the_database
from accounts.decorators import actor_of, with_viewer
from accounts.organization_choice import chosen_organization, organizations_to_choose
from accounts.viewer import Viewer
from groq_client.call import new_request_id
from playground import asking
from playground.asking import Question, booking_of, is_connected
from playground.conversation import History, Turn, new_session
from playground.failures import UNKNOWN, Failure, explain
from playground.forms import NEW, QuestionForm
from playground.limits import ASKS, SPENT, has_spent_the_day
from playground.recorded import recorded

logger = logging.getLogger(__name__)

CHOSEN: tuple[Literal["project", "template", "expert", "session"], ...] = ("project", "template", "expert", "session")
"""The parts of a call's attribution that the page may set."""
LINES = "application/x-ndjson"
NOT_CONNECTED = "This server is not connected to Groq."

View = Callable[..., HttpResponseBase]


def _if_on(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.PLAYGROUND:
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


@_if_on
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
def playground(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The page. Without JavaScript its form is posted here, and the page returns with the whole answer."""
    organization = chosen_organization(request, viewer)
    if request.method != "POST":
        return _page(request, viewer, QuestionForm(organization, initial={"session": new_session()}))
    form = QuestionForm(organization, request.POST)
    if form.data.get("action") == NEW:
        return _page(request, viewer, form.new_conversation())
    if not form.is_valid() or not is_connected():
        return _page(request, viewer, form, form.cleaned_data.get("history", ()))
    if has_spent_the_day(actor_of(request), organization):
        form.add_error("message", SPENT)
        return _page(request, viewer, form, form.cleaned_data["history"])
    return StreamingHttpResponse(_answered_page(request, viewer, form, _question(request, form)))


@_if_on
@require_POST
@never_cache
@with_viewer
def ask(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The answer as a stream of JSON lines: first ``request_id``, then pieces of ``text``, and last an ``error`` if the
    call failed. For a message that cannot be sent there is only the ``error``.
    """
    form = QuestionForm(chosen_organization(request, viewer), request.POST)
    if not form.is_valid():
        reasons = " ".join(str(reason) for reasons in form.errors.values() for reason in reasons)
        return HttpResponse(_line(error={"message": reasons}), status=400, content_type=LINES)
    if not is_connected():
        return HttpResponse(_line(error={"message": NOT_CONNECTED}), status=503, content_type=LINES)
    if has_spent_the_day(actor_of(request), form.organization):
        return HttpResponse(_line(error={"message": SPENT}), status=429, content_type=LINES)
    response = StreamingHttpResponse(_answer(_question(request, form), actor_of(request).pk), content_type=LINES)
    response["X-Accel-Buffering"] = "no"  # nginx must pass the pieces on at once.
    return response


@_if_on
@require_safe
@never_cache
@with_viewer
def figures(request: HttpRequest, viewer: Viewer, request_id: str) -> HttpResponse:
    """The recorded figures of one answer, as a part of the page; 404 until they are recorded."""
    found = recorded(viewer, [request_id]).get(request_id)
    if found is None:
        raise Http404
    return render(request, "playground/_figures.html", {"figures": found})


async def _answer(question: Question, person: int) -> AsyncIterator[bytes]:
    """The JSON lines of an answer. Closing the generator, as the server does for a reader who left, ends the call."""
    await sync_to_async(let_go_of_the_database)()
    yield _line(request_id=question.request_id)
    try:
        with ASKS.taken(person):
            async with aclosing(asking.pieces(question)) as texts:
                async for text in texts:
                    if text:
                        yield _line(text=text)
    except Exception as error:
        yield _line(error=asdict(_explained(error)))


async def _answered_page(
    request: HttpRequest, viewer: Viewer, form: QuestionForm, question: Question
) -> AsyncIterator[bytes]:
    """The page with the whole answer."""
    person, text, failure = actor_of(request).pk, "", None
    await sync_to_async(let_go_of_the_database)()
    try:
        with ASKS.taken(person):
            text = await asking.answer(question)
    except Exception as error:
        failure = _explained(error)
    answer = Turn("assistant", text, question.request_id)
    yield (await sync_to_async(_page_after)(request, viewer, form, answer, failure)).content


def _page_after(
    request: HttpRequest, viewer: Viewer, form: QuestionForm, answer: Turn, failure: Failure | None
) -> HttpResponse:
    """The page after an answer. A message that failed stays in its field and is not added to the history."""
    history = (*form.asked, answer)
    if failure is None:
        return _page(request, viewer, form.after(history), history)
    next_form = form.after(form.cleaned_data["history"], form.cleaned_data["message"])
    return _page(request, viewer, next_form, history, failure)


def _line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _page(
    request: HttpRequest,
    viewer: Viewer,
    form: QuestionForm,
    history: History = (),
    failure: Failure | None = None,
) -> HttpResponse:
    """The page with a conversation. ``failure`` is the failure of the last message."""
    figures_of = recorded(viewer, [turn.request_id for turn in history])
    context = {
        "viewer": viewer,
        "form": form,
        "organization": form.organization,
        "turns": [(turn, figures_of.get(turn.request_id)) for turn in history],
        "failure": failure,
        "blank_turns": [Turn("user", ""), Turn("assistant", "")],
        "organizations": organizations_to_choose(viewer),
        "is_connected": is_connected(),
    }
    return render(request, "playground/page.html", context)


def _explained(error: Exception) -> Failure:
    failure = explain(error)
    if failure.message == UNKNOWN:
        logger.warning("A message of the playground failed: %s", failure.code, exc_info=error)
    return failure


def _question(request: HttpRequest, form: QuestionForm) -> Question:
    said = form.cleaned_data
    booking = booking_of(actor_of(request), form.organization)
    for name in CHOSEN:
        booking[name] = said[name]
    return Question(
        model=form.asked_model,
        messages=tuple(turn.message for turn in form.asked),
        booking=booking,
        request_id=new_request_id(),
        is_streamed=said["stream"],
    )
