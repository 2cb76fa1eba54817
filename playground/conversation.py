"""A conversation as the page keeps it. The server stores no prompt and no answer: they travel with every message."""

import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any, Self

from groq.types.chat import ChatCompletionMessageParam

MAX_TURNS = 20
"""So many of the last messages go along with a new one."""
MAX_MESSAGE_LENGTH = 8_000
MAX_TURN_LENGTH = 50_000
MAX_HISTORY_LENGTH = 400_000
"""Characters, of the JSON that holds it all."""

ROLES = ("user", "assistant")
_SESSION = re.compile(r"playground-[0-9a-f]{32}")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. ``request_id`` is that of the call that an answer came from."""

    role: str
    content: str
    request_id: str = ""

    @classmethod
    def read(cls, value: Any) -> Self:
        """ValueError for what is no turn, or holds what cannot be sent (lone surrogates)."""
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
    """The last turns of a conversation from the page's JSON. ValueError if it is none."""
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
    """The name of a conversation. Not to be guessed, so that nobody writes into another person's."""
    return f"playground-{secrets.token_hex(16)}"


def is_session(text: str) -> bool:
    return _SESSION.fullmatch(text) is not None
