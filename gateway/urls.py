from django.urls import path

from gateway.ingestion.otlp.views import LogsView, TracesView
from gateway.ingestion.views import EventsView

urlpatterns = [
    path("api/v1/events", EventsView.as_view(), name="ingest-events"),
    path("otlp/v1/traces", TracesView.as_view(), name="otlp-traces"),
    path("otlp/v1/logs", LogsView.as_view(), name="otlp-logs"),
]
