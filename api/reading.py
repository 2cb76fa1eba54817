"""The frame of every view that reads: who asks, how often, in one snapshot of the ledger, and an ETag."""

from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.viewer import Viewer
from analytics.reports import snapshot
from api.access import AUTHENTICATION, MayRead, viewer_of
from api.limits import PerMinute


@method_decorator(conditional_page, name="dispatch")
class Reading(APIView):
    """A view that reads. A subclass has ``read``, which returns what the answer says. The ETag is that of the answer's
    bytes, so whoever sends it back gets a 304 exactly while nothing has changed."""

    authentication_classes = AUTHENTICATION
    permission_classes = (MayRead,)
    throttle_classes = (PerMinute,)
    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, **where: Any) -> Response:
        with snapshot():
            return Response(self.read(request, viewer_of(request), **where))

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        raise NotImplementedError

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answered = super().finalize_response(request, response, *args, **kwargs)
        answered.setdefault("Cache-Control", "private, no-cache")
        for name, value in getattr(request, "limit_headers", {}).items():
            answered[name] = value
        return answered
