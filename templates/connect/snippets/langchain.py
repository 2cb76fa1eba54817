# python -m pip install langchain-groq
from langchain_groq import ChatGroq

model = ChatGroq(
    model="{{ model }}",
    base_url="{{ address }}",
    api_key="{{ key }}",
)
print(model.invoke("Name three rivers.").content)
