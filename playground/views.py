"""The playground: a page that asks Groq and shows what was recorded. Off with PLAYGROUND=0."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict
from functools import wraps
from typing import Any, Literal

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import Organization
from accounts.viewer import Viewer
from groq_client.call import new_request_id
from playground import asking
from playground.asking import Question, booking_of, is_connected
from playground.choices import first_choice, organizations_of
from playground.conversation import History, Turn, new_session
from playground.failures import UNKNOWN, Failure, explain
from playground.forms import NEW, QuestionForm
from playground.recorded import recorded

logger = logging.getLogger(__name__)

CHOSEN: tuple[Literal["project", "template", "expert", "session"], ...] = ("project", "template", "expert", "session")
"""What the page may say of a call, beside what it asks."""
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
def playground(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page. Where there is no JavaScript it sends the message too, and comes back with the whole answer."""
    organization = _organization(request, viewer)
    if request.method != "POST":
        return _page(request, viewer, QuestionForm(organization, initial={"session": new_session()}))
    form = QuestionForm(organization, request.POST)
    if form.data.get("action") == NEW:
        return _page(request, viewer, form.new_conversation())
    if not form.is_valid() or not is_connected():
        return _page(request, viewer, form, form.cleaned_data.get("history", ()))
    question = _question(request, form)
    try:
        text = asking.answer(question)
    except Exception as error:
        failed = Turn("assistant", "", question.request_id)
        next_form = form.after(form.cleaned_data["history"], form.cleaned_data["message"])
        return _page(request, viewer, next_form, (*form.asked, failed), _explained(error))
    history = (*form.asked, Turn("assistant", text, question.request_id))
    return _page(request, viewer, form.after(history), history)


@_if_on
@require_POST
@never_cache
@with_viewer
def ask(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The answer as it comes, in lines of JSON: ``request_id`` first, then pieces of ``text``, and an ``error`` at the
    end if there was one. For a message that cannot be sent there is only the ``error``.
    """
    form = QuestionForm(_organization(request, viewer), request.POST)
    if not form.is_valid():
        reasons = " ".join(str(reason) for reasons in form.errors.values() for reason in reasons)
        return HttpResponse(_line(error={"message": reasons}), status=400, content_type=LINES)
    if not is_connected():
        return HttpResponse(_line(error={"message": NOT_CONNECTED}), status=503, content_type=LINES)
    response = StreamingHttpResponse(_answer(_question(request, form)), content_type=LINES)
    response["X-Accel-Buffering"] = "no"  # nginx
    return response


@_if_on
@require_safe
@never_cache
@with_viewer
def figures(request: HttpRequest, viewer: Viewer, request_id: str) -> HttpResponse:
    """What was recorded of one answer, as a piece of the page; 404 until it is."""
    found = recorded(viewer, [request_id]).get(request_id)
    if found is None:
        raise Http404
    return render(request, "playground/_figures.html", {"figures": found})


async def _answer(question: Question) -> AsyncIterator[bytes]:
    """Closing it, as the server does when the reader goes away, ends the call."""
    yield _line(request_id=question.request_id)
    try:
        async with aclosing(asking.pieces(question)) as texts:
            async for text in texts:
                if text:
                    yield _line(text=text)
    except Exception as error:
        yield _line(error=asdict(_explained(error)))


def _line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _page(
    request: HttpRequest,
    viewer: Viewer,
    form: QuestionForm,
    history: History = (),
    failure: Failure | None = None,
) -> HttpResponse:
    """``failure`` is that of the last turn."""
    figures_of = recorded(viewer, [turn.request_id for turn in history])
    context = {
        "viewer": viewer,
        "form": form,
        "turns": [(turn, figures_of.get(turn.request_id)) for turn in history],
        "failure": failure,
        "blank_turns": [Turn("user", ""), Turn("assistant", "")],
        "organizations": organizations_of(viewer) if viewer.organization_ids is None else (),
        "is_connected": is_connected(),
    }
    return render(request, "playground/page.html", context)


def _explained(error: Exception) -> Failure:
    failure = explain(error)
    if failure.message == UNKNOWN:
        logger.warning("A message of the playground failed: %s", failure.code, exc_info=error)
    return failure


def _organization(request: HttpRequest, viewer: Viewer) -> Organization:
    """The one that the address names, or the person's own. To others, one of others is missing."""
    organizations = organizations_of(viewer)
    slug = request.GET.get("organization")
    if slug is None:
        found = first_choice(organizations, actor_of(request))
    else:
        found = next((organization for organization in organizations if organization.slug == slug), None)
    if found is None:
        raise Http404
    return found


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
