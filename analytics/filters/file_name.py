"""The name of a file with what the filters choose."""

import re

from analytics.filters.facets import FACETS
from analytics.filters.filters import UNPRICED, Filters

MAX_FILE_NAME = 150


def file_name(filters: Filters) -> str:
    """A name with the days and filters of the file: ``usage_2026-10-24_2026-11-22_model-openai-gpt-oss-120b``."""
    days = f"usage_{filters.selection.first_day}_{filters.selection.last_day}"
    chosen = [
        "-".join([facet.name, *map(_as_file_name, filters.texts(facet))])
        for facet in FACETS
        if facet.name in {name for name, _ in filters.query.pairs}
    ]
    return "_".join([days, *chosen, *([UNPRICED] if filters.only_unpriced else [])])[:MAX_FILE_NAME].rstrip("_-")


def _as_file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+|\.{2,}", "-", text.lower()).strip("-.")
