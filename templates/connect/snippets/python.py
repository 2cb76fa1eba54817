# python -m pip install groq
from groq import Groq

client = Groq(
    base_url="{{ address }}",
    api_key="{{ key }}",
)
answer = client.chat.completions.create(
    model="{{ model }}",
    messages=[{"role": "user", "content": "Name three rivers."}],
)
print(answer.choices[0].message.content)
