# Groq's SDKs, LangChain's and many others read these two:
export GROQ_BASE_URL="{{ address }}"
export GROQ_API_KEY="{{ key }}"
# OpenAI's SDKs, and what is made for them, these two:
export OPENAI_BASE_URL="{{ address }}/openai/v1"
export OPENAI_API_KEY="{{ key }}"

# To try it (python3 -m pip install groq):
python3 -c '
from groq import Groq
asked = [{"role": "user", "content": "Name three rivers."}]
answer = Groq().chat.completions.create(model="{{ model }}", messages=asked)
print(answer.choices[0].message.content)'
