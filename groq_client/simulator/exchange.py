"""One request and its answer: which model and which fault, the headers, and the ways to answer."""

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

_FOREVER = 3600.0
"""How long a call that times out is held; every client has given up by then."""
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
        """Count the request against the limits, once its tokens are known."""
        self.rate_headers = self.limits.count(self.spec, tokens)

    def headers(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """The headers of every answer."""
        if not self.rate_headers:
            self.count(0)
        return {"x-request-id": self.groq_id, "x-groq-region": "sim", **self.rate_headers, **(more or {})}

    async def play_fault(self) -> web.StreamResponse | None:
        """Do what the fault does before any answer: refuse, wait, or answer nonsense."""
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
        return {"timeout": _FOREVER, "slow-first-byte": _SLOW_FIRST_BYTE}.get(self.fault.name, 0)

    async def send_json(self, body: bytes) -> web.StreamResponse:
        """Answer with JSON, or with the half of it where the fault says so."""
        if self.fault.name == "truncated-json":
            body = body[: len(body) // 2]
        return await self.send(body, "application/json")

    async def send(self, body: bytes, content_type: str) -> web.StreamResponse:
        """Answer with these bytes, and break off in the middle if that is the fault."""
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
        """Answer with an error; the rate-limit headers are there as well."""
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
    """Find the model and the fault of a request; refuses a model that is not offered for this kind of call."""
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
