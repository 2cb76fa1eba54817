"""Addresses of the Pricing tab."""

from django.urls import path

from pricing import aliases, facts, views

urlpatterns = [
    path("pricing/", views.price_list, name="pricing"),
    path("pricing/edit/", views.price_edit, name="pricing-edit"),
    path("pricing/history/", views.price_history, name="pricing-history"),
    path("pricing/aliases/", aliases.model_aliases, name="pricing-aliases"),
    path("pricing/facts/", facts.edit_facts, name="pricing-facts"),
]
