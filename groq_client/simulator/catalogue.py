"""The models that the simulator offers, with believable speeds and limits."""

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["chat", "transcription", "speech", "embedding"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. Speeds are in tokens per second, or for speech recognition in seconds of audio per second."""

    id: str
    owned_by: str
    kind: Kind = "chat"
    prompt_speed: float = 12_000
    completion_speed: float = 500
    context_window: int = 131_072
    max_completion_tokens: int = 65_536
    reasoning: bool = False
    caches_prompts: bool = False
    compound: bool = False
    requests_per_day: int = 14_400
    tokens_per_minute: int = 250_000


CATALOGUE: dict[str, ModelSpec] = {
    spec.id: spec
    for spec in (
        ModelSpec("openai/gpt-oss-120b", "OpenAI", completion_speed=500, reasoning=True, caches_prompts=True),
        ModelSpec("openai/gpt-oss-20b", "OpenAI", completion_speed=1000, reasoning=True, caches_prompts=True),
        ModelSpec("qwen/qwen3.8-27b", "Alibaba Cloud", completion_speed=400, reasoning=True),
        ModelSpec("llama-3.3-70b-versatile", "Meta", completion_speed=280, requests_per_day=1000),
        ModelSpec("llama-3.1-8b-instant", "Meta", completion_speed=560),
        ModelSpec("groq/compound", "Groq", completion_speed=350, compound=True, requests_per_day=250),
        ModelSpec("groq/compound-mini", "Groq", completion_speed=350, compound=True, requests_per_day=250),
        ModelSpec("whisper-large-v3", "OpenAI", kind="transcription", completion_speed=189, requests_per_day=2000),
        ModelSpec("whisper-large-v3-turbo", "OpenAI", kind="transcription", completion_speed=216),
        ModelSpec("canopylabs/orpheus-v1-english", "Canopy Labs", kind="speech", completion_speed=100),
        ModelSpec("nomic-embed-text-v1_5", "Nomic AI", kind="embedding", context_window=8192),
    )
}

COMPOUND_PARTS = ("openai/gpt-oss-120b", "llama-3.3-70b-versatile")
"""The models that a compound system calls behind its own name."""


def spec_for(model: str, kind: Kind) -> ModelSpec | None:
    """The model of this name; names under ``sim/`` and ``unpriced/`` exist for every kind. ``None`` if unknown."""
    if model in CATALOGUE:
        return CATALOGUE[model]
    if model.startswith(("sim/", "unpriced/")):
        return replace(_DEFAULTS[kind], id=model)
    return None


_DEFAULTS: dict[Kind, ModelSpec] = {
    "chat": ModelSpec("", "Simulator"),
    "transcription": CATALOGUE["whisper-large-v3"],
    "speech": CATALOGUE["canopylabs/orpheus-v1-english"],
    "embedding": CATALOGUE["nomic-embed-text-v1_5"],
}
