"""Addresses of the Analytics tab."""

from django.urls import path

from analytics import views
from analytics.pages.my_usage import my_usage

urlpatterns = [
    path("", views.overview, name="analytics"),
    path("choices/<str:name>/", views.choices, name="choices"),
    path("charts/", views.charts, name="analytics-charts"),
    path("requests/", views.requests, name="requests"),
    path("requests/<int:organization_id>-<int:pk>/", views.request_detail, name="request-detail"),
    path("sessions/", views.sessions, name="sessions"),
    path("models/", views.models, name="models"),
    path("my-usage/", my_usage, name="my-usage"),
    path("export.csv", views.export_csv, name="export-csv"),
    path("export.jsonl", views.export_jsonl, name="export-jsonl"),
]
