"""The addresses of all rooms."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from usage_dashboard import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("analytics.urls")),
    path("", include("ledger.urls")),
    path("", include("pricing.urls")),
    path("", include("playground.urls")),
    path("", include("connect.urls")),
    path("", include("gateway.urls")),
    path("api/v1/", include("api.urls")),
    path("health/", health.health, name="health"),
    path("health/live/", health.alive, name="health-live"),
    path("health/details/", health.health_details, name="health-details"),
    path("admin/", admin.site.urls),
]

handler500 = "usage_dashboard.error_pages.server_error"
