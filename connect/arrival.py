"""What the page says of the call that has come."""

from dataclasses import dataclass
from typing import Self

from accounts.viewer import Viewer
from analytics.display import figures
from analytics.display.colors import color_of
from analytics.display.cost_badge import Badge, badge
from analytics.display.local_time import LocalTime
from groq_client import errors
from ledger.models import Status, UsageEvent

OF_STATUS = {
    400: "The request is not one that {provider} takes; its message says why.",
    401: "{provider} does not accept the key with which this server calls it. An Admin replaces it on the page Keys.",
    403: "The key with which this server calls {provider} may not do that. An Admin replaces it on the page Keys.",
    404: "{provider} does not know this model, or this server's key may not use it. Ask another model.",
    413: "The request is too long for this model. Send less, or ask another model.",
    422: "The request is not one that {provider} takes; its message says why.",
    429: "{provider}'s rate limit is reached. Wait a moment, then send it again.",
}
OF_CODE = {
    errors.TIMEOUT: "{provider} did not answer in time. Send it again.",
    errors.CONNECTION_ERROR: "{provider} was not reached. Check this server's way to it, then send it again.",
    errors.CANCELLED: "The program left before an answer came. Give it a longer time-out.",
    errors.INTERRUPTED: "The call was interrupted before it ended. Send it again.",
    errors.REFUSED: "The call was refused before it was sent; its message says why.",
}
OF_PROVIDER = "{provider} has a problem at the moment. Send it again later."
UNKNOWN = "Its page says more."


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call, as the page shows it. ``badge`` is None if the viewer may not see cost."""

    event: UsageEvent
    at: LocalTime
    color: int
    used: str
    badge: Badge | None

    @classmethod
    def of(cls, event: UsageEvent, viewer: Viewer, time_zone: str) -> Self:
        at = LocalTime.of(event.timestamp, time_zone)
        return cls(event, at, color_of(event.model), _used(event), badge(event) if viewer.sees_cost else None)

    @property
    def has_failed(self) -> bool:
        return self.event.status == Status.ERROR

    @property
    def failure(self) -> str:
        """The status and the code, such as "401 invalid_api_key"."""
        return " ".join(filter(None, [str(self.event.http_status or ""), self.event.error_code]))

    @property
    def advice(self) -> str:
        """What to do about a call that has failed."""
        status, code = self.event.http_status or 0, self.event.error_code
        text = OF_STATUS.get(status) or OF_CODE.get(code) or (OF_PROVIDER if status >= 500 else UNKNOWN)
        return text.format(provider="Groq" if self.event.provider == "groq" else self.event.provider)


def _used(event: UsageEvent) -> str:
    """The amount that a call used, such as "312 tokens" or "4.2 s of audio"."""
    about = "about " if event.tokens_estimated else ""
    if event.total_tokens or not (event.audio_seconds or event.characters):
        return f"{about}{figures.count(event.total_tokens)} token{'' if event.total_tokens == 1 else 's'}"
    if event.audio_seconds:
        return f"{about}{event.audio_seconds.normalize():f} s of audio"
    return f"{about}{figures.count(event.characters)} characters"
