"""Addresses of the Analytics tab."""

from django.urls import path

from analytics import views

urlpatterns = [
    path("", views.analytics, name="analytics"),
    path("export.csv", views.export, name="export-csv"),
]
