"""The table of models: what each did and costs, sorted and paged as the query string says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.viewer import Viewer
from analytics.charts import tone
from analytics.filters import MODEL, PLACES, Filters
from analytics.model_prices import PriceOf, Rate, rates
from analytics.query import Query
from analytics.reports import ModelUsage
from analytics.reports.names import NONE_LABEL
from analytics.tables import Header, Sort
from pricing.models import Price

ROWS = 25
Amount = float | Decimal | None


@dataclass(frozen=True, slots=True)
class Column:
    """What the table can be sorted by. ``adds_up`` where shares of it make sense."""

    key: str
    label: str
    amount: Callable[[ModelUsage], Amount]
    about_cost: bool = False
    adds_up: bool = False


COLUMNS = (
    Column("requests", "Requests", lambda m: m.totals.requests, adds_up=True),
    Column("tokens", "Tokens", lambda m: m.totals.total_tokens, adds_up=True),
    Column("cost", "Cost", lambda m: m.totals.cost_usd, about_cost=True, adds_up=True),
    Column("errors", "Error Rate", lambda m: m.totals.error_rate),
    Column("p50", "p50", lambda m: m.p50),
    Column("p95", "p95", lambda m: m.p95),
    Column("p99", "p99", lambda m: m.p99),
    Column("first", "First token", lambda m: m.totals.avg_ttft_ms),
    Column("speed", "Tokens/s", lambda m: m.tokens_per_second),
    Column("used", "Last used", lambda m: m.last_day.toordinal()),
)
NAME = "name"


@dataclass(frozen=True, slots=True)
class PriceCell:
    """What a model costs now, and what is remarkable about that."""

    rates: tuple[Rate, ...]
    summary: str
    state: str
    """``none``, ``disabled`` or empty."""
    is_own: bool
    """An organization's own price, not everybody's."""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    tone: int
    link: Query
    usage: ModelUsage
    share: float
    price: PriceCell | None
    """None for those who may not see prices, and where there is no name to have one."""


@dataclass(frozen=True, slots=True)
class Unused:
    """A model with a price and no usage in the range."""

    model: str
    tone: int
    price: PriceCell


@dataclass(frozen=True, slots=True)
class ModelTable:
    headers: tuple[Header, ...]
    lines: tuple[Line, ...]
    total: int
    """How many rows there are on all pages."""
    first: int
    share_of: str
    back: Query | None
    on: Query | None
    label: str = "Model"

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def model_table(models: Sequence[ModelUsage], prices: PriceOf, asked: Filters, viewer: Viewer) -> ModelTable:
    columns = [column for column in COLUMNS if viewer.sees_cost or not column.about_cost]
    sort = _sort(asked.query, columns)
    pages = max(1, -(-len(models) // ROWS))
    page = min(_page(asked.query), pages)
    measure = next((c for c in columns if c.key == sort.key and c.adds_up), columns[0])
    total = sum((_number(measure, model) for model in models), Decimal(0))
    shown = _sorted(models, sort, columns)[(page - 1) * ROWS : page * ROWS]
    return ModelTable(
        headers=_headers(columns, sort, asked.query),
        lines=tuple(
            Line(
                label=model.model or NONE_LABEL,
                tone=tone(model.model),
                link=asked.only(MODEL, (MODEL.text(model.model),)),
                usage=model,
                share=float(_number(measure, model) / total) if total else 0,
                price=price_cell(prices.get(model.model)) if viewer.sees_pricing and model.model else None,
            )
            for model in shown
        ),
        total=len(models),
        first=(page - 1) * ROWS + 1,
        share_of=measure.label.lower(),
        back=_to_page(asked.query, page - 1) if page > 1 else None,
        on=_to_page(asked.query, page + 1) if page < pages else None,
    )


def unused(models: Sequence[ModelUsage], prices: PriceOf) -> list[Unused]:
    """The models that could be used and were not, by name; disabled ones could not."""
    used = {model.model for model in models}
    return [
        Unused(model, tone(model), price_cell(price))
        for model, price in sorted(prices.items())
        if model not in used and price.enabled
    ]


def price_cell(price: Price | None) -> PriceCell:
    if price is None:
        return PriceCell((), "", "none", is_own=False)
    own = price.organization_id is not None
    return PriceCell(rates(price), price.summary, "" if price.enabled else "disabled", own)


def _number(column: Column, model: ModelUsage) -> Decimal:
    return Decimal(column.amount(model) or 0)


def _sort(query: Query, columns: Sequence[Column]) -> Sort:
    """As asked; the default for a column that is unknown or may not be seen."""
    text = next(iter(query.values("sort")), "")
    key = text.removeprefix("-")
    return Sort(key, text.startswith("-")) if key in {NAME, *(column.key for column in columns)} else Sort()


def _page(query: Query) -> int:
    text = next(iter(query.values("page")), "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


def _to_page(query: Query, page: int) -> Query:
    return query.replaced("page", (str(page),) if page > 1 else ())


def _sorted(models: Sequence[ModelUsage], sort: Sort, columns: Sequence[Column]) -> list[ModelUsage]:
    """Ties by name. Rows that have no value come last, whichever the direction."""
    by_name = sorted(models, key=lambda m: m.model.casefold(), reverse=sort.key == NAME and sort.descending)
    if sort.key == NAME:
        return by_name
    amount = next(column.amount for column in columns if column.key == sort.key)
    sign = -1 if sort.descending else 1
    return sorted(by_name, key=lambda m: (amount(m) is None, sign * Decimal(amount(m) or 0)))


def _headers(columns: Sequence[Column], sort: Sort, query: Query) -> tuple[Header, ...]:
    named = [(NAME, "Model"), *((column.key, column.label) for column in columns)]
    return tuple(_header(key, label, sort, query) for key, label in named)


def _header(key: str, label: str, sort: Sort, query: Query) -> Header:
    """Sorts by this column; numbers from the largest and names from A first, then the other way round."""
    wanted = Sort(key, not sort.descending if key == sort.key else key != NAME)
    link = query.without(*PLACES).replaced("sort", () if wanted == Sort() else (str(wanted),))
    direction = ("descending" if sort.descending else "ascending") if key == sort.key else ""
    return Header(label, link, direction)
