"""What a form on a page would send, so that tests post what people would."""

from html.parser import HTMLParser
from typing import Any

from django.test import Client

from pricing.models import Price

EDIT = "/pricing/edit/"


class _Inputs(HTMLParser):
    """The inputs of the form that posts; without their changes."""

    def __init__(self) -> None:
        super().__init__()
        self.is_inside = False
        self.values: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = dict(attrs)
        if tag == "form":
            self.is_inside = have.get("method") == "post" and "action" not in have  # signing out has an action
        is_off = have.get("type") == "checkbox" and "checked" not in have
        if tag == "input" and self.is_inside and have.get("name") and not is_off:
            self.values[have["name"] or ""] = have.get("value") or ("on" if have.get("type") == "checkbox" else "")


def inputs(html: str) -> dict[str, str]:
    parser = _Inputs()
    parser.feed(html)
    return parser.values


class Editor:
    """Somebody with the edit page open: ``type`` into it, ``review`` it, ``save`` what the summary shows."""

    def __init__(self, client: Client, query: str = "") -> None:
        self.client, self.address = client, EDIT + query
        self.html = client.get(self.address).content.decode()
        self.typed: dict[str, Any] = {}

    def type(self, price: Price | None, **values: Any) -> "Editor":
        """Into the row that shows this version, or (None) that of a new model; False unticks. Keeps the rest."""
        prefix = f"v{price.pk}" if price else "new"
        return self.fill(**{f"{prefix}-{name}": value for name, value in values.items()})

    def fill(self, **values: Any) -> "Editor":
        self.typed |= values
        return self

    def review(self) -> str:
        return self.post("review")

    def save(self) -> str:
        """Posts what the present page has. Answers the page that the browser ends on."""
        return self.post("save")

    def back(self) -> str:
        return self.post("edit")

    def post(self, step: str, **more: str) -> str:
        data = inputs(self.html) | self.typed | {"step": step} | more
        self.typed = {}
        sent = {name: value for name, value in data.items() if value is not False}
        response = self.client.post(self.address, sent, follow=True)
        assert response.status_code == 200
        self.html = response.content.decode()
        return self.html
