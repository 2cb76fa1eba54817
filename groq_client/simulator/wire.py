"""Small helpers for the protocol: JSON as bytes, and identifiers that look like Groq's."""

import json
import random
import time
from typing import Any

Json = dict[str, Any]
"""A JSON object of the protocol. A client may have sent values of any kind."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def dumps(value: object) -> bytes:
    """``value`` as compact JSON in UTF-8.

    Not-a-number becomes ``NaN``, because one fault sends that. Lone surrogates, which a client's model name may hold,
    become question marks.
    """
    return _ENCODER.encode(value).encode(errors="replace")


def new_groq_id() -> str:
    """A request id of ``req_01`` and 24 more characters, like the id that Groq's support asks for."""
    return f"req_{time.time_ns() // 1_000_000 << 56 | random.getrandbits(56):026x}"


def new_completion_id() -> str:
    """A completion id like ``chatcmpl-f51b2cd2-bef7-417e-964e-a08f0b513c22``."""
    digits = f"{random.getrandbits(128):032x}"
    return f"chatcmpl-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_call_id() -> str:
    """A new id for a tool call."""
    return f"call_{random.getrandbits(96):024x}"
