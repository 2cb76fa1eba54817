# python -m pip install "pydantic-ai-slim[groq]"
from pydantic_ai import Agent
from pydantic_ai.models.groq import GroqModel
from pydantic_ai.providers.groq import GroqProvider

provider = GroqProvider(
    base_url="{{ address }}",
    api_key="{{ key }}",
)
agent = Agent(GroqModel("{{ model }}", provider=provider))
print(agent.run_sync("Name three rivers.").output)
