"""How often one person or one key may ask in a minute. Each process of the server counts for itself."""

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.rate import Rate
from api.access import caller_of

PER_MINUTE = Rate(settings.API_REQUESTS_PER_MINUTE)
HEADERS = "_limit_headers"
"""The name of a request's attribute with the headers that say how many requests are left."""


class PerMinute(BaseThrottle):
    """Lets at most ``API_REQUESTS_PER_MINUTE`` requests of one caller through."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        left = PER_MINUTE.left(caller_of(request))
        headers = {
            "RateLimit-Limit": str(PER_MINUTE.most),
            "RateLimit-Remaining": str(max(0, left)),
            "RateLimit-Reset": str(PER_MINUTE.seconds_left()),
        }
        setattr(request, HEADERS, headers)
        return left >= 0

    def wait(self) -> float:
        return PER_MINUTE.seconds_left()
