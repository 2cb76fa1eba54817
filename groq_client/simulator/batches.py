"""``/openai/v1/files`` and ``/openai/v1/batches``, kept in memory. A new batch is complete at once."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from groq_client.simulator.answers import answer_chat, read_chat
from groq_client.simulator.catalogue import spec_for
from groq_client.simulator.errors import GroqError, invalid, model_not_found
from groq_client.simulator.exchange import Exchange
from groq_client.simulator.faults import UnknownFaultError, split_model
from groq_client.simulator.payloads import Envelope, completion_json
from groq_client.simulator.wire import Json, dumps, new_groq_id

_MOST_FILES = 100
_DAY = 86_400

Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file, or the results of a batch."""

    name: str
    purpose: str
    content: bytes
    id: str = field(default_factory=lambda: new_groq_id().replace("req_", "file_"))
    created: int = field(default_factory=lambda: int(time.time()))

    def json(self) -> Json:
        """The file's description, without its content."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
        }


class BatchStore:
    """The files and batches of one simulator. The oldest are dropped when there are too many."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}
        self._batches: dict[str, Json] = {}

    def routes(self, prefix: str) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of every endpoint."""
        return [
            ("GET", f"{prefix}/files", self._list_files),
            ("POST", f"{prefix}/files", self._upload),
            ("GET", f"{prefix}/files/{{id}}", self._show_file),
            ("DELETE", f"{prefix}/files/{{id}}", self._delete_file),
            ("GET", f"{prefix}/files/{{id}}/content", self._content),
            ("GET", f"{prefix}/batches", self._list_batches),
            ("POST", f"{prefix}/batches", self._create_batch),
            ("GET", f"{prefix}/batches/{{id}}", self._show_batch),
            ("POST", f"{prefix}/batches/{{id}}/cancel", self._show_batch),
        ]

    async def _list_files(self, exchange: Exchange) -> web.StreamResponse:
        files = [file.json() for file in self._files.values()]
        return await exchange.send_json(dumps({"object": "list", "data": files}))

    async def _upload(self, exchange: Exchange) -> web.StreamResponse:
        upload = exchange.incoming.uploads.get("file")
        if upload is None:
            raise invalid("'file' : property 'file' is missing", param="file")
        file = StoredFile(upload.name, str(exchange.incoming.body.get("purpose", "batch")), upload.content.read())
        return await exchange.send_json(dumps(self._keep(file).json()))

    async def _show_file(self, exchange: Exchange) -> web.StreamResponse:
        return await exchange.send_json(dumps(self._file(exchange).json()))

    async def _delete_file(self, exchange: Exchange) -> web.StreamResponse:
        file = self._files.pop(self._file(exchange).id)
        return await exchange.send_json(dumps({"id": file.id, "object": "file", "deleted": True}))

    async def _content(self, exchange: Exchange) -> web.StreamResponse:
        return await exchange.send(self._file(exchange).content, "application/jsonl")

    async def _list_batches(self, exchange: Exchange) -> web.StreamResponse:
        return await exchange.send_json(dumps({"object": "list", "data": list(self._batches.values())}))

    async def _show_batch(self, exchange: Exchange) -> web.StreamResponse:
        batch = self._batches.get(exchange.incoming.http.match_info["id"])
        if batch is None:
            raise _not_found("batch")
        return await exchange.send_json(dumps(batch))

    async def _create_batch(self, exchange: Exchange) -> web.StreamResponse:
        source = self._files.get(str(exchange.incoming.body.get("input_file_id")))
        if source is None:
            raise invalid("'input_file_id' : no such file", param="input_file_id")
        # A batch may have hundreds of prompts to count, which would block the event loop.
        results = await asyncio.to_thread(
            lambda: [_result(line) for line in source.content.splitlines() if line.strip()]
        )
        output = self._keep(StoredFile("output.jsonl", "batch_output", b"".join(dumps(r) + b"\n" for r in results)))
        batch = _batch_json(exchange.incoming.body, source, output, results)
        self._batches[batch["id"]] = batch
        _forget_oldest(self._batches)
        return await exchange.send_json(dumps(batch))

    def _keep(self, file: StoredFile) -> StoredFile:
        self._files[file.id] = file
        _forget_oldest(self._files)
        return file

    def _file(self, exchange: Exchange) -> StoredFile:
        file = self._files.get(exchange.incoming.http.match_info["id"])
        if file is None:
            raise _not_found("file")
        return file


def _forget_oldest(items: dict[str, StoredFile] | dict[str, Json]) -> None:
    while len(items) > _MOST_FILES:
        del items[next(iter(items))]


def _not_found(what: str) -> GroqError:
    return GroqError(404, f"No such {what}.", code="not_found")


def _batch_json(asked: Json, source: StoredFile, output: StoredFile, results: list[Json]) -> Json:
    failed = sum(result["response"]["status_code"] != 200 for result in results)
    now = int(time.time())
    return {
        "id": new_groq_id().replace("req_", "batch_"),
        "object": "batch",
        "endpoint": asked.get("endpoint", "/v1/chat/completions"),
        "errors": None,
        "input_file_id": source.id,
        "completion_window": asked.get("completion_window", "24h"),
        "status": "completed",
        "output_file_id": output.id,
        "error_file_id": None,
        "created_at": now,
        "in_progress_at": now,
        "finalizing_at": now,
        "completed_at": now,
        "expires_at": now + _DAY,
        "request_counts": {"total": len(results), "completed": len(results) - failed, "failed": failed},
        "metadata": asked.get("metadata"),
    }


def _result(line: bytes) -> Json:
    """One line of the results, with the endpoint's answer to one line of the input."""
    groq_id = new_groq_id()
    custom_id = ""
    try:
        custom_id, body = _batch_line(line)
        response: Json = {"status_code": 200, "body": _completion(body, groq_id)}
    except GroqError as error:
        response = {"status_code": error.status, "body": error.body()}
    response["request_id"] = groq_id
    return {"id": groq_id.replace("req_", "batch_req_"), "custom_id": custom_id, "response": response, "error": None}


def _batch_line(line: bytes) -> tuple[str, Json]:
    try:
        parsed = json.loads(line)
        return str(parsed["custom_id"]), dict(parsed["body"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise invalid("The line must have a custom_id and a body.") from None


def _completion(body: Json, groq_id: str) -> Json:
    try:
        fault, model = split_model(str(body.get("model")))
    except UnknownFaultError as error:
        raise invalid(str(error)) from None
    spec = spec_for(model, "chat")
    if spec is None or spec.kind != "chat":
        raise model_not_found(model)
    asked = read_chat(body, spec, model)
    return completion_json(asked, answer_chat(asked), Envelope(groq_id, model, fault.name))
