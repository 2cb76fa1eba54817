"""Calls of Groq's SDK under an instrumentation that exports by OTLP: ``python exporting.py NAME MODEL PROMPT``, in an
environment of its own. Groq's and the ledger's addresses come from the environment. Prints the ids of the answers as
JSON.
"""

import asyncio
import json
import sys
from contextlib import suppress

import groq
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_, NAME, MODEL, PROMPT = sys.argv
MESSAGES = [{"role": "user", "content": PROMPT}]


def instrument(name: str) -> None:
    if name == "openlit":
        import openlit

        openlit.init(application_name="shop", disable_metrics=True)
        return
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    if name == "openllmetry":
        from opentelemetry.instrumentation.groq import GroqInstrumentor
    else:
        from openinference.instrumentation.groq import GroqInstrumentor
    GroqInstrumentor().instrument()


async def one_async() -> str:
    async with groq.AsyncGroq(max_retries=0) as client:
        return (await client.chat.completions.create(model=MODEL, messages=MESSAGES)).id


def main() -> None:
    instrument(NAME)
    client = groq.Groq(max_retries=0)
    with trace.get_tracer("host").start_as_current_span("checkout"):  # a span that is no call
        whole = client.chat.completions.create(model=MODEL, messages=MESSAGES).id
    streamed = ""
    for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
        streamed = chunk.id
    with suppress(groq.APIStatusError):
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    print(json.dumps({"whole": whole, "streamed": streamed, "async": asyncio.run(one_async())}), flush=True)  # noqa: T201
    trace.get_tracer_provider().force_flush()


if __name__ == "__main__":
    main()
