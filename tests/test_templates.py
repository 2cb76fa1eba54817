"""The template language: its escaping, its errors, and the pages that need neither a request nor a database."""

from pathlib import Path

import pytest
from django.conf import settings
from django.template import engines
from django.template.loader import get_template, render_to_string
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError, UndefinedError
from markupsafe import escape

from accounts.models import User

TEMPLATES = sorted(
    str(path.relative_to(settings.BASE_DIR / "templates"))
    for path in (settings.BASE_DIR / "templates").rglob("*.*")
    if path.is_file()
)


def made(text: str, **context: object) -> str:
    return str(engines["jinja2"].from_string(text).render(context, RequestFactory().get("/?page=3&q=a+b")))


def test_every_template_can_be_read() -> None:
    assert len(TEMPLATES) > 100
    for name in TEMPLATES:
        get_template(name, using="jinja2")


def test_nothing_is_exempt_from_escaping() -> None:
    """A template could only turn off escaping by one of these words."""
    for name in TEMPLATES:
        text = Path(settings.BASE_DIR / "templates" / name).read_text()
        assert not [word for word in ("|safe", "| safe", "Markup", "autoescape") if word in text], name


@pytest.mark.parametrize("name", ["400.html", "414.html", "500.html", "failed_plain.html"])
def test_a_page_about_a_failure_needs_no_request_and_no_database(name: str) -> None:
    """This test has no ``db`` fixture, so a query would raise an error."""
    assert "Groq usage, start page" in render_to_string(name, {"retry": "/?x=<b>", "longest": 4_000})


def test_a_name_that_nobody_gave_is_an_error() -> None:
    for text in ("{{ forgotten }}", "{% if forgotten %}{% endif %}", "{{ known.forgotten }}"):
        with pytest.raises(UndefinedError, match="forgotten"):
            made(text, known=object())


def test_pages_are_escaped_and_mails_are_not() -> None:
    person = User(username="ann", first_name="Ann", last_name="<ann@example.com>")
    page = engines["jinja2"].env.get_template("analytics/requests/_id.html").module
    assert "Ann &lt;ann@example.com&gt;" in page.copyable_id("Name", person.display_name)
    mail = render_to_string(
        "accounts/mail/forgotten.txt",
        {"user": person, "link": "https://x/", "days": 3},
    )
    assert mail.startswith("Hello Ann <ann@example.com>,\n\n")


def test_each_part_of_a_table_has_its_role_in_words() -> None:
    table = '<table class="x">\n<tr><th scope="row" class="y">a</th>{% if true %}<td>b</td>{% endif %}</tr></table>'
    assert made(table) == (
        '<table role="table" class="x">\n<tr role="row"><th role="rowheader" scope="row" class="y">a</th>'
        '<td role="cell">b</td></tr></table>'
    )
    with pytest.raises(TemplateSyntaxError, match="scope"):
        made("<th>of a row or of a column?</th>")


class Shown:
    """An object with its own HTML, like forms and macros."""

    def __html__(self) -> str:
        return "<b>bold</b>"


@given(st.one_of(st.text(), st.integers(), st.none(), st.text(min_size=150, max_size=250), st.builds(Shown)))
def test_whatever_is_put_out_is_escaped_as_jinja2_does(value: object) -> None:
    expected = str(escape(value))
    assert [made("{{ value }}", value=value) for _ in range(2)] == [expected] * 2
    assert made("{% macro m(x) %}<i>{{ x }}</i>{% endmacro %}{{ m(value) }}", value=value) == f"<i>{expected}</i>"


def test_a_query_string_with_changes() -> None:
    assert made("{{ querystring(page=none) }}") == "?q=a+b"
    assert made("{{ querystring(page=4, before='1&2') }}") == "?page=4&amp;q=a+b&amp;before=1%262"
    assert made("{{ querystring(page=none, q=none) }}") == "?"
