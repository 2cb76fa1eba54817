"""The addresses of all rooms."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from api.events import EventsView
from api.metrics.view import metrics
from gateway.ingestion.views import EventsView as IngestionView
from usage_dashboard import health
from usage_dashboard.methods import by_method

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("analytics.urls")),
    path("", include("ledger.urls")),
    path("", include("pricing.urls")),
    path("", include("playground.urls")),
    path("", include("connect.urls")),
    path("", include("gateway.urls")),
    path(
        "api/v1/events",
        by_method(EventsView.as_view(), POST=IngestionView.as_view()),
        name="api-events",
    ),
    path("api/v1/", include("api.urls")),
    path("metrics", metrics, name="metrics"),
    path("health/", health.health, name="health"),
    path("health/live/", health.alive, name="health-live"),
    path("health/details/", health.health_details, name="health-details"),
    path("admin/", admin.site.urls),
]

handler400 = "usage_dashboard.error_pages.bad_request"
handler404 = "usage_dashboard.error_pages.not_found"
handler500 = "usage_dashboard.error_pages.server_error"
