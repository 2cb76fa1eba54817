"""All that is recorded about one person as a file of JSON Lines, streamed. Lines with a ``record`` come first and are
the rows that name the person. The others are the person's requests, as the export of events writes them."""

import json
from collections.abc import Generator

from django.core.serializers.json import DjangoJSONEncoder

from accounts.models import User
from accounts.viewer import Viewer
from analytics.export.export import JSONL
from analytics.personal import known
from analytics.reports import Log, first_day, today
from analytics.reports.selection import Selection


def always(own: Viewer) -> Selection:
    """All days on which a viewer may see something, until today."""
    until = today(own)
    return Selection(min(first_day(own) or until, until), until)


def personal_file(person: User, viewer: Viewer, *, is_self: bool) -> Generator[bytes, None, None]:
    """The chunks of the file, as far as the viewer sees what is recorded. There is a cost only for who may see it."""
    own = viewer.narrowed_to(person)
    for line in known.lines(person, viewer, is_self=is_self):
        yield json.dumps(line, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n"
    yield from JSONL.chunks(Log(own, always(own)))
