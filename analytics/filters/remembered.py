"""Settings of a page that the browser remembers in a cookie, for when somebody comes back without them."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict

SECONDS = 365 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Setting:
    """A name in the query string, and its values. Only these are written to the cookie and read from it."""

    name: str
    values: frozenset[str]


def with_remembered(request: HttpRequest, page: str, remembered: tuple[Setting, ...]) -> QueryDict:
    """The query string of a request, together with the remembered settings that it does not name."""
    query = request.GET.copy()
    for name, values in _remembered(request, page, remembered).items():
        if name not in query:
            query.setlist(name, values)
    return query


def remember(response: HttpResponse, request: HttpRequest, page: str, remembered: tuple[Setting, ...]) -> None:
    """Set the cookie, if the query string names a setting that the browser does not remember yet."""
    known = _remembered(request, page, remembered)
    asked = {setting.name: _known(setting, request.GET.getlist(setting.name)) for setting in remembered}
    wanted = known | {name: values for name, values in asked.items() if values}
    if wanted != known:
        response.set_cookie(
            _cookie(page),
            urlencode(wanted, doseq=True),
            SECONDS,
            path=request.path,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def _remembered(request: HttpRequest, page: str, remembered: tuple[Setting, ...]) -> dict[str, list[str]]:
    pairs = parse_qsl(request.COOKIES.get(_cookie(page), ""))
    found = {s.name: _known(s, [value for name, value in pairs if name == s.name]) for s in remembered}
    return {name: values for name, values in found.items() if values}


def _known(setting: Setting, values: list[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value in setting.values]


def _cookie(page: str) -> str:
    return f"view-{page}"
