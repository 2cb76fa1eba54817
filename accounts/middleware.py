"""The answer of any page when somebody has to wait before signing in, or when no password can be hashed now."""

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from accounts.attempts import TooManyAttemptsError
from accounts.places import NoPlaceError
from accounts.views import busy, locked_out


class RefusalMiddleware(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, TooManyAttemptsError):
            return locked_out(request)
        if isinstance(exception, NoPlaceError):
            return busy(request)
        return None
