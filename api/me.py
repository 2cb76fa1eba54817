"""Who asks, and what they may see: the first thing that a program can ask to try its key."""

from typing import Any

from rest_framework.request import Request

from accounts.keyring import KeyEntry
from accounts.models import Organization, Project
from accounts.viewer import Viewer
from analytics.reports import today
from api.access import key_of
from api.reading import Reading
from api.shapes.me import MeShape

MANY = 100


class MeView(Reading):
    """Who you are to the ledger, and what you may see."""

    tells = MeShape
    tag = "You"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        assert viewer.role is not None
        project = Project.objects.filter(pk__in=viewer.project_ids or ()).values_list("slug", flat=True).first()
        return {
            **_name_of(request),
            "role": viewer.role.value,
            "organizations": _organizations(viewer),
            **({"project": project} if project else {}),
            "may": _rights(viewer),
            "today": today(viewer),
        }


def _rights(viewer: Viewer) -> list[str]:
    rights = {
        "see_costs": viewer.sees_cost,
        "see_everybody": viewer.user_ids is None,
        "export": viewer.may_export,
        "edit_prices": viewer.may_edit_pricing,
    }
    return [name for name, is_given in rights.items() if is_given]


def _name_of(request: Request) -> dict[str, str]:
    if isinstance(request.auth, KeyEntry):
        key = key_of(request.auth)
        return {"kind": "key", "name": key.name if key else ""}
    return {"kind": "person", "name": str(request.user)}


def _organizations(viewer: Viewer) -> list[Any]:
    seen = Organization.objects.all()
    if viewer.organization_ids is not None:
        seen = seen.filter(pk__in=viewer.organization_ids)
    return list(seen.values("id", "slug", "name", "time_zone")[:MANY])
