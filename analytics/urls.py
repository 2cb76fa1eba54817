"""Addresses of the Analytics tab."""

from django.urls import path

from analytics import views
from analytics.pages.models.estimate import estimate
from analytics.pages.month_report.page import month_report
from analytics.personal import pages as personal
from analytics.saved import views as saved
from analytics.saved.start import start
from analytics.scheduled import pages as scheduled

urlpatterns = [
    path("", views.overview, name="analytics"),
    path("start/", start, name="start"),
    path("views/", saved.views, name="views"),
    path("views/add/<str:name>/", saved.add, name="view-add"),
    path("views/<int:pk>/", saved.change, name="view"),
    path("views/<int:pk>/delete/", saved.delete, name="view-delete"),
    path("views/<int:pk>/begin/", saved.begin, name="view-begin"),
    path("choices/<str:name>/", views.choices, name="choices"),
    path("charts/", views.charts, name="analytics-charts"),
    path("tables/", views.tables, name="analytics-tables"),
    path("requests/", views.requests, name="requests"),
    path("requests/<int:organization_id>-<int:pk>/", views.request_detail, name="request-detail"),
    path("requests/<int:organization_id>-<int:pk>.json", views.request_json, name="request-json"),
    path("sessions/", views.sessions, name="sessions"),
    path("sessions/<int:organization_id>-<int:user_id>/", views.session_detail, name="session"),
    path("sessions/export.jsonl", views.export_sessions_jsonl, name="export-sessions"),
    path("models/", views.models, name="models"),
    path("models/estimate/", estimate, name="models-estimate"),
    path("my-usage/", views.my_usage, name="my-usage"),
    path("my-usage/charts/", views.my_charts, name="my-charts"),
    path("my-usage/choices/<str:name>/", views.my_choices, name="my-choices"),
    path("report/", month_report, name="month-report"),
    path("organization/<int:pk>/exports/", scheduled.exports, name="exports"),
    path("organization/<int:pk>/exports/add/", scheduled.export_add, name="export-add"),
    path("organization/exports/<int:pk>/remove/", scheduled.export_remove, name="export-remove"),
    path("organization/exports/<int:pk>/again/", scheduled.export_again, name="export-again"),
    path("privacy/", personal.privacy, name="privacy"),
    path("privacy/data.jsonl", personal.privacy_file, name="privacy-file"),
    path("organization/members/<int:pk>/privacy/", personal.member_privacy, name="member-privacy"),
    path("organization/members/<int:pk>/privacy/data.jsonl", personal.member_privacy_file, name="member-privacy-file"),
    path("export/", views.export_table, name="export-table"),
    path("focus.csv", views.focus_csv, name="focus-csv"),
    path("focus.parquet", views.focus_parquet, name="focus-parquet"),
    path("export.csv", views.export_csv, name="export-csv"),
    path("export.jsonl", views.export_jsonl, name="export-jsonl"),
]
