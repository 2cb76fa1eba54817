"""The columns of the list of requests: which there are, who may see them, and which of them a reader has chosen."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.viewer import Viewer
from analytics.display import figures
from ledger.models import UsageEvent

COLUMNS = "columns"
"""The name in a query string for the columns."""
TIME = "time"
"""The first column, which is always there: its link leads to the request."""


def _everybody(viewer: Viewer) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list. ``text`` is the content of its cells; the template makes those of some columns itself."""

    key: str
    """The name in the query string. The cells have the class ``<key>-cell``."""
    label: str
    text: Callable[[UsageEvent], str] = str
    title: Callable[[UsageEvent], str] | None = None
    """More exact than the text."""
    is_number: bool = False
    is_usual: bool = False
    """Whether the list has the column until a reader chooses others."""
    is_for: Callable[[Viewer], bool] = _everybody
    short: str = ""
    """What the column's head says instead of the label."""
    beside: str = ""
    """The key of the column that has this one's text as a second line, unless this one is chosen as well."""


def _number(
    key: str, label: str, text: Callable[[UsageEvent], str], short: str = "", *, is_usual: bool = False
) -> Column:
    return Column(key, label, text, is_number=True, is_usual=is_usual, short=short)


def _tokens(key: str, label: str, number: Callable[[UsageEvent], int], short: str, *, is_usual: bool = False) -> Column:
    def text(event: UsageEvent) -> str:
        return f"{'≈ ' if event.tokens_estimated else ''}{figures.compact(number(event))}"

    def title(event: UsageEvent) -> str:
        return f"{figures.count(number(event))} tokens{', estimated' if event.tokens_estimated else ''}"

    return Column(key, label, text, title, is_number=True, is_usual=is_usual, short=short)


def _audio(seconds: Decimal) -> str:
    return f"{seconds.normalize():f} s" if seconds else figures.NOTHING


OFFERED = (
    Column("model", "Model", is_usual=True),
    Column("feature", "Feature", lambda event: event.feature, beside="model"),
    Column("status", "Status", is_usual=True),
    Column(
        "organization", "Organization", lambda event: event.organization.name,
        is_usual=True, is_for=lambda viewer: viewer.organization_ids is None,
    ),
    Column("project", "Project", lambda event: event.project.display_name if event.project else "", is_usual=True),
    Column(
        "user", "User", lambda event: event.user.display_name if event.user else "",
        is_for=lambda viewer: viewer.user_ids is None, beside="project",
    ),
    Column("expert", "Expert", lambda event: event.expert_id),
    Column("template", "Template", lambda event: event.template_id),
    Column("session", "Session", lambda event: event.session_id),
    Column("provider", "Provider", lambda event: event.provider),
    Column("operation", "Operation", lambda event: event.operation),
    Column("asked", "Model asked for", lambda event: event.model_requested),
    Column("tier", "Service tier", lambda event: event.service_tier),
    Column("http", "HTTP status", lambda event: "" if event.http_status is None else str(event.http_status)),
    _number("attempts", "Attempts", lambda event: str(event.attempts)),
    _tokens("input", "Input tokens", lambda event: event.input_tokens, "Input", is_usual=True),
    _tokens("cached", "Cached input tokens", lambda event: event.cached_tokens, "Cached"),
    _tokens("output", "Output tokens", lambda event: event.output_tokens, "Output", is_usual=True),
    _tokens("reasoning", "Reasoning tokens", lambda event: event.reasoning_tokens, "Reasoning"),
    _tokens("tokens", "Total tokens", lambda event: event.total_tokens, "Tokens"),
    _number("audio", "Audio", lambda event: _audio(event.audio_seconds)),
    _number("characters", "Characters", lambda event: figures.compact(event.characters)),
    _number("latency", "Latency", lambda event: figures.duration(event.latency_ms), is_usual=True),
    _number("ttft", "Time to first token", lambda event: figures.duration(event.ttft_ms), "TTFT", is_usual=True),
    _number("queue", "Queue time", lambda event: figures.duration(event.queue_ms), "Queue"),
    _number("prompt", "Prompt time", lambda event: figures.duration(event.prompt_ms), "Prompt"),
    _number("generation", "Generation time", lambda event: figures.duration(event.completion_ms), "Generation"),
    Column("cost", "Cost", is_number=True, is_usual=True, is_for=lambda viewer: viewer.sees_cost),
    Column("id", "Request id", lambda event: event.request_id),
    Column("provider-id", "Provider's request id", lambda event: event.provider_request_id),
)  # fmt: skip
KEYS = frozenset(column.key for column in OFFERED) | {TIME}


def offered_to(viewer: Viewer) -> list[Column]:
    return [column for column in OFFERED if column.is_for(viewer)]


def chosen_of(offered: Sequence[Column], keys: Iterable[str]) -> list[Column]:
    """The columns with these keys; the usual ones if none of the keys is known."""
    known = KEYS.intersection(keys)
    return [column for column in offered if (column.key in known if known else column.is_usual)]


def seconds_of(offered: Sequence[Column], chosen: Sequence[Column]) -> dict[str, Column]:
    """For each chosen column that has another one's text as a second line, that other column."""
    keys = {column.key for column in chosen}
    return {one.beside: one for one in offered if one.beside in keys and one.key not in keys}
