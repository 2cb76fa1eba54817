# python -m pip install openai-agents
from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)  # traces would go to OpenAI
client = AsyncOpenAI(
    base_url="{{ address }}/openai/v1",
    api_key="{{ key }}",
)
model = OpenAIResponsesModel("{{ model }}", openai_client=client)
agent = Agent(name="Geographer", model=model)
print(Runner.run_sync(agent, "Name three rivers.").final_output)
