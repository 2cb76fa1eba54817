"""Explains failed calls to the person who asked."""

from dataclasses import dataclass

from django.conf import settings
from groq import APIError, APIStatusError

from accounts.places import NoPlaceError
from groq_client import errors

UNKNOWN = "The call failed."
OF_STATUS = {
    401: "Groq did not accept this server's key. Tell the person who runs this server.",
    403: "This server's key may not do that. Tell the person who runs this server.",
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
TOO_MANY_AT_ONCE = "As many messages as may be are on their way already. Wait for an answer, then send again."
OF_GROQ = "Groq has a problem at the moment. Try again later."
IN_A_STREAM = "Groq reported an error in the middle of its answer."


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call. ``code`` is the recorded error code; ``details`` is Groq's own message without keys."""

    message: str
    code: str
    details: str


def explain(error: Exception) -> Failure:
    code = errors.code_of(error)
    return Failure(_message(error, code), code, errors.message_of(error, None, settings.GROQ_API_KEY))


def _message(error: Exception, code: str) -> str:
    if isinstance(error, NoPlaceError):
        return TOO_MANY_AT_ONCE
    if isinstance(error, APIStatusError):
        return OF_STATUS.get(error.status_code) or (OF_GROQ if error.status_code >= 500 else UNKNOWN)
    return OF_CODE.get(code) or (IN_A_STREAM if isinstance(error, APIError) else UNKNOWN)
