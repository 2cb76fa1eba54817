"""What is known of the request that is being answered, for the log and for traces; also in threads of the request."""

import secrets
from contextvars import ContextVar, Token
from dataclasses import dataclass, field


@dataclass(slots=True)
class CurrentRequest:
    """``key_id`` and ``organization`` are known once the caller is: the id of the key and the organization's slug."""

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    route: str = ""
    """The pattern of the address, which has no ids and no query."""
    key_id: int | None = None
    organization: str = ""


_current: ContextVar[CurrentRequest | None] = ContextVar("current_request", default=None)


def current_request() -> CurrentRequest | None:
    """The request that is being answered; None outside of requests."""
    return _current.get()


def begin(request: CurrentRequest) -> Token[CurrentRequest | None]:
    """Make this the current request, until ``end``."""
    return _current.set(request)


def end(token: Token[CurrentRequest | None]) -> None:
    _current.reset(token)


def note_caller(organization: str, key_id: int | None = None) -> None:
    """Tell who has sent the current request, if there is one."""
    if (request := _current.get()) is not None:
        request.organization, request.key_id = organization, key_id


def note_route(route: str) -> None:
    """Tell the route of the current request, if there is one."""
    if (request := _current.get()) is not None:
        request.route = route
