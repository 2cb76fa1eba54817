"""Addresses of the Pricing tab."""

from django.urls import path

from pricing import views

urlpatterns = [
    path("pricing/", views.price_list, name="pricing"),
    path("pricing/edit/", views.price_edit, name="pricing-edit"),
    path("pricing/history/", views.price_history, name="pricing-history"),
]
