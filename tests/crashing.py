"""The production application with one more address whose view fails: ``gunicorn tests.crashing:application``."""

from importlib import import_module
from typing import Never

from django.http import HttpRequest
from django.urls import path

from usage_dashboard.asgi import application as application


def crash(request: HttpRequest) -> Never:
    raise RuntimeError("as a test wants it")


import_module("usage_dashboard.urls").urlpatterns.append(path("crash/", crash))
