"""Mails: the same words as text and as HTML."""

from html.parser import HTMLParser

import pytest

from accounts.mail import mail
from accounts.models import Organization, User

LINK = "https://ledger.example/password/set/MQ/token-1&2/"
HOSTILE = "</td><a href='https://evil.example'>Ann</a><img src=x onerror=alert(1)> {{ link }}"


class Page(HTMLParser):
    """What a page shows and what it loads or leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses |= {value or "" for name, value in attrs if name in {"href", "src", "background"}}

    def handle_data(self, data: str) -> None:
        self.words += data.split()


@pytest.mark.parametrize("name", ["Ann Archer", HOSTILE])
@pytest.mark.parametrize("kind", ["link", "forgotten"])
def test_both_parts_say_the_same_and_lead_to_the_link_alone(kind: str, name: str) -> None:
    person = User(username="ann", first_name=name, organization=Organization(name=name))
    by = User(username="boss", first_name=name)
    message = mail(kind, "ann@example.com", LINK, {"person": person, "user": person, "by": by, "days": 3})
    text = str(message.body)
    ((html, kind_of_part),) = message.alternatives
    page = Page(str(html))
    assert kind_of_part == "text/html"
    assert text.split("\n\n")[2] == LINK
    assert page.addresses == {LINK}
    assert not page.tags & {"script", "img", "link", "iframe", "form"}
    shown = " ".join(page.words)
    assert all(" ".join(paragraph.split()) in shown for paragraph in text.split("\n\n"))
    assert "\n" not in message.subject
    assert name in shown
