# python -m pip install instructor groq
import instructor
from groq import Groq
from pydantic import BaseModel


class River(BaseModel):
    name: str
    kilometers: int


client = instructor.from_groq(
    Groq(
        base_url="{{ address }}",
        api_key="{{ key }}",
    ),
    model="{{ model }}",
)
river = client.create(
    response_model=River,
    messages=[{"role": "user", "content": "Name a river."}],
)
print(river.model_dump_json())
