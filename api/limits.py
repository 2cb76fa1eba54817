"""How often one person or one key may ask in a minute. Each process of the server counts for itself."""

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.rate import Rate
from api.access import caller_of

PER_MINUTE = Rate(settings.API_REQUESTS_PER_MINUTE)


class PerMinute(BaseThrottle):
    """Lets at most ``API_REQUESTS_PER_MINUTE`` requests through, and says in headers how many are left."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        left = PER_MINUTE.left(caller_of(request))
        request.limit_headers = {  # type: ignore[attr-defined]
            "RateLimit-Limit": str(settings.API_REQUESTS_PER_MINUTE),
            "RateLimit-Remaining": str(max(0, left)),
            "RateLimit-Reset": str(PER_MINUTE.seconds_left()),
        }
        return left >= 0

    def wait(self) -> float:
        return PER_MINUTE.seconds_left()
