"""Addresses of the page Connect."""

from django.urls import path

from connect import views

urlpatterns = [
    path("connect/", views.connect, name="connect"),
    path("connect/call/", views.call, name="connect-call"),
]
