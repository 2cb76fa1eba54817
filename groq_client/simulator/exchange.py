"""One request and its answer: the model, the fault, the headers, and the ways to answer."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from groq_client.simulator.catalogue import Kind, ModelSpec, spec_for
from groq_client.simulator.errors import GroqError, invalid, midstream, model_not_found, rate_limited, scripted_error
from groq_client.simulator.faults import UNKNOWN_MODEL, Fault, UnknownFaultError, parse_fault, split_model
from groq_client.simulator.incoming import Incoming
from groq_client.simulator.limits import RateLimits
from groq_client.simulator.outgoing import cut_connection
from groq_client.simulator.pace import Pace
from groq_client.simulator.wire import dumps, new_groq_id

FOREVER = 3600.0
"""Seconds for which a call with the fault of a time-out is held; every client gives up before."""
_SLOW_FIRST_BYTE = 2.0
_HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"


@dataclass(slots=True)
class Exchange:
    """A request that is being answered."""

    incoming: Incoming
    pace: Pace
    limits: RateLimits
    spec: ModelSpec
    model: str
    fault: Fault
    groq_id: str = field(default_factory=new_groq_id)
    rate_headers: dict[str, str] = field(default_factory=dict)

    @property
    def answered_model(self) -> str:
        """The model that the answer names."""
        return UNKNOWN_MODEL if self.fault.name == "unknown-model-answer" else self.model

    def count(self, tokens: int) -> None:
        """Count the request and its tokens against the rate limits."""
        self.rate_headers = self.limits.count(self.spec, tokens)

    def headers(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """The headers of every answer."""
        if not self.rate_headers:
            self.count(0)
        return {"x-request-id": self.groq_id, "x-groq-region": "sim", **self.rate_headers, **(more or {})}

    async def play_fault(self) -> web.StreamResponse | None:
        """Play the part of a fault before the answer. Returns a response if the fault replaces the answer."""
        name, controls = self.fault.name, self.incoming.controls
        streamed = self.incoming.body.get("stream") is True
        if name == "retry-then-success" and self.incoming.record.attempt <= self.fault.count:
            raise rate_limited(self.model, controls.retry_after or "0.02")
        if name.startswith("error-midstream"):
            if not streamed:
                raise midstream()
        elif error := scripted_error(name, self.model, controls.retry_after):
            raise error
        await asyncio.sleep(self._delay())
        if name == "bad-json":
            return await self.send(_HTML, "text/html; charset=utf-8")
        return None

    def _delay(self) -> float:
        asked = self.incoming.controls.delay
        if asked is not None:
            return asked
        return {"timeout": FOREVER, "slow-first-byte": _SLOW_FIRST_BYTE}.get(self.fault.name, 0)

    async def send_json(self, body: bytes) -> web.StreamResponse:
        """Answer with JSON, or with half of the JSON if the fault asks for that."""
        if self.fault.name == "truncated-json":
            body = body[: len(body) // 2]
        return await self.send(body, "application/json")

    async def send(self, body: bytes, content_type: str) -> web.StreamResponse:
        """Answer with ``body``, and break off in the middle if the fault asks for that."""
        headers = self.headers({"content-type": content_type})
        if self.fault.name != "cut":
            response = web.Response(body=body, headers=headers)
            await response.prepare(self.incoming.http)
            await response.write_eof()
            return response
        headers["content-length"] = str(len(body))
        stream = web.StreamResponse(headers=headers)
        await stream.prepare(self.incoming.http)
        await stream.write(body[: len(body) // 2])
        await cut_connection(self.incoming.http)
        return stream

    async def send_error(self, error: GroqError) -> web.StreamResponse:
        """Answer with an error and the rate-limit headers."""
        more = {"content-type": "application/json"}
        if error.retry_after:
            more["retry-after"] = error.retry_after
        if error.status == 429:
            more |= {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": f"{error.retry_after}s"}
        response = web.Response(status=error.status, body=dumps(error.body()), headers=self.headers(more))
        await response.prepare(self.incoming.http)
        await response.write_eof()
        return response


def open_exchange(incoming: Incoming, pace: Pace, limits: RateLimits, kind: Kind) -> Exchange:
    """Find the model and the fault of a request. Raises :class:`GroqError` for a model of another kind of call."""
    asked = incoming.body.get("model")
    if not isinstance(asked, str) or not asked:
        raise invalid("'model' : property 'model' is missing", param="model")
    try:
        fault, model = split_model(asked)
        if incoming.controls.fault:
            fault = parse_fault(incoming.controls.fault)
    except UnknownFaultError as error:
        raise invalid(str(error), code="unknown_fault") from None
    spec = spec_for(model, kind)
    if spec is None:
        raise model_not_found(model)
    if spec.kind != kind:
        raise invalid(f"The model `{model}` does not support this kind of request ({kind}).", param="model")
    return Exchange(incoming, pace, limits, spec, model, fault)
