"""The addresses of the pages on which Admins change the ledger."""

from django.urls import path

from ledger import merge_pages

urlpatterns = [
    path("organization/members/<int:pk>/merge/", merge_pages.member_merge, name="member-merge"),
    path("organization/projects/<int:pk>/merge/", merge_pages.project_merge, name="project-merge"),
]
