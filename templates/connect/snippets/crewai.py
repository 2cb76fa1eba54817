# python -m pip install crewai
from crewai import LLM

model = LLM(
    model="openai/{{ model }}",
    base_url="{{ address }}/openai/v1",
    api_key="{{ key }}",
)
print(model.call("Name three rivers."))
