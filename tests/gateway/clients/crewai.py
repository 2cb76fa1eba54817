from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

ASKED = "What is the weather in Oslo?"


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def llm(address: str, key: str, model: str, headers: dict[str, str], **more: object) -> LLM:
    base_url = f"{address}/openai/v1"
    return LLM(model=f"openai/{model}", base_url=base_url, api_key=key, default_headers=headers, **more)


def stream(*place: object) -> str:
    return llm(*place, stream=True).call(ASKED)


def tools(*place: object) -> str:
    """Two calls of an agent in a crew: one that asks for the tool, and one with its result."""
    geographer = Agent(role="Geographer", goal="Know the weather", backstory="Lives in Oslo", llm=llm(*place))
    geographer.tools = [weather]
    task = Task(description=ASKED, expected_output="A sentence", agent=geographer)
    return Crew(agents=[geographer], tasks=[task]).kickoff().raw


USES = {"stream": stream, "tools": tools}
