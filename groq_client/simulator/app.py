"""The HTTP application: its routes, its check of keys, and the handling that all requests share."""

import math
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import web

from groq_client.simulator.audio import speech, transcription
from groq_client.simulator.batches import BatchStore
from groq_client.simulator.catalogue import CATALOGUE, Kind, ModelSpec
from groq_client.simulator.chat import chat
from groq_client.simulator.embeddings import embeddings
from groq_client.simulator.errors import GroqError, invalid_key, model_not_found, unknown_url
from groq_client.simulator.exchange import Exchange, open_exchange
from groq_client.simulator.faults import NO_FAULT
from groq_client.simulator.incoming import Controls, Incoming, ReceivedRequest, read
from groq_client.simulator.limits import RateLimits
from groq_client.simulator.pace import Pace
from groq_client.simulator.responses import responses
from groq_client.simulator.wire import Json, dumps

PREFIX = "/openai/v1"
_LARGEST_BODY = 200 * 1024 * 1024
_CREATED = 1_748_000_000
_NO_MODEL = ModelSpec("", "Simulator")

Endpoint = Callable[[Exchange], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ENDPOINTS: tuple[tuple[str, Endpoint, Kind], ...] = (
    ("/chat/completions", chat, "chat"),
    ("/responses", responses, "chat"),
    ("/audio/transcriptions", transcription, "transcription"),
    ("/audio/translations", transcription, "transcription"),
    ("/audio/speech", speech, "speech"),
    ("/embeddings", embeddings, "embedding"),
)


class Simulator:
    """The simulator's state: its speed, its limits and the requests it received.

    ``speed`` divides every time (``inf``: no sleeping). The last ``keep`` requests are kept for tests.
    """

    def __init__(self, speed: float = 1.0, keep: int = 0) -> None:
        if math.isnan(speed) or speed <= 0:
            raise ValueError("The speed must be greater than 0.")
        self.pace = Pace(speed)
        self.limits = RateLimits()
        self.requests: deque[ReceivedRequest] = deque(maxlen=keep)

    def application(self) -> web.Application:
        """The aiohttp application to serve."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        for path, endpoint, kind in _ENDPOINTS:
            app.router.add_post(PREFIX + path, self._handler(endpoint, kind))
        for method, path, plain in BatchStore().routes(PREFIX):
            app.router.add_route(method, path, self._handler(plain))
        app.router.add_get(f"{PREFIX}/models", self._handler(_list_models))
        app.router.add_get(f"{PREFIX}/models/{{model:.+}}", self._handler(_one_model))
        app.router.add_route("*", "/{path:.*}", self._handler(_nowhere))
        return app

    def _handler(self, endpoint: Endpoint, kind: Kind | None = None) -> Handler:
        """The handler of a route. Requests to an endpoint with a ``kind`` name a model, and perhaps a fault with it."""

        async def handle(http: web.Request) -> web.StreamResponse:
            exchange = self._unopened(http)
            try:
                exchange.incoming = await read(http, self.requests)
                _check_key(http)
                if kind is not None:
                    exchange = open_exchange(exchange.incoming, self.pace, self.limits, kind)
                response = await exchange.play_fault() or await endpoint(exchange)
            except GroqError as error:
                response = await exchange.send_error(error)
            exchange.incoming.record.completed = True
            return response

        return handle

    def _unopened(self, http: web.Request) -> Exchange:
        """An exchange for a request that is not read yet, which is enough to refuse it."""
        incoming = Incoming(http, ReceivedRequest(http.method, http.path, {}, 1), Controls(), {}, {})
        return Exchange(incoming, self.pace, self.limits, _NO_MODEL, "", NO_FAULT)


def _check_key(http: web.Request) -> None:
    scheme, _, key = http.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise invalid_key()


def _model_json(spec: ModelSpec) -> Json:
    return {
        "id": spec.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": spec.owned_by,
        "active": True,
        "context_window": spec.context_window,
        "public_apps": None,
        "max_completion_tokens": spec.max_completion_tokens,
    }


async def _list_models(exchange: Exchange) -> web.StreamResponse:
    models = [_model_json(spec) for spec in CATALOGUE.values()]
    return await exchange.send_json(dumps({"object": "list", "data": models}))


async def _one_model(exchange: Exchange) -> web.StreamResponse:
    name = exchange.incoming.http.match_info["model"]
    if name not in CATALOGUE:
        raise model_not_found(name)
    return await exchange.send_json(dumps(_model_json(CATALOGUE[name])))


async def _nowhere(exchange: Exchange) -> web.StreamResponse:
    raise unknown_url(exchange.incoming.http.method, exchange.incoming.http.path)
