"""Lists, a page at a time: one query for the count and one for the rows."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50


def page_of(request: HttpRequest, rows: QuerySet[Any]) -> Page[Any]:
    """The page that ``?page=`` asks for; the first or last one where that is no number of a page."""
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
