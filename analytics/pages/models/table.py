"""The table of models with their usage and prices, in the order and on the page that the query string chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.viewer import Viewer
from analytics.display.colors import colors_apart
from analytics.display.sorting import Column, Header, TableSettings, in_order, measure_of, share
from analytics.filters.facets import MODEL
from analytics.filters.filters import Filters
from analytics.filters.query_string import QueryString
from analytics.pages.models.prices import Rate, label_of, rates
from analytics.reports import ModelUsage
from analytics.reports.prices import PriceOf, has_rates
from pricing.catalogue import Catalogue
from pricing.models import Price

ROWS = 25


COLUMNS: tuple[Column[ModelUsage], ...] = (
    Column("requests", "Requests", lambda m: m.totals.requests, adds_up=True),
    Column("tokens", "Tokens", lambda m: m.totals.total_tokens, adds_up=True),
    Column("cost", "Cost", lambda m: m.totals.cost_usd, adds_up=True, is_of_cost=True),
    Column("errors", "Error Rate", lambda m: m.totals.error_rate),
    Column("p50", "p50", lambda m: m.p50),
    Column("p95", "p95", lambda m: m.p95),
    Column("p99", "p99", lambda m: m.p99),
    Column("first", "First token", lambda m: m.totals.avg_ttft_ms),
    Column("speed", "Tokens/s", lambda m: m.tokens_per_second),
    Column("used", "Last used", lambda m: m.last_day.toordinal() if m.last_day else None),
)


@dataclass(frozen=True, slots=True)
class PriceCell:
    """The current rates of a model, and whether its price is absent, disabled or an organization's own."""

    rates: tuple[Rate, ...]
    summary: str
    state: str
    """``none`` without a price, ``disabled`` with a disabled one, ``system`` if calls are charged at the prices of the
    models that a system used, else empty."""
    is_own: bool
    """Whether the price is an organization's own and not everybody's."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    label: str
    color: int
    link: QueryString
    usage: ModelUsage
    share: float
    price: PriceCell | None
    """None for viewers who may not see prices, and for requests that name no model."""


@dataclass(frozen=True, slots=True)
class ModelTable:
    headers: tuple[Header, ...]
    rows: tuple[ModelRow, ...]
    total: int
    """The number of rows on all pages."""
    first: int
    share_of: str
    back: QueryString | None
    on: QueryString | None
    label: str = "Model"

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


def model_table(
    models: Sequence[ModelUsage], prices: PriceOf, catalogue: Catalogue, filters: Filters, viewer: Viewer
) -> ModelTable:
    columns = [column for column in COLUMNS if viewer.sees_cost or not column.is_of_cost]
    settings = TableSettings(filters.query)
    sort = settings.sort(columns)
    pages, measure = settings.pages(len(models), ROWS), measure_of(sort, columns)
    whole = sum((Decimal(measure.amount(model) or 0) for model in models), Decimal(0))
    by_name = sorted(models, key=_name)
    colors = colors_apart(model.model for model in models)
    shown = in_order(by_name, sort, columns, lambda model: model, _name)[pages.start : pages.end]
    return ModelTable(
        headers=settings.headers("Model", columns, sort),
        rows=tuple(
            ModelRow(
                label=label_of(model.key),
                color=colors[model.model],
                link=filters.only(MODEL, (MODEL.text(model.model),)),
                usage=model,
                share=share(measure.amount(model), whole),
                price=price_of(model, prices, catalogue) if viewer.sees_pricing and model.model else None,
            )
            for model in shown
        ),
        total=len(models),
        first=pages.start + 1,
        share_of=measure.label.lower(),
        back=pages.back,
        on=pages.on,
    )


def _name(model: ModelUsage) -> str:
    return model.model.casefold()


def price_of(model: ModelUsage, prices: PriceOf, catalogue: Catalogue) -> PriceCell:
    """The price of a model. A model without one whose requests have a cost is a system of other models, too."""
    is_system = catalogue.facts(*model.key).is_system or model.totals.priced > 0
    return price_cell(prices.get(model.key), is_system=is_system)


def price_cell(price: Price | None, *, is_system: bool = False) -> PriceCell:
    if price is None:
        return PriceCell((), "", "system" if is_system else "none", is_own=False)
    state = "system" if is_system and not has_rates(price) else ""
    own = price.organization_id is not None
    return PriceCell(rates(price), price.summary, state if price.enabled else "disabled", own)
