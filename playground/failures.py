"""What went wrong with a call, in words for who asked."""

from dataclasses import dataclass

from django.conf import settings
from groq import APIError, APIStatusError

from groq_client import errors

UNKNOWN = "The call failed."
OF_STATUS = {
    401: "Groq did not accept this server's key. Tell whoever runs it.",
    403: "This server's key may not do that. Tell whoever runs it.",
    404: "Groq does not know this model, or this server's key may not use it.",
    413: "The conversation is too long for this model. Begin a new one.",
    429: "Groq's rate limit is reached. Wait a moment, then send again.",
}
OF_CODE = {
    errors.TIMEOUT: "Groq did not answer in time.",
    errors.CONNECTION_ERROR: "The connection to Groq failed.",
    errors.INVALID_RESPONSE: "Groq's answer could not be read.",
    errors.REFUSED: "The call was refused before it was sent.",
}
OF_GROQ = "Groq has a problem at the moment. Try again later."
IN_A_STREAM = "Groq reported an error in the middle of its answer."


@dataclass(frozen=True, slots=True)
class Failure:
    """``code`` is the one that is recorded, ``details`` are Groq's own words without keys."""

    message: str
    code: str
    details: str


def explain(error: Exception) -> Failure:
    code = errors.code_of(error)
    return Failure(_message(error, code), code, errors.message_of(error, None, settings.GROQ_API_KEY))


def _message(error: Exception, code: str) -> str:
    if isinstance(error, APIStatusError):
        return OF_STATUS.get(error.status_code) or (OF_GROQ if error.status_code >= 500 else UNKNOWN)
    return OF_CODE.get(code) or (IN_A_STREAM if isinstance(error, APIError) else UNKNOWN)
