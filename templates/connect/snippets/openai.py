# python -m pip install openai
from openai import OpenAI

client = OpenAI(
    base_url="{{ address }}/openai/v1",
    api_key="{{ key }}",
)
answer = client.chat.completions.create(
    model="{{ model }}",
    messages=[{"role": "user", "content": "Name three rivers."}],
)
print(answer.choices[0].message.content)
