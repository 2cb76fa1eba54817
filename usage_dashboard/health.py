"""The health pages: one word for monitors and load balancers, details for Super Admins."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import for_super_admins
from accounts.viewer import Viewer
from ledger.health import Level, worst
from ledger.health import health as findings_of_health
from usage_dashboard.version import version


@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """``{"status": "ok" | "warning" | "red"}`` for everybody, with details for Super Admins. Status 503 when red."""
    level = worst(findings_of_health())
    return JsonResponse({"status": level.name.lower()}, status=503 if level == Level.RED else 200)


@require_safe
@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    """Says that this process answers, even if the database is down: a load balancer can only replace the process."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@for_super_admins
def health_details(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    findings = findings_of_health()
    context = {"organization": None, "tab": "health", "findings": findings, "level": worst(findings)}
    context["version"] = version()
    return render(request, "usage_dashboard/health.html", context)
