"""A ledger's door for events, ``POST /api/v1/events``, as the destination of calls."""

import gzip
import itertools
import json
import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from groq_client.call import Call
from groq_client.event import event_line
from groq_client.journal.destination import Outcome
from groq_client.journal.set_aside import append_line

logger = logging.getLogger("groq_client")

PATH = "/api/v1/events"
REJECTS = "rejects.jsonl"
"""The file beside the journals with the events that the ledger refuses, one in each line with the reason."""
MAX_REJECTS_BYTES = 10_000_000
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0
MAX_KINDS = 100
"""At most this many kinds of refused events are logged."""
TAKEN, TOO_LARGE, UNREADABLE = (200, 207, 422), 413, 400
REFUSED = ("conflict", "error")
NO_KEY, NO_DOOR = (401, 403), (404, 405)


class EventsDoor:
    """Sends calls to the ledger at ``url`` in batches. Only the writer's thread uses it.

    While the ledger is away, the pauses between tries grow from half a second to a minute, or are as long as the ledger
    asks for. Events that the ledger refuses are kept in a file of ``directory``.
    """

    linger_seconds = 0.25
    look_seconds = 60.0

    def __init__(self, url: str, key: str, directory: Path) -> None:
        self._url, self._key, self._directory = url, key, directory
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Begin without connections, since those that a forked child inherits are its parent's."""
        self._client: httpx.Client | None = None
        self._failures = 0
        self._try_again_at = 0.0
        self._trouble = ""
        """The kind of the trouble that was logged last, and is not over."""
        self._refusals: set[tuple[str, str]] = set()
        self._losses = itertools.count(1)
        self.lost = 0
        """The number of calls of this process for which there was no room."""

    @property
    def is_away(self) -> bool:
        return time.monotonic() < self._try_again_at

    def settle(self, calls: Sequence[Call]) -> Outcome:
        """Send calls. They are left while the ledger is away, or takes no calls with this key."""
        if not calls or self.is_away:
            return Outcome(left=calls)
        try:
            lines = [event_line(call) for call in calls]
        except Exception as error:  # one of the calls holds something that is no JSON
            return self._settle_halves(calls, f"It cannot be sent: {error!r}")
        try:
            response = self._post("\n".join(lines))
        except Exception as error:  # httpx, TLS and proxies have many kinds
            self._wait(type(error).__name__, f"cannot be reached ({type(error).__name__}: {error})")
            return Outcome(left=calls)
        if response.status_code == TOO_LARGE or (response.status_code == UNREADABLE and _detail(response)):
            return self._settle_halves(calls, _detail(response) or "It is too large.")
        results = _results(response, len(calls))
        if results is None:
            self._wait(str(response.status_code), _trouble(response), _retry_after(response))
            return Outcome(left=calls)
        self._note_arrival()
        for call, result in zip(calls, results, strict=True):
            if result.get("status") in REFUSED:
                self._refused(call, result)
        return Outcome()

    def _settle_halves(self, calls: Sequence[Call], why: str) -> Outcome:
        """Settle calls that cannot be sent together. One that cannot be sent alone either is refused."""
        if len(calls) == 1:
            self._refused(calls[0], {"status": "error", "message": why})
            return Outcome()
        half = len(calls) // 2
        first = self.settle(calls[:half])
        if first.left:
            return Outcome(left=[*first.left, *calls[half:]])
        return self.settle(calls[half:])

    def _post(self, lines: str) -> httpx.Response:
        if self._client is None:
            self._client = httpx.Client(timeout=TIMEOUT)
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "User-Agent": "groq_client",
        }
        body = gzip.compress(lines.encode(), compresslevel=1)
        return self._client.post(f"{self._url}{PATH}", content=body, headers=headers)

    def _wait(self, kind: str, trouble: str, retry_after: float = 0.0) -> None:
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 20), LONGEST_PAUSE_SECONDS)
        self._failures += 1
        self._try_again_at = time.monotonic() + max(pause * random.uniform(0.5, 1.0), retry_after)
        if kind != self._trouble:
            self._trouble = kind
            logger.warning(
                "groq_client: the ledger at %s %s. Calls wait in %s and are sent later.",
                self._url,
                trouble,
                self._directory,
            )

    def _note_arrival(self) -> None:
        if self._trouble:
            logger.warning("groq_client: the ledger at %s takes calls again.", self._url)
        self._failures, self._trouble = 0, ""

    def _refused(self, call: Call, result: Mapping[str, Any]) -> None:
        """Keep an event that the ledger refuses. The first of each kind is logged."""
        message = str(result.get("message", ""))
        kind = str(result.get("status")), str(result.get("field", ""))
        if kind not in self._refusals and len(self._refusals) < MAX_KINDS:
            self._refusals.add(kind)
            logger.error(
                "groq_client: the ledger refuses the call %s: %s It is kept in %s, and so are others of this kind.",
                call.request_id,
                message,
                self._directory / REJECTS,
            )
        try:
            self.set_aside(json.dumps({"reason": message, "event": _shown(call)}))
        except OSError as error:
            self.lose(call, f"is lost: {error}")

    def set_aside(self, line: str) -> None:
        append_line(self._directory / REJECTS, line, MAX_REJECTS_BYTES)

    def replayed(self, number: int) -> None:
        """The ledger counts the replays of its own machines only."""

    def lose(self, call: Call, why: str) -> None:
        """Count a lost call. Only the first is logged, since many may follow."""
        self.lost = number = next(self._losses)  # callers in several threads may come here
        if number == 1:
            logger.error("groq_client: the call %s %s. Calls after it may be lost too.", call.request_id, why)


def _shown(call: Call) -> Any:
    """The event of the call, or only its request id if the call cannot be written."""
    try:
        return json.loads(event_line(call))
    except Exception:
        return {"request_id": str(call.request_id)}


def _results(response: httpx.Response, number: int) -> list[dict[str, Any]] | None:
    """What became of each event; None if this is no answer of a ledger's door."""
    if response.status_code not in TAKEN:
        return None
    results = _json(response).get("results")
    is_whole = isinstance(results, list) and len(results) == number and all(isinstance(one, dict) for one in results)
    return results if is_whole else None


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _detail(response: httpx.Response) -> str:
    """The reason that the ledger gives for an answer; "" if the answer is not the ledger's."""
    return str(_json(response).get("detail", ""))[:300]


def _trouble(response: httpx.Response) -> str:
    status, detail = response.status_code, _detail(response)
    if status in NO_KEY:
        advice = "Give this program a key of the ledger with the scope 'ingest', and this directory"
        return f"refuses the key: {status} {detail} {advice}"
    if response.has_redirect_location:
        return f"sends elsewhere, to {response.headers['location']}: give that address"
    if status in NO_DOOR or status in TAKEN:
        return f"has no {PATH} ({status}): check the address"
    return f"takes no calls now: {status} {detail}".rstrip()


def _retry_after(response: httpx.Response) -> float:
    """The seconds for which the server asks to wait; 0 if it does not ask."""
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):  # TypeError: a date without a time zone
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
