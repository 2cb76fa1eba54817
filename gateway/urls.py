from django.urls import path

from gateway.ingestion.otlp.views import LogsView, TracesView

urlpatterns = [
    path("otlp/v1/traces", TracesView.as_view(), name="otlp-traces"),
    path("otlp/v1/logs", LogsView.as_view(), name="otlp-logs"),
]
