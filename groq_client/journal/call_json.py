"""Conversion of a call to one line of JSON and back, for the journal. Calls and their lines contain no prompts and no
API keys."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, get_args

from groq_client.call import Attribution, Call, Operation, RateLimit, ToolUse, Usage, UsagePart


def call_to_json(call: Call) -> str:
    """One line of ASCII with the values that differ from their defaults. The line does not include ``started_ns``,
    which is only useful in the running process."""
    values = _FIELDS[Call].said(call)
    values["started_at"] = call.started_at.isoformat()
    return _encode(values)


def call_from_json(text: str | bytes) -> Call:
    """The call that ``call_to_json`` wrote. ValueError if the line is incomplete or contains something else."""
    try:
        values = json.loads(text)
        return _call(values)
    except (TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"This is no call: {error!r}") from error


def _default(value: Any) -> Any:
    fields_of = _FIELDS.get(type(value))
    if fields_of is not None:
        return fields_of.said(value)
    if isinstance(value, UsagePart):
        return {"model": value.model, "usage": value.usage}
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


_encode = json.JSONEncoder(separators=(",", ":"), default=_default).encode


class _Fields:
    """The fields of a dataclass with their defaults. The request id, and fields without a default, are always written.
    The start times are left out, because ``call_to_json`` handles them."""

    def __init__(self, kind: type[Any]) -> None:
        written = [field for field in fields(kind) if field.name not in ("started_at", "started_ns")]
        self._names = [field.name for field in written]
        self._defaults = [_default_of(field) for field in written]
        self._values_of = attrgetter(*self._names)

    def said(self, value: Any) -> dict[str, Any]:
        """The values that differ from their defaults. Most are the very defaults, which takes no comparison."""
        found = zip(self._names, self._values_of(value), self._defaults, strict=True)
        return {name: said for name, said, default in found if said is not default and said != default}


def _default_of(field: Field[Any]) -> object:
    if field.default_factory is MISSING:
        return field.default
    return None if field.name == "request_id" else field.default_factory()


_FIELDS = {kind: _Fields(kind) for kind in (Call, Attribution, Usage, RateLimit)}


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
    if values.get("reported_cost_usd") is not None:
        values["reported_cost_usd"] = Decimal(values["reported_cost_usd"])
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
    if "tools" in values:
        values["tools"] = tuple(ToolUse(*tool) for tool in values["tools"])
    return Usage(**values)
