"""Addresses."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("analytics.urls")),
    path("", include("pricing.urls")),
    path("", include("playground.urls")),
    path("admin/", admin.site.urls),
]

handler500 = "analytics.views.server_error"
