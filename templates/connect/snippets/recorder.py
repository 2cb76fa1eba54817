# python -m pip wheel --no-deps ./groq_client && python -m pip install groq_usage_client-*.whl
# Calls go straight to Groq, with your own GROQ_API_KEY, and what they used goes to the ledger.
from groq_client import Groq, connect

connect("{{ address }}", "{{ key }}")

client = Groq()
answer = client.chat.completions.create(
    model="{{ model }}",
    messages=[{"role": "user", "content": "Name three rivers."}],
)
print(answer.choices[0].message.content)
