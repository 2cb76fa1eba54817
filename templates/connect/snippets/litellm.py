# python -m pip install litellm
import litellm

answer = litellm.completion(
    model="groq/{{ model }}",
    api_base="{{ address }}/openai/v1",
    api_key="{{ key }}",
    messages=[{"role": "user", "content": "Name three rivers."}],
)
print(answer.choices[0].message.content)
