"""Addresses of the API, version 1."""

from django.urls import path

from api import catalogue, document, figures
from api.estimates import EstimateView
from api.events import EventView
from api.exports import ExportView
from api.focus import FocusView
from api.me import MeView
from api.prices import PricesView
from api.reading import NowhereView
from api.sessions import SessionsView

urlpatterns = [
    path("openapi.json", document.openapi, name="api-document"),
    path("docs/", document.page, name="api-docs"),
    path("me", MeView.as_view(), name="api-me"),
    path("usage", figures.UsageView.as_view(), name="api-usage"),
    path("costs", figures.CostsView.as_view(), name="api-costs"),
    path("breakdown", figures.BreakdownView.as_view(), name="api-breakdown"),
    path("series", figures.SeriesView.as_view(), name="api-series"),
    path("popular-models", figures.PopularModelsView.as_view(), name="api-popular-models"),
    path("top-users", figures.TopUsersView.as_view(), name="api-top-users"),
    path("performance", figures.PerformanceView.as_view(), name="api-performance"),
    path("models", catalogue.ModelsView.as_view(), name="api-models"),
    path("models/free", catalogue.FreeModelsView.as_view(), name="api-free-models"),
    path("models/<path:model>", catalogue.ModelView.as_view(), name="api-model"),
    path("providers", catalogue.ProvidersView.as_view(), name="api-providers"),
    path("prices", PricesView.as_view(), name="api-prices"),
    path("estimate-cost", EstimateView.as_view(), name="api-estimate-cost"),
    path("providers/<str:provider>", figures.ProviderView.as_view(), name="api-provider"),
    path("users/<int:id>", figures.UserView.as_view(), name="api-user"),
    path("organizations/<str:slug>/usage", figures.OrganizationUsageView.as_view(), name="api-organization-usage"),
    path("events/<int:organization_id>-<int:id>", EventView.as_view(), name="api-event"),
    path("export", ExportView.as_view(), name="api-export"),
    path("focus", FocusView.as_view(), name="api-focus"),
    path("sessions", SessionsView.as_view(), name="api-sessions"),
    path("admin/usage", figures.AdminUsageView.as_view(), name="api-admin-usage"),
    path("<path:rest>", NowhereView.as_view(), name="api-nowhere"),
]
