"""Addresses of the playground."""

from django.urls import path

from playground import views

urlpatterns = [
    path("playground/", views.playground, name="playground"),
    path("playground/answers/", views.ask, name="playground-ask"),
    path("playground/answers/<slug:request_id>/", views.figures, name="playground-figures"),
]
