"""Addresses of the Pricing tab."""

from django.urls import path

from pricing import views

urlpatterns = [path("pricing/", views.price_list, name="pricing")]
