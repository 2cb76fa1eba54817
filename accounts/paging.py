"""Pages of a list; each takes a query for the count and a query for the rows."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50


def page_of(request: HttpRequest, rows: QuerySet[Any]) -> Page[Any]:
    """The page in ``?page=``. A text that is no number gives the first page, too large a number the last one."""
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
