"""Calls of one library: ``python -P calling.py SNIPPET USES ADDRESS KEY MODEL``, in the environment var/clients.

Runs the program SNIPPET as it is, and then the other uses of the library that are in the file USES. Prints, as JSON,
the text that each of them was given. That of the snippet, whose calls name no feature, is under "chat".
"""

import io
import json
import runpy
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout


def headers(use: str) -> dict[str, str]:
    """Who a call is for, and by which of the uses it was made."""
    return {"X-Usage-User": "ann", "X-Usage-Feature": use}


def texts() -> Iterator[tuple[str, str]]:
    _, snippet, uses, address, key, model = sys.argv
    with redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(snippet, run_name="__main__")
    yield "chat", printed.getvalue().rstrip("\n")
    for use, function in runpy.run_path(uses)["USES"].items():
        yield use, function(address, key, model, headers(use))


if __name__ == "__main__":
    said = dict(texts())
    print("\n" + json.dumps(said))  # noqa: T201 - on a line of its own, after whatever the library has printed
