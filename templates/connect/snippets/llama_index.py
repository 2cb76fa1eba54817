# python -m pip install llama-index-llms-groq
from llama_index.llms.groq import Groq

model = Groq(
    model="{{ model }}",
    api_base="{{ address }}/openai/v1",
    api_key="{{ key }}",
)
print(model.complete("Name three rivers."))
