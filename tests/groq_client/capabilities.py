"""What the SDK that the tests run on can do. Older ones cannot do all, see ``test_older_sdks.py``."""

import inspect

import groq
from groq._models import FinalRequestOptions

CAN = {
    "send bytes as they are": "content" in FinalRequestOptions.model_fields,
    "read headers from the environment": "GROQ_CUSTOM_HEADERS" in inspect.getsource(groq.Groq.__init__),
}
