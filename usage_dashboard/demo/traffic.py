"""Live calls through our client, of the same kinds as in the demonstration's history."""

import io
import logging
import threading
import time
import wave
from collections.abc import Callable
from contextlib import suppress
from random import Random

import groq
from groq.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from groq_client import Groq, usage_context
from usage_dashboard.demo.scenarios import CUSTOM_MODEL, Scenario, attribution_of, model_for, pick_scenario, pick_slug

logger = logging.getLogger(__name__)

SIMULATED_PAUSE = 1.0
REAL_PAUSE = 10.0
"""Seconds between two real calls, which cost money."""
CALL_SECONDS = 20.0
STOP_SECONDS = 5.0
MOST_AT_ONCE = 6
CHEAP_MODEL = "openai/gpt-oss-20b"
CHEAP_TOKENS = 64
ERROR_RATE = 0.03

QUESTIONS = (
    "How do I reset a gripper that reports fault 17?",
    "Summarize the customer's last three messages in two sentences.",
    "Write a friendly answer to a customer who received the wrong spare part.",
    "Which of our manuals explains the calibration of the arm?",
    "Give me three headlines for a story about city trees.",
    "Shorten this paragraph to 40 words, and keep the quotation.",
    "What happened in the harbour strike of 1974? Cite the archive.",
    "Suggest a slogan for a radio programme about the night sky.",
)
BACKGROUND = "The arm was serviced in May, and the harbour was quiet that day. "
BACKGROUND_TOKENS = 15
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look something up by its name.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}
FAULTS = ("error-429", "error-503", "error-400-tool_use_failed", "error-500")

Perform = Callable[[Groq, Scenario, Random], None]


class Traffic:
    """A thread that makes a call after each pause until it is stopped."""

    def __init__(self, client: Groq, perform: Perform, pause: float) -> None:
        self._client, self._perform, self._pause = client, perform, pause
        self._random = Random()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, name="demo-traffic", daemon=True)]
        self.problem = ""
        """The error of the last call, unless the call was meant to fail; "" without an error."""

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        """Start no new calls, and give the running calls some seconds to end."""
        self._stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in list(self._threads):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._client.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause * self._random.uniform(0.5, 1.5)):
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) <= MOST_AT_ONCE:
                thread = threading.Thread(target=self._one_call, name="demo-call", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _one_call(self) -> None:
        slug = pick_slug(self._random)
        scenario = pick_scenario(slug, self._random)
        who = attribution_of(slug, scenario, self._random)
        try:
            with usage_context(
                organization=who.organization,
                project=who.project,
                user=who.user,
                expert=who.expert_id,
                template=who.template_id,
                feature=who.feature,
                session=who.session_id,
            ):
                self._perform(self._client, scenario, self._random)
        except groq.GroqError as error:
            if not self._stopping.is_set():
                self.problem = str(error)
        except Exception:
            logger.exception("A live call of the demonstration failed")
        else:
            self.problem = ""


def simulated_traffic(base_url: str) -> Traffic:
    client = Groq(api_key="simulator", base_url=base_url, max_retries=0, timeout=CALL_SECONDS)
    return Traffic(client, _perform_simulated, SIMULATED_PAUSE)


def real_traffic(api_key: str, base_url: str) -> Traffic:
    client = Groq(api_key=api_key, base_url=base_url or None, max_retries=1, timeout=CALL_SECONDS)
    return Traffic(client, _perform_real, REAL_PAUSE)


def _perform_simulated(client: Groq, scenario: Scenario, random: Random) -> None:
    """Make a call of the scenario, with an occasional deliberate failure."""
    if random.random() < ERROR_RATE:
        _fail(client, scenario, random)
    elif scenario.operation == "transcription":
        recording = ("recording.wav", _silence(random.uniform(20, 90)))
        client.audio.transcriptions.create(model=_model(scenario, random), file=recording)
    elif scenario.operation == "speech":
        client.audio.speech.create(model=_model(scenario, random), input=random.choice(QUESTIONS), voice="hannah")
    else:
        _chat(client, scenario, random)


def _chat(client: Groq, scenario: Scenario, random: Random) -> None:
    model, messages = _model(scenario, random), _messages(scenario, random)
    if scenario.is_streamed:
        for _ in client.chat.completions.create(model=model, messages=messages, stream=True):
            pass
    elif scenario.feature == "tools":
        client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
    else:
        client.chat.completions.create(model=model, messages=messages)


def _fail(client: Groq, scenario: Scenario, random: Random) -> None:
    """Make a call that is meant to fail."""
    headers = {"x-sim-fault": random.choice(FAULTS)}
    with suppress(groq.APIStatusError):
        client.chat.completions.create(
            model="openai/gpt-oss-120b", messages=_messages(scenario, random), extra_headers=headers
        )


def _perform_real(client: Groq, scenario: Scenario, random: Random) -> None:
    """Ask a cheap model a short question in the name of the scenario."""
    for _ in client.chat.completions.create(
        model=CHEAP_MODEL,
        messages=[{"role": "user", "content": random.choice(QUESTIONS)}],
        max_completion_tokens=CHEAP_TOKENS,
        reasoning_effort="low",
        stream=True,
    ):
        pass


def _model(scenario: Scenario, random: Random) -> str:
    model, _ = model_for(scenario.models, 1.0, random)
    # The simulator offers every model whose name begins with "unpriced/".
    return f"unpriced/{model}" if model == CUSTOM_MODEL else model


def _messages(scenario: Scenario, random: Random) -> list[ChatCompletionMessageParam]:
    repeats = round(scenario.reads / BACKGROUND_TOKENS * random.uniform(0.5, 1.5))
    return [
        {"role": "system", "content": BACKGROUND * repeats},
        {"role": "user", "content": random.choice(QUESTIONS)},
    ]


def _silence(seconds: float) -> bytes:
    """A silent recording of this length."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8_000)
        sound.writeframes(bytes([128]) * round(8_000 * seconds))
    return memory.getvalue()
