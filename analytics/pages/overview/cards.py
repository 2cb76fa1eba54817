"""The cards at the top of the Overview: each has a total, its change from the previous period, and its details."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from analytics.display import figures, missing_cost
from analytics.display.change import Amount, Change, Sentiment, change, change_in_points
from analytics.display.outlook import Outlook
from analytics.reports import CacheSavings, Point, Report, Totals

SPARK_POINTS = 60
ACTIVE_DAYS = {1: "People on the last day", 7: "People in its last 7 days", 30: "People in its last 30 days"}
"""The numbers of days for which active people are counted, with the names of these facts."""
MESSAGES_ARE_REQUESTS = "Messages are requests: one call to Groq each."
SAVINGS_ARE = (
    "Cached tokens × (input price − cached input price), each at the price in force at its call. Calls without a "
    "price and compound calls, whose parts have several prices, are not counted."
)
SPARKS: dict[str, Callable[[Totals], Amount]] = {
    "Total Tokens": lambda t: t.total_tokens,
    "Total Cost": lambda t: t.cost_usd,
    "Messages": lambda t: t.requests,
    "Avg Latency": lambda t: t.avg_latency_ms,
    "Error Rate": lambda t: t.error_rate,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the exact figures in the opened part of a card."""

    name: str
    value: str
    share: str = ""
    is_part: bool = False
    """Whether the figure is a part of the fact above."""
    link: str = ""
    later: str = ""
    """The name of a value that is loaded after the page; empty if the value is already present."""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    value: str
    change: Change | None = None
    details: tuple[tuple[str, str], ...] = ()
    facts: tuple[Fact, ...] = ()
    is_hero: bool = False
    spark: str = ""
    """The figure over time, as points of an SVG line in a box of 100 by 30."""
    note: str = ""
    """A sentence that explains the exact figures."""

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")


@dataclass(frozen=True, slots=True)
class About:
    """What the cards tell besides the totals: the number of days of the range that have begun, whether people are
    counted, and the link to the requests without a price."""

    days: int
    has_people: bool
    unpriced_link: str = ""


def savings_card(savings: CacheSavings, totals: Totals) -> Card:
    """The card about what cached tokens saved."""
    share = _count("Cached tokens counted", savings.cached_tokens, totals.cached_tokens)
    return Card(
        "Cache Savings",
        figures.money(savings.saved_usd),
        details=(("Cached", figures.percent(totals.cached_tokens / totals.input_tokens)),),
        facts=(
            Fact("US dollars saved", figures.exact_money(savings.saved_usd)),
            share,
            _count("Cached part of the input", totals.cached_tokens, totals.input_tokens),
        ),
        note=SAVINGS_ARE,
    )


def counts_people(report: Report) -> bool:
    """Whether the viewer sees more people than one, and they can be counted as quickly as the totals."""
    return report.viewer.user_ids is None and not report.reads_each("user_id")


def cards(
    totals: Totals,
    previous: Totals | None,
    points: Sequence[Point],
    about: About,
    *,
    sees_cost: bool,
    outlook: Outlook | None = None,
) -> list[Card]:
    """The cards in their order; the one about cost only if the viewer may see cost. With an ``outlook``, cards whose
    figure adds up over days also say what the month will come to."""
    made = [
        _tokens(totals, previous),
        _messages(totals, previous, about),
        _latency(totals, previous),
        _errors(totals, previous),
    ]
    if sees_cost:
        made.insert(1, _cost(totals, previous, about))
    made = [replace(card, spark=spark(points, SPARKS[card.name])) for card in made]
    return [_with_outlook(card, outlook) for card in made] if outlook else made


WHOLE_MONTH: dict[str, tuple[Callable[[Totals], int | Decimal | None], Callable[[Decimal], str]]] = {
    "Total Tokens": (lambda t: t.total_tokens, lambda whole: figures.compact(round(whole))),
    "Total Cost": (lambda t: t.cost_usd, figures.money),
    "Messages": (lambda t: t.requests, lambda whole: figures.compact(round(whole))),
}
"""For each card whose figure adds up over days, the figure, and how its sum is written."""


def _with_outlook(card: Card, outlook: Outlook) -> Card:
    if card.name not in WHOLE_MONTH:
        return card
    amount, text = WHOLE_MONTH[card.name]
    is_part = card.name == "Total Cost" and outlook.is_part
    said = f"{'≥' if is_part else '≈'} {text(outlook.whole(amount))}"
    return replace(
        card,
        details=(*card.details, ("Whole month", said)),
        facts=(*card.facts, Fact("Whole month, at this pace", said)),
        note=" ".join(filter(None, (card.note, outlook.explanation))),
    )


def spark(points: Sequence[Point], amount: Callable[[Totals], Amount]) -> str:
    """The points of a line; many points are averaged in chunks. Empty if there is nothing to draw."""
    step = max(1, len(points) // SPARK_POINTS)
    chunks = [points[i : i + step] for i in range(0, len(points), step)]
    heights = [sum(float(amount(point.totals) or 0) for point in chunk) / len(chunk) for chunk in chunks]
    top = max(heights, default=0)
    if len(heights) < 2 or not top:
        return ""
    width = 100 / (len(heights) - 1)
    return " ".join(f"{i * width:.1f},{29 - 28 * height / top:.1f}" for i, height in enumerate(heights))


def _compared(
    totals: Totals, previous: Totals | None, amount: Callable[[Totals], Amount], more_is: Sentiment = "neutral"
) -> Change | None:
    return change(amount(totals), amount(previous), more_is) if previous else None


def _before(previous: Totals | None, text: Callable[[Totals], str]) -> tuple[Fact, ...]:
    return (Fact("Previous period", text(previous)),) if previous else ()


def _count(name: str, part: int, whole: int, *, is_part: bool = False, link: str = "") -> Fact:
    """A fact with a number and its share of the whole."""
    return Fact(name, figures.count(part), figures.percent(part / whole) if whole else "", is_part, link)


def _tokens(totals: Totals, previous: Totals | None) -> Card:
    whole = totals.total_tokens
    details = [
        ("Input", figures.compact(totals.input_tokens)),
        ("Cached", figures.compact(totals.cached_tokens)),
        ("Output", figures.compact(totals.output_tokens)),
    ]
    return Card(
        "Total Tokens",
        figures.compact(whole),
        _compared(totals, previous, lambda t: t.total_tokens),
        tuple(details),
        (
            Fact("Tokens", figures.count(whole)),
            _count("Input", totals.input_tokens, whole),
            _count("of it cached", totals.cached_tokens, totals.input_tokens, is_part=True),
            _count("Output", totals.output_tokens, whole),
            _count("of it reasoning", totals.reasoning_tokens, totals.output_tokens, is_part=True),
            _count("Requests with estimated tokens", totals.estimated, totals.requests),
            *_before(previous, lambda t: figures.count(t.total_tokens)),
        ),
        is_hero=True,
    )


def _cost(totals: Totals, previous: Totals | None, about: About) -> Card:
    unpriced, lacking = totals.unpriced - totals.without_tool_fees, totals.without_tool_fees
    cost = totals.cost_usd or Decimal(0)
    average = figures.money(cost / totals.priced if totals.priced else None)
    average = f"≥ {average}" if lacking else average
    details = [("Average", average)]
    details += [(name, figures.compact(n)) for name, n in (("Unpriced", unpriced), ("Without tool fees", lacking)) if n]
    link, fees = about.unpriced_link, totals.tool_cost_usd
    return Card(
        "Total Cost",
        missing_cost.told(totals),
        _compared(totals, previous, lambda t: t.cost_usd, "bad"),
        tuple(details),
        (
            Fact("US dollars", missing_cost.told(totals, figures.exact_money)),
            *([Fact("of it for built-in tools", figures.exact_money(fees), is_part=True)] if fees else ()),
            Fact("Average per priced request", average),
            *_each_day(about.days, figures.money(cost / about.days if about.days > 0 else None)),
            _count("Priced requests", totals.requests - totals.unpriced, totals.requests),
            _count("Unpriced requests", unpriced, totals.requests, link=link if unpriced else ""),
            *([_count("Requests without tool fees", lacking, totals.requests, link=link)] if lacking else ()),
            _count("Requests with estimated tokens", totals.estimated, totals.requests),
            *_before(previous, lambda t: missing_cost.told(t, figures.exact_money)),
        ),
    )


def _messages(totals: Totals, previous: Totals | None, about: About) -> Card:
    each = figures.compact(round(totals.total_tokens / totals.requests)) if totals.requests else figures.NOTHING
    return Card(
        "Messages",
        figures.compact(totals.requests),
        _compared(totals, previous, lambda t: t.requests, "good"),
        (("Tokens each", each),),
        (
            Fact("Requests", figures.count(totals.requests)),
            _count("Answered", totals.requests - totals.errors, totals.requests),
            _count("Failed", totals.errors, totals.requests),
            Fact("Tokens each, on average", each),
            *_each_day(about.days, figures.average(totals.requests / max(about.days, 1))),
            *(Fact(name, "…", later=f"people-{days}") for days, name in ACTIVE_DAYS.items() if about.has_people),
            *_before(previous, lambda t: figures.count(t.requests)),
        ),
        note=MESSAGES_ARE_REQUESTS,
    )


def _each_day(days: int, average: str) -> list[Fact]:
    """The average of the days that have begun; nothing for a single day."""
    return [Fact("Average per day", average)] if days > 1 else []


def _latency(totals: Totals, previous: Totals | None) -> Card:
    average, first = figures.duration(totals.avg_latency_ms), figures.duration(totals.avg_ttft_ms)
    return Card(
        "Avg Latency",
        average,
        _compared(totals, previous, lambda t: t.avg_latency_ms, "bad"),
        (("First token", first), ("Longest", figures.duration(totals.latency_ms_max))),
        (
            Fact("Average, to the last byte", average),
            *(Fact(f"{share} of 100 took up to", "…", later=f"p{share}") for share in (50, 95, 99)),
            Fact("Shortest", figures.duration(totals.latency_ms_min)),
            Fact("Longest", figures.duration(totals.latency_ms_max)),
            Fact("First token, on average", first),
            _count("Requests that streamed", totals.ttft_count, totals.requests),
            *_before(previous, lambda t: figures.duration(t.avg_latency_ms)),
        ),
    )


def _errors(totals: Totals, previous: Totals | None) -> Card:
    before = previous.error_rate if previous else None
    return Card(
        "Error Rate",
        figures.percent(totals.error_rate),
        change_in_points(totals.error_rate, before, "bad") if previous else None,
        tuple(
            (name, figures.compact(number))
            for name, number in (("Failed", totals.errors), ("Time-outs", totals.timeouts))
            if number or name == "Failed"
        ),
        (
            Fact("Requests", figures.count(totals.requests)),
            _count("Failed", totals.errors, totals.requests),
            _count("of it time-outs", totals.timeouts, totals.errors, is_part=True),
            _count("Answered", totals.requests - totals.errors, totals.requests),
            *_before(previous, lambda t: f"{figures.count(t.errors)} failed, {figures.percent(t.error_rate)}"),
        ),
    )
