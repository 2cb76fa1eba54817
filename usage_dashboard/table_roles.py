"""The role of each part of a table, in so many words.

On a phone the style sheet shows the rows of tables in another form. Some browsers then forget that they are tables, and
a screen reader reads a heap of words. A ``role`` at each part prevents this. The roles are put in when a template is
compiled, so that no template has to name them and none can forget one.
"""

import re

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension

ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tfoot": "rowgroup", "tr": "row", "td": "cell"}
HEADS = {"col": "columnheader", "row": "rowheader"}
"""The role of a ``th`` by its ``scope``."""
PART = re.compile(r'<(table|thead|tbody|tfoot|tr|td|th)\b(?=(?:[^<>]*\bscope="(col|row))?)')


class TableRoles(Extension):
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        def with_role(part: re.Match[str]) -> str:
            tag, scope = part.groups()
            role = HEADS.get(scope) if tag == "th" else ROLES[tag]
            if role is None:
                raise TemplateSyntaxError('a <th> needs scope="col" or scope="row"', 1, name, filename)
            return f'{part[0]} role="{role}"'

        return PART.sub(with_role, source)
