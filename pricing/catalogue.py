"""What is known of a model beside its price: what it can do, how much it reads and writes, until when it is offered.

This is in ``pricing`` because it is the other half of a price list: both say what a provider offers, both name a model
in the same way, and the same people edit both.

The facts have three layers, and a later one wins field by field: the package ``genai-prices``, the checked-in file
``data/groq_models.json``, and the edits of Super Admins (``FactsEdit``). An edit keeps only the fields that a person
changed, so that it survives a new version of the file, while the file's other new facts still arrive. A fact that is
not known is absent.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from genai_prices.data import providers

from pricing.known_prices import exact_names
from pricing.models import DEFAULT_PROVIDER, FactsEdit

OWN_FILE = Path(__file__).parent / "data" / "groq_models.json"

Status = Literal["current", "preview", "retiring", "retired"]
STATUSES: tuple[Status, ...] = get_args(Status)
CAPABILITIES = {
    "chat": "Chat",
    "reasoning": "Reasoning",
    "vision": "Vision",
    "tools": "Tools",
    "json_schema": "JSON schema",
    "speech": "Speech",
    "transcription": "Transcription",
    "embedding": "Embedding",
}
MANY_LANGUAGES = "many"
LANGUAGES = {
    MANY_LANGUAGES: "Many languages",
    "ar": "Arabic",
    "zh": "Chinese",
    "nl": "Dutch",
    "en": "English",
    "fr": "French",
    "de": "German",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "es": "Spanish",
    "tl": "Tagalog",
    "th": "Thai",
    "tr": "Turkish",
    "vi": "Vietnamese",
}

Key = tuple[str, str]
"""A provider and a model."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one model. Empty or None stands for "not known"."""

    name: str = ""
    maker: str = ""
    capabilities: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    status: str = ""
    """``current``, ``preview`` or ``retired``, without regard to ``retires_on``."""
    retires_on: date | None = None
    """The first day on which the provider no longer serves the model."""
    replaced_by: str = ""
    """The model that the provider recommends instead."""
    is_system: bool = False
    """Whether the model is a system of other models, so that a call is charged at the prices of the parts it used."""
    source: str = ""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Facts from JSON. TypeError for a field that does not exist."""
        return cls(**{name: _read(name, value) for name, value in values.items()})

    def status_on(self, day: date) -> Status | None:
        """The status on a day; None if it is not known."""
        if self.retires_on is not None:
            return "retired" if day >= self.retires_on else "retiring"
        return next((status for status in STATUSES if status == self.status), None)

    def is_retired_on(self, day: date) -> bool:
        return self.status_on(day) == "retired"


FIELDS = tuple(field.name for field in fields(Facts))
UNKNOWN = Facts()


def as_json(name: str, facts: Facts) -> Any:
    """The value of a field as it is kept in an edit."""
    value = getattr(facts, name)
    return value.isoformat() if isinstance(value, date) else list(value) if isinstance(value, tuple) else value


def changed(base: Facts, wanted: Facts) -> dict[str, Any]:
    """The fields of ``wanted`` that differ from ``base``, as an edit keeps them."""
    return {name: as_json(name, wanted) for name in FIELDS if getattr(base, name) != getattr(wanted, name)}


def edited(base: Facts, changes: Mapping[str, Any]) -> Facts:
    """The facts with the fields of an edit. A field that this version of the program does not know is left out."""
    return replace(base, **{name: _read(name, value) for name, value in changes.items() if name in FIELDS})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The facts of all models, with the edits as of one moment."""

    edits: Mapping[Key, Mapping[str, Any]]

    @classmethod
    def load(cls) -> Self:
        """The catalogue of now, with one query."""
        rows = FactsEdit.objects.values_list("provider", "model", "changes")
        return cls({(provider, model): changes for provider, model, changes in rows})

    def facts(self, provider: str, model: str) -> Facts:
        """What is known of a model; ``UNKNOWN`` if that is nothing."""
        known, changes = published(provider, model), self.edits.get((provider, model))
        return edited(known, changes) if changes else known

    def models(self) -> set[Key]:
        """The models that the catalogue lists by itself: those of the file, and those that a person described."""
        return {(DEFAULT_PROVIDER, model) for model in _own()} | set(self.edits)


def published(provider: str, model: str) -> Facts:
    """The facts without any edits. What the file says of a model holds for its other names too, of which the package
    knows some (``gemma2-9b`` and ``gemma2-9b-it``)."""
    packaged, names = _packaged(provider).get(model, (UNKNOWN, ()))
    listed_as = (name for name in (model, *names) if provider == DEFAULT_PROVIDER and name in _own())
    own = _own().get(next(listed_as, ""))
    if own is None:
        return packaged
    return replace(own, name=own.name or packaged.name, context_tokens=own.context_tokens or packaged.context_tokens)


def listed() -> tuple[str, ...]:
    """Groq's models in the order of the checked-in file."""
    return tuple(_own())


@cache
def as_of() -> date:
    """The day on which the checked-in file was last compared with its sources."""
    return date.fromisoformat(json.loads(OWN_FILE.read_text())["as_of"])


@cache
def _own() -> dict[str, Facts]:
    return {model: Facts.read(values) for model, values in json.loads(OWN_FILE.read_text())["models"].items()}


@cache
def _packaged(provider: str) -> dict[str, tuple[Facts, tuple[str, ...]]]:
    """The facts of the package genai-prices about a provider's models, each with all names of the model. Empty for a
    provider that it does not know."""
    return dict(_read_package(provider))


def _read_package(name: str) -> Iterator[tuple[str, tuple[Facts, tuple[str, ...]]]]:
    for info in (info for provider in providers if provider.id == name for info in provider.models):
        is_known = info.name or info.context_window
        source = "genai-prices" if is_known else ""
        facts = Facts(name=info.name or "", context_tokens=info.context_window, source=source)
        names = tuple(sorted({info.id, *exact_names(info.match)}))
        yield from ((model, (facts, names)) for model in names)


def _read(name: str, value: Any) -> Any:
    if name == "retires_on":
        return date.fromisoformat(value) if value else None
    return tuple(value) if name in ("capabilities", "languages") else value
