"""Health: for monitors and load balancers a word, for Super Admins what was found."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import for_super_admins
from accounts.viewer import Viewer
from analytics.health import Level, worst
from analytics.health import health as findings_of_health


@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """``{"status": "ok" | "warning" | "red"}`` for anybody; 503 when red. Details are for Super Admins."""
    level = worst(findings_of_health())
    return JsonResponse({"status": level.name.lower()}, status=503 if level == Level.RED else 200)


@require_safe
@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    """That this process answers, whatever else is wrong: for load balancers, which can only take it away."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@for_super_admins
def health_details(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    findings = findings_of_health()
    context = {"tab": "health", "findings": findings, "level": worst(findings)}
    return render(request, "usage_dashboard/health.html", context)
