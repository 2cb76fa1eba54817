"""Errors as problems of RFC 9457, each with what to do and, where one is wrong, the name of the parameter."""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import DatabaseError
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

logger = logging.getLogger("usage.api")

CONTENT_TYPE = "application/problem+json"
AWAY_SECONDS = 5
NOTHING = "There is nothing here that you may see."


class WrongParameterError(exceptions.APIException):
    """A parameter of the request is wrong. ``parameter`` is its name, or the path of a field of the body."""

    status_code = HTTPStatus.BAD_REQUEST

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class UnavailableError(exceptions.APIException):
    """The database is away, or a query took too long."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The figures cannot be read now. Please try again."
    wait = AWAY_SECONDS


class BusyError(exceptions.APIException):
    """There is no place for this request now; after ``wait`` seconds there may be one."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """The answer to an error in a view. One that nobody foresaw is logged, and told to whoever listens for such."""
    if isinstance(error, DatabaseError):
        logger.exception("The API could not read the ledger.")
        error = UnavailableError()
    elif isinstance(error, RecursionError):  # Nothing but a body can be nested so deeply.
        error = exceptions.ParseError("The JSON is nested too deeply.")
    response = exception_handler(error, context)
    if response is None:
        logger.error("The API failed.", exc_info=error)
        got_request_exception.send(sender=None, request=context["request"]._request)
        response = Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    response.data = problem(response.status_code, _detail(error), _parameter(error))
    response.content_type = CONTENT_TYPE
    return response


def problem(status: int, detail: str, parameter: str | None = None) -> dict[str, Any]:
    """The members of a problem. ``about:blank`` says that the status tells what kind of problem it is."""
    made = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return made if parameter is None else {**made, "parameter": parameter}


def problem_response(status: int, detail: str) -> JsonResponse:
    """The answer to a request that no view of the API has seen."""
    return JsonResponse(problem(status, detail), status=status, content_type=CONTENT_TYPE)


def _detail(error: Exception) -> str:
    if not isinstance(error, exceptions.APIException | Http404 | PermissionDenied):
        return "Something went wrong here, which is logged."
    if isinstance(error, Http404):
        return NOTHING
    if isinstance(error, exceptions.ValidationError):
        return " ".join(_texts(error.detail))
    return str(getattr(error, "detail", "")) or str(error)


def _parameter(error: Exception) -> str | None:
    if isinstance(error, exceptions.ValidationError):
        return _texts(error.detail)[0].partition(":")[0]
    return getattr(error, "parameter", None)


def _texts(detail: Any, path: str = "") -> list[str]:
    """The messages of a serializer, each with the path of its field."""
    if isinstance(detail, dict):
        return [text for name, below in detail.items() for text in _texts(below, f"{path}.{name}".lstrip("."))]
    if isinstance(detail, list) and any(isinstance(below, (dict, list)) for below in detail):
        return [text for place, below in enumerate(detail) for text in _texts(below, f"{path}[{place}]")]
    texts = detail if isinstance(detail, list) else [detail]
    return [f"{path}: {text}" if path else str(text) for text in texts]
