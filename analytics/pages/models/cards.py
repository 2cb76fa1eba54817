"""The catalogue on the page Models: a card for each model that the viewer may know of, searchable and filtered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.urls import reverse
from django.utils.http import urlencode

from accounts.viewer import Viewer
from analytics.display.colors import colors_apart
from analytics.filters.facets import MODEL
from analytics.filters.filters import Filters
from analytics.filters.query_string import QueryString
from analytics.pages.models.comparison import compared_with
from analytics.pages.models.prices import is_chosen, label_of, text_of
from analytics.pages.models.table import PriceCell, price_of
from analytics.pages.models.what_if import Money, what_if
from analytics.reports import ModelUsage, not_used
from analytics.reports.prices import PriceOf, has_rates, is_free
from analytics.reports.selection import Selection
from pricing.catalogue import CAPABILITIES, LANGUAGES, MANY_LANGUAGES, STATUSES, Catalogue, Facts, Key, Status
from pricing.fields import DollarField
from pricing.models import MAX_PRICE, Price

FIELDS = ("find", "can", "speaks", "state", "cost_kind", "cost_from", "cost_to", "cards")
"""The names in the query string. Those about prices contain "cost", so that ``analytics.filters`` drops them for
viewers who may not see cost."""
ALL_CARDS = "all"
FIRST_CARDS = 12
MOST_CARDS = 300
LONGEST_SEARCH = 100
HIGHEST = MAX_PRICE * 1_000
"""The largest price of a million tokens."""
KINDS = {"free": "Free", "paid": "Paid"}
STATUS_NAMES: Mapping[Status, str] = {
    "current": "Current",
    "preview": "Preview",
    "retiring": "Retiring",
    "retired": "Retired",
}


class CatalogueForm(forms.Form):
    """The search and the filters of the catalogue, each optional. The fields about prices are only there for viewers
    who see prices."""

    find = forms.CharField(
        label="Search",
        max_length=LONGEST_SEARCH,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Search models"}),
    )
    can = forms.MultipleChoiceField(
        label="Can", choices=tuple(CAPABILITIES.items()), required=False, widget=forms.CheckboxSelectMultiple
    )
    speaks = forms.ChoiceField(
        label="Language", choices=(("", "Any language"), *list(LANGUAGES.items())[1:]), required=False
    )
    state = forms.ChoiceField(label="Status", choices=(("", "Any status"), *STATUS_NAMES.items()), required=False)
    cost_kind = forms.ChoiceField(label="Free or paid", choices=(("", "Free and paid"), *KINDS.items()), required=False)
    cost_from = DollarField(label="Input $ / 1M, from", required=False)
    cost_to = DollarField(label="Input $ / 1M, to", required=False)

    def __init__(self, filters: Filters, viewer: Viewer) -> None:
        pairs = [(name, value) for name, value in filters.query.pairs if name in FIELDS and name != "cards"]
        given: dict[str, Any] = dict(pairs)
        if "can" in given:
            given["can"] = [value for name, value in pairs if name == "can"]
        super().__init__(given, label_suffix="")
        self.state_of_page = filters.query.without(*FIELDS)
        if not viewer.sees_pricing:
            for name in ("cost_kind", "cost_from", "cost_to"):
                del self.fields[name]
        for name, field in self.fields.items():
            field.widget.attrs |= {"autocomplete": "off"} | ({} if name == "can" else {"class": "input"})
            if name.startswith("cost_") and isinstance(field, DollarField):
                field.validators += [MinValueValidator(Decimal(0)), MaxValueValidator(HIGHEST)]

    @property
    def is_filtered(self) -> bool:
        return bool(self.data)

    @property
    def is_narrowed(self) -> bool:
        """Whether a filter is set beside the search, right or wrong."""
        return any(self.data.get(name) for name in self.fields if name != "find")

    def wanted(self, name: str) -> Any:
        """The valid value of a field; None if it is empty or wrong."""
        self.is_valid()
        value = self.cleaned_data.get(name)
        return None if value in ("", [], None) else value


@dataclass(frozen=True, slots=True)
class Card:
    key: Key
    label: str
    color: int
    facts: Facts
    status: Status | None
    capabilities: tuple[str, ...]
    languages: tuple[str, ...]
    usage: ModelUsage
    price: PriceCell | None
    """None for viewers who may not see prices."""
    elsewhere: Money | None
    """What the traffic of the range was charged for which this model has rates, and what it would have cost here. None
    without such traffic, or if the viewer may not see cost."""
    link: QueryString
    compare: QueryString
    is_compared: bool
    edit: str
    """The address where the facts can be edited; empty for viewers who may not."""

    @property
    def status_name(self) -> str:
        return STATUS_NAMES[self.status] if self.status else ""


@dataclass(frozen=True, slots=True)
class Cards:
    form: CatalogueForm
    cards: tuple[Card, ...]
    total: int
    """The number of cards that match, also of those that are not shown yet."""
    known: int
    """The number of models without any filter."""
    all: QueryString | None
    """The address that shows all matching cards; None if all are shown."""
    cleared: QueryString


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything that the cards are made of."""

    viewer: Viewer
    filters: Filters
    catalogue: Catalogue
    prices: PriceOf
    models: Sequence[ModelUsage]
    """All models of the chosen providers, used or not, in the order of the cards."""
    traffic: Sequence[ModelUsage]
    """The traffic that would have cost something else on another model."""
    today: date


def known_models(
    used: Sequence[ModelUsage], prices: PriceOf, catalogue: Catalogue, selection: Selection, today: date
) -> list[ModelUsage]:
    """The used models, those with the most requests first, and then the others that the viewer may know of: those of
    the catalogue, which everybody may read, and those with an enabled price."""
    have = {model.key for model in used}
    priced = {key for key, price in prices.items() if price.enabled}
    others = [key for key in (catalogue.models() | priced) - have if is_chosen(key[0], selection)]

    def order(key: Key) -> tuple[int, str, str]:
        status = catalogue.facts(*key).status_on(today)
        return (STATUSES.index(status) if status else 0, key[1].casefold(), key[0])

    return [*used, *(not_used(*key) for key in sorted(others, key=order))]


def cards(shelf: Shelf) -> Cards:
    form = CatalogueForm(shelf.filters, shelf.viewer)
    named = [model for model in shelf.models if model.model]
    found = [model for model in named if _matches(model, form, shelf)]
    is_all = shelf.filters.query.first("cards") == ALL_CARDS
    shown = found[: MOST_CARDS if is_all else FIRST_CARDS]
    colors = colors_apart(model.model for model in shelf.models)
    more = shelf.filters.query.replaced("cards", (ALL_CARDS,)) if not is_all and len(found) > len(shown) else None
    return Cards(
        form, tuple(_card(model, colors, shelf) for model in shown), len(found), len(named), more, form.state_of_page
    )


def _card(model: ModelUsage, colors: Mapping[str, int], shelf: Shelf) -> Card:
    facts, text = shelf.catalogue.facts(*model.key), text_of(model.key)
    status, query = facts.status_on(shelf.today), shelf.filters.query
    provider, name = model.key
    address = f"{reverse('pricing-facts')}?{urlencode({'provider': provider, 'model': name})}"
    compare = compared_with(query, text)
    return Card(
        key=model.key,
        label=label_of(model.key),
        color=colors[model.model],
        facts=facts,
        status=status,
        capabilities=tuple(CAPABILITIES[name] for name in facts.capabilities if name in CAPABILITIES),
        languages=tuple(LANGUAGES[name] for name in facts.languages if name in LANGUAGES),
        usage=model,
        price=price_of(model, shelf.prices, shelf.catalogue) if shelf.viewer.sees_pricing else None,
        elsewhere=_elsewhere(model, status, shelf),
        link=shelf.filters.only(MODEL, (MODEL.text(model.model),)),
        compare=compare,
        is_compared=compare is query,
        edit=address if shelf.viewer.may_edit_pricing else "",
    )


def _elsewhere(model: ModelUsage, status: Status | None, shelf: Shelf) -> Money | None:
    price = shelf.prices.get(model.key)
    if not shelf.viewer.sees_cost or price is None or not price.enabled or not has_rates(price) or status == "retired":
        return None
    made = what_if(shelf.traffic, price)
    return made.money if made.rows else None


def _matches(model: ModelUsage, form: CatalogueForm, shelf: Shelf) -> bool:
    facts, price = shelf.catalogue.facts(*model.key), shelf.prices.get(model.key)
    searched = " ".join((*model.key, facts.name, facts.maker)).casefold()
    if not all(word in searched for word in str(form.wanted("find") or "").casefold().split()):
        return False
    if not set(form.wanted("can") or ()) <= set(facts.capabilities):
        return False
    language = form.wanted("speaks")
    if language and not {language, MANY_LANGUAGES} & set(facts.languages):
        return False
    state = form.wanted("state")
    if state and facts.status_on(shelf.today) != state:
        return False
    return _is_priced_so(price if price and price.enabled else None, form)


def _is_priced_so(price: Price | None, form: CatalogueForm) -> bool:
    kind, least, most = (form.wanted(name) for name in ("cost_kind", "cost_from", "cost_to"))
    if kind and (price is None or is_free(price) != (kind == "free")):
        return False
    if least is None and most is None:
        return True
    rate = price.input_usd_per_1k_tokens if price else None
    return rate is not None and (least or 0) <= rate * 1_000 and (most is None or rate * 1_000 <= most)
