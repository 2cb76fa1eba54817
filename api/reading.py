"""The frame of every view that reads: who asks, how often, in one snapshot of the ledger, and an ETag."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.http import ConditionalGetMiddleware
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.bearer import OneForm
from accounts.viewer import Viewer
from analytics.reports import snapshot
from api.access import AUTHENTICATION, MayRead, viewer_of
from api.limits import HEADERS, PerMinute
from api.parameters import Parameter, check_names
from api.problems import answer
from api.schema import Schema


class Door(APIView):
    """What all views of the API have in common."""

    authentication_classes = AUTHENTICATION
    permission_classes = (MayRead,)
    throttle_classes = (PerMinute,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = OneForm
    schema = Schema()
    takes: ClassVar[Sequence[Parameter[Any]]] = ()
    """The parameters of the query string that the view understands."""
    tells: ClassVar[type[Serializer[Any]]]
    """The shape of the answer."""
    tag: ClassVar[str] = "Figures"
    """The chapter of the documentation that the view belongs to."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = (request.method or "").lower()
        if method in ("get", "head"):
            check_names(request, self.takes)
        elif method == "post" and "post" in self.http_method_names:  # Elsewhere a POST is refused as what it is.
            check_names(request, ())

    def get_exception_handler(self) -> Any:
        return answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer with an ETag, which is that of its bytes: whoever sends it back gets a 304 exactly while nothing
        has changed. An error has none."""
        answered = super().finalize_response(request, response, *args, **kwargs)
        answered.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(answered, ["Authorization", "Cookie"])
        if isinstance(answered, Response):
            answered.render()
            answered = _CONDITIONAL.process_response(request._request, answered)  # type: ignore[assignment]
        for name, value in getattr(request, HEADERS, {}).items():
            answered[name] = value
        return answered


class NowhereView(Door):
    """Any other address."""

    schema = None  # type: ignore[assignment]  # the document leaves it out

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is no such address. {reverse('api-docs')} lists all of them.")


class Reading(Door):
    """A view that reads. A subclass has ``read``, which returns what the answer says."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, **where: Any) -> Response:
        with snapshot():
            return Response(self.read(request, viewer_of(request), **where))

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        raise NotImplementedError


def _never(request: HttpRequest) -> HttpResponseBase:
    """The view below the middleware, of which only the part for responses is used."""
    return HttpResponse()


_CONDITIONAL = ConditionalGetMiddleware(_never)
