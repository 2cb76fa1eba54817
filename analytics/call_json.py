"""A call as one line of JSON and back, for the journal. A call holds neither prompts nor keys, and so does its line."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args

from groq_client.call import Attribution, Call, Operation, RateLimit, Usage, UsagePart


def call_to_json(call: Call) -> str:
    """One line of ASCII with whatever differs from the default; durations that are not over yet (``started_ns``) are
    no part of it."""
    values = _said(call, _DEFAULTS[Call])
    values["started_at"] = call.started_at.isoformat()
    return _encode(values)


def call_from_json(text: str | bytes) -> Call:
    """The call of such a line. ValueError if it is none: torn, or of something else."""
    try:
        values = json.loads(text)
        return _call(values)
    except (TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"This is no call: {error!r}") from error


def _default(value: Any) -> Any:
    if isinstance(value, Usage):
        return _said(value, _DEFAULTS[Usage])
    if isinstance(value, Attribution):
        return _said(value, _DEFAULTS[Attribution])
    if isinstance(value, RateLimit):
        return _said(value, _DEFAULTS[RateLimit])
    if isinstance(value, UsagePart):
        return {"model": value.model, "usage": value.usage}
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


_encode = json.JSONEncoder(separators=(",", ":"), default=_default).encode


def _said(value: Any, defaults: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: said for name, default in defaults if (said := getattr(value, name)) != default}


def _defaults(kind: type[Any]) -> list[tuple[str, Any]]:
    """Names with their defaults; what has none is always said. Times are written apart."""
    apart = {"started_at", "started_ns"}
    found = []
    for field in fields(kind):
        default = field.default
        if field.default_factory is not MISSING:
            default = None if field.name == "request_id" else field.default_factory()
        if field.name not in apart:
            found.append((field.name, default))
    return found


_DEFAULTS = {kind: _defaults(kind) for kind in (Call, Attribution, Usage, RateLimit)}


def _call(values: dict[str, Any]) -> Call:
    values["started_at"] = _time(values["started_at"])
    if values["operation"] not in get_args(Operation):
        raise ValueError(f"There is no operation {values['operation']!r}.")
    for name in ("usage", "sent"):
        if name in values:
            values[name] = _usage(values[name])
    if "attribution" in values:
        values["attribution"] = Attribution(**values["attribution"])
    if "rate_limit" in values:
        values["rate_limit"] = RateLimit(**values["rate_limit"])
    return Call(**values)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} names no time zone.")
    return time


def _usage(values: dict[str, Any]) -> Usage:
    if "audio_seconds" in values:
        values["audio_seconds"] = Decimal(values["audio_seconds"])
    if "parts" in values:
        values["parts"] = tuple(UsagePart(part["model"], _usage(part["usage"])) for part in values["parts"])
    return Usage(**values)
