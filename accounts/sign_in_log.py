"""Who comes in, who goes and what fails, in the log ``usage.sign_in``. What somebody typed as a name is never logged:
it may be a password."""

import logging
from typing import Any

from django.contrib.auth import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.client_address import client_address
from accounts.models import User

logger = logging.getLogger("usage.sign_in")


@receiver(user_logged_in)
def came_in(request: HttpRequest, user: User, **_: Any) -> None:
    logger.info("%s signed in from %s.", user, client_address(request))


@receiver(user_logged_out)
def went(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        logger.info("%s signed out from %s.", user, client_address(request))


@receiver(user_login_failed)
def failed(request: HttpRequest | None, **_: Any) -> None:
    if request is not None:
        logger.warning("A name or password from %s was not right.", client_address(request))
