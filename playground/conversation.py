"""A conversation, which the page sends with every message, because the server stores no prompts and answers."""

import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any, Self

from groq.types.chat import ChatCompletionMessageParam

MAX_TURNS = 20
"""At most this many of the last turns are sent with a new message."""
MAX_MESSAGE_LENGTH = 8_000
MAX_TURN_LENGTH = 50_000
MAX_HISTORY_LENGTH = 100_000
"""At most this many characters of JSON hold the conversation, which is about 25,000 tokens."""

ROLES = ("user", "assistant")
_SESSION = re.compile(r"playground-[0-9a-f]{32}")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation. ``request_id`` is the id of the call that an answer came from."""

    role: str
    content: str
    request_id: str = ""

    @classmethod
    def read(cls, value: Any) -> Self:
        """Reads a turn from JSON. Raises ValueError for a value that is no turn or has lone surrogates."""
        if not isinstance(value, dict) or value.get("role") not in ROLES:
            raise ValueError("not a turn")
        content, request_id = value.get("content"), value.get("request_id", "")
        if not isinstance(content, str) or not isinstance(request_id, str):
            raise ValueError("not a turn")
        content.encode()
        return cls(value["role"], content[:MAX_TURN_LENGTH], request_id if _REQUEST_ID.fullmatch(request_id) else "")

    @property
    def message(self) -> ChatCompletionMessageParam:
        if self.role == "user":
            return {"role": "user", "content": self.content}
        return {"role": "assistant", "content": self.content}


History = tuple[Turn, ...]


def read_history(text: str) -> History:
    """The last turns of a conversation in the page's JSON. Raises ValueError for other text."""
    try:
        turns = json.loads(text) if text else []
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(turns, list):
        raise ValueError("not a list")
    return tuple(Turn.read(turn) for turn in turns[-MAX_TURNS:])


def write_history(history: History) -> str:
    return json.dumps([asdict(turn) for turn in history[-MAX_TURNS:]], ensure_ascii=False)


def new_session() -> str:
    """A new id of a conversation. It cannot be guessed, so that nobody adds to another person's conversation."""
    return f"playground-{secrets.token_hex(16)}"


def is_session(text: str) -> bool:
    return _SESSION.fullmatch(text) is not None
