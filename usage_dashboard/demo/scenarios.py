"""The purposes for which the people of the demonstration use Groq, and the calls of each."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TypeVar

from groq_client.call import Attribution, Operation
from usage_dashboard.demo.people import COMPANIES

Item = TypeVar("Item")

CUSTOM_MODEL = "acme-robotics/planner-lora-1"
"""A model without a price, whose calls are shown as unpriced."""

SHARES = {"acme-robotics": 0.58, "globex-media": 0.40, "": 0.02}
"""The share of each company in all calls. The slug "" is for scripts that give no name and use the default one."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second, read and written; for speech recognition ``writes`` is seconds of audio per second."""

    reads: float
    writes: float
    reasons: bool = False
    caches: bool = False


SPEEDS = {
    "openai/gpt-oss-120b": Speed(12_000, 500, reasons=True, caches=True),
    "openai/gpt-oss-20b": Speed(16_000, 1_000, reasons=True, caches=True),
    "qwen/qwen3.8-27b": Speed(10_000, 400, reasons=True),
    "llama-3.3-70b-versatile": Speed(9_000, 280),
    "llama-3.1-8b-instant": Speed(14_000, 560),
    "moonshotai/kimi-k2-instruct-0905": Speed(6_000, 200, caches=True),
    "groq/compound": Speed(8_000, 350),
    CUSTOM_MODEL: Speed(9_000, 280),
    "whisper-large-v3": Speed(1, 189),
    "whisper-large-v3-turbo": Speed(1, 216),
    "canopylabs/orpheus-v1-english": Speed(1, 100),
}

# The old model, its successor, and the share of the 90 days after which half of the calls use the successor.
SUCCESSIONS = {
    "large": ("llama-3.3-70b-versatile", "openai/gpt-oss-120b", 0.40),
    "small": ("llama-3.1-8b-instant", "openai/gpt-oss-20b", 0.55),
    "tools": ("moonshotai/kimi-k2-instruct-0905", "openai/gpt-oss-120b", 0.30),
    "research": ("llama-3.3-70b-versatile", "qwen/qwen3.8-27b", 0.60),
    "hearing": ("whisper-large-v3", "whisper-large-v3-turbo", 0.50),
}
SWITCH_OFF = 0.25
"""The share of the 90 days between that moment and the one at which the old model is switched off."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One use of Groq. ``models`` names a succession or a model; numbers of tokens are medians per message."""

    project: str
    feature: str
    expert: str
    templates: tuple[str, ...]
    models: str
    weight: float
    operation: Operation = "chat"
    messages: int = 1
    """The most messages in a conversation."""
    reads: int = 0
    writes: int = 0
    is_streamed: bool = False
    is_automatic: bool = False
    """The calls come from a program, which also runs at night, and belong to no person."""


SCENARIOS = {
    "acme-robotics": (
        Scenario(
            "support-desk", "chat", "support-agent", ("answer-ticket", "refund-policy", "summarize-thread"),
            "large", 34, messages=8, reads=900, writes=260, is_streamed=True,
        ),
        Scenario(
            "knowledge-base", "rag", "librarian", ("answer-from-docs", "compare-manuals"),
            "large", 20, messages=5, reads=3_800, writes=320, is_streamed=True,
        ),
        Scenario(
            "fleet-control", "tools", "fleet-operator", ("dispatch", "diagnose-fault"),
            "tools", 15, messages=6, reads=1_700, writes=140,
        ),
        Scenario(
            "fleet-control", "rag", "log-reader", ("classify-log",),
            "small", 14, reads=600, writes=30, is_automatic=True,
        ),
        Scenario("meeting-notes", "chat", "note-taker", ("transcript",), "hearing", 4, operation="transcription"),
        Scenario("meeting-notes", "chat", "note-taker", ("minutes",), "small", 4, reads=6_500, writes=600),
        Scenario("research", "playground", "", (), "research", 6, messages=10, reads=500, writes=700, is_streamed=True),
        Scenario("research", "experiment", "planner", ("plan-route",), "large", 2.5, reads=1_200, writes=900),
        Scenario("research", "experiment", "planner", ("plan-route",), CUSTOM_MODEL, 0.4, reads=1_200, writes=400),
    ),
    "globex-media": (
        Scenario(
            "newsroom", "chat", "sub-editor", ("headline", "shorten", "fact-check"),
            "large", 36, messages=6, reads=1_400, writes=240, is_streamed=True,
        ),
        Scenario(
            "archive-search", "rag", "archivist", ("answer-from-archive", "timeline"),
            "large", 22, messages=4, reads=4_600, writes=380, is_streamed=True,
        ),
        Scenario(
            "archive-search", "rag", "tagger", ("tag-article",),
            "small", 18, reads=1_100, writes=45, is_automatic=True,
        ),
        Scenario("podcast-studio", "chat", "transcriber", ("episode",), "hearing", 4, operation="transcription"),
        Scenario(
            "podcast-studio", "tools", "narrator", ("teaser",), "canopylabs/orpheus-v1-english", 3, operation="speech",
        ),
        Scenario(
            "ad-studio", "chat", "copywriter", ("campaign", "persona", "slogan"),
            "small", 14, messages=7, reads=700, writes=340, is_streamed=True,
        ),
        Scenario("newsroom", "tools", "researcher", ("background-check",), "groq/compound", 3, reads=2_500, writes=500),
    ),
    "": (Scenario("", "", "", (), "small", 1, reads=300, writes=120, is_automatic=True),),
}  # fmt: skip


def model_for(models: str, progress: float, random: Random) -> tuple[str, bool]:
    """The model that a call asks for at the share ``progress`` of the 90 days, and whether the model still exists."""
    if models not in SUCCESSIONS:
        return models, True
    old, new, half = SUCCESSIONS[models]
    moved = 1 / (1 + math.exp(-14 * (progress - half)))
    if progress < half + SWITCH_OFF:
        return (new if random.random() < moved else old), True
    # A few configurations still have the old name.
    return (old, False) if random.random() < 0.0015 else (new, True)


def pick_slug(random: Random) -> str:
    """The slug of a company, or "" for a script that names no company."""
    return _pick(tuple(SHARES), _SHARE_SUMS, random)


def pick_scenario(slug: str, random: Random) -> Scenario:
    return _pick(SCENARIOS[slug], _SCENARIO_SUMS[slug], random)


def attribution_of(slug: str, scenario: Scenario, random: Random) -> Attribution:
    """The attribution of a person of the company in this scenario."""
    has_person = slug in _PEOPLE and not scenario.is_automatic
    return Attribution(
        organization=slug,
        project=scenario.project,
        user=_pick(_PEOPLE[slug], _PEOPLE_SUMS[slug], random) if has_person else "",
        expert_id=scenario.expert,
        template_id=random.choice(scenario.templates) if scenario.templates else "",
        feature=scenario.feature,
        session_id=f"s-{random.getrandbits(48):012x}" if scenario.messages > 1 else "",
        metadata={"app_version": "2.4"} if scenario.feature == "chat" else {},
    )


def _pick(items: Sequence[Item], sums: list[float], random: Random) -> Item:
    return items[bisect_right(sums, random.random() * sums[-1])]


def _sums(weights: Iterable[float]) -> list[float]:
    return list(accumulate(weights))


_SHARE_SUMS = _sums(SHARES.values())
_SCENARIO_SUMS = {slug: _sums(scenario.weight for scenario in scenarios) for slug, scenarios in SCENARIOS.items()}
_PEOPLE = {company.slug: tuple(person.username for person in company.people) for company in COMPANIES}
# A few people make most of the calls.
_PEOPLE_SUMS = {slug: _sums((number + 2) ** -0.7 for number in range(len(people))) for slug, people in _PEOPLE.items()}
