"""The columns of an event in the files that an export writes and an import reads."""

COLUMNS = {
    "timestamp": "event.timestamp",
    "day": "event.day",
    "hour": "event.hour",
    "organization": "organization.slug",
    "project": "project.slug",
    "user": "person.handle",
    "provider": "event.provider",
    "model": "event.model",
    "model_requested": "event.model_requested",
    "operation": "event.operation",
    "feature": "event.feature",
    "expert_id": "event.expert_id",
    "template_id": "event.template_id",
    "session_id": "event.session_id",
    "request_id": "event.request_id",
    "provider_request_id": "event.provider_request_id",
    "status": "event.status",
    "error_code": "event.error_code",
    "error_message": "event.error_message",
    "http_status": "event.http_status",
    "attempts": "event.attempts",
    "stream": "event.stream",
    "input_tokens": "event.input_tokens",
    "output_tokens": "event.output_tokens",
    "total_tokens": "event.total_tokens",
    "cached_tokens": "event.cached_tokens",
    "reasoning_tokens": "event.reasoning_tokens",
    "tokens_estimated": "event.tokens_estimated",
    "audio_seconds": "event.audio_seconds",
    "characters": "event.characters",
    "latency_ms": "event.latency_ms",
    "ttft_ms": "event.ttft_ms",
    "queue_ms": "event.queue_ms",
    "prompt_ms": "event.prompt_ms",
    "completion_ms": "event.completion_ms",
    "service_tier": "event.service_tier",
    "cost_usd": "event.cost_usd",
    "price_version": "event.price_id",
    "usage_breakdown": "event.usage_breakdown",
    "remaining_requests": "event.remaining_requests",
    "remaining_tokens": "event.remaining_tokens",
    "metadata": "event.metadata",
    "limit_requests": "event.limit_requests",
    "limit_tokens": "event.limit_tokens",
    "received_at": "event.received_at",
    "organization_name": "organization.name",
    "project_name": "project.name",
    "user_name": "coalesce(nullif(btrim(person.first_name || ' ' || person.last_name), ''), person.handle)",
    "tool_cost_usd": "event.tool_cost_usd",
    "without_tool_fees": "event.without_tool_fees",
    "tool_price_version": "event.tool_price_id",
    "tools": "event.tool_uses",
    "reported_cost_usd": "event.reported_cost_usd",
    "response_id": "event.response_id",
}
"""Each column of the export with the SQL expression of its value. Add new columns at the end, so that programs that
find columns by position keep working."""
TIMES = frozenset({"timestamp", "received_at"})
FLAGS = frozenset({"stream", "tokens_estimated", "without_tool_fees"})
JSON = frozenset({"usage_breakdown", "metadata", "tools"})
DOLLARS = frozenset({"cost_usd", "tool_cost_usd", "reported_cost_usd"})
TEXTS = frozenset(
    {
        "organization", "project", "user", "provider", "model", "model_requested", "operation", "feature", "expert_id",
        "template_id", "session_id", "request_id", "provider_request_id", "response_id", "status",
        "error_code", "error_message", "service_tier", "organization_name", "project_name", "user_name",
    }
)  # fmt: skip
"""The sets above give the kinds of columns. Columns in none of these sets are days and plain numbers."""
COST_COLUMNS = frozenset(
    {
        "cost_usd",
        "price_version",
        "usage_breakdown",
        "tool_cost_usd",
        "without_tool_fees",
        "tool_price_version",
        "reported_cost_usd",
    }
)
FORMULA = "=+@\t\r\n＝＋－＠-"
"""The characters with which a formula begins in a spreadsheet, including full-width forms. The minus comes last, so
that the text can stand between the brackets of a regular expression. In CSV, the export puts an apostrophe before a
text that begins with one of these characters, or with apostrophes and then one of them."""
