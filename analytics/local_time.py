"""Moments as the people of an organization read them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo

from analytics import figures


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A moment on the calendar and the clock of one place, and in UTC to the microsecond."""

    day: str
    time: str
    zone: str
    utc: str

    @classmethod
    def of(cls, moment: datetime, time_zone: str) -> Self:
        local = moment.astimezone(ZoneInfo(time_zone))
        name = local.tzname() or ""
        zone = name if name.isalpha() else f"UTC{name}"  # many places have no letters for theirs
        utc = moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return cls(figures.day(local.date()), f"{local:%H:%M:%S}", zone, utc)

    def __str__(self) -> str:
        return f"{self.day}, {self.time} {self.zone}"
