# python -m pip install litellm
# Your calls go straight to Groq; LiteLLM tells the ledger of them afterwards. The key needs the scope ingest.
import asyncio

import httpx
import litellm
from litellm.integrations.custom_logger import CustomLogger


class Ledger(CustomLogger):
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        told = kwargs["standard_logging_object"]
        event = {
            "request_id": told["litellm_call_id"],
            "response_id": getattr(response_obj, "id", ""),
            "timestamp": start_time.astimezone().isoformat(),
            "provider": told["custom_llm_provider"],
            "model": told["model"],
            "stream": bool(told["stream"]),
            "status": "error" if told["error_str"] else "success",
            "input_tokens": told["prompt_tokens"],
            "output_tokens": told["completion_tokens"],
            "latency_ms": round(told["response_time"] * 1000),
            "user": kwargs.get("user") or "",
        }
        headers = {"Authorization": "Bearer {{ key }}"}
        httpx.post("{{ address }}/api/v1/events", json=event, headers=headers).raise_for_status()

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        await asyncio.to_thread(self.log_success_event, kwargs, response_obj, start_time, end_time)

    log_failure_event = log_success_event
    async_log_failure_event = async_log_success_event


litellm.callbacks = [Ledger()]
answer = litellm.completion(
    model="groq/{{ model }}",
    messages=[{"role": "user", "content": "Name three rivers."}],
)
print(answer.choices[0].message.content)
