"""Moments in the time zone of an organization, as text."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo

from analytics.display import figures


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A moment as local day, local time and name of the zone, and in UTC to the microsecond (ISO 8601)."""

    day: str
    time: str
    zone: str
    utc: str

    @classmethod
    def of(cls, moment: datetime, time_zone: str) -> Self:
        local = moment.astimezone(ZoneInfo(time_zone))
        name = local.tzname() or ""
        zone = name if name.isalpha() else f"UTC{name}"  # Many zones have no abbreviation, only an offset.
        utc = moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return cls(figures.day(local.date()), f"{local:%H:%M:%S}", zone, utc)

    def __str__(self) -> str:
        return f"{self.day}, {self.time} {self.zone}"
