"""The organization that a page is about: the viewer's own, or the one that a Super Admin chooses."""

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from accounts.decorators import actor_of
from accounts.models import Organization, User
from accounts.viewer import Viewer


def organizations_to_choose(viewer: Viewer) -> list[Organization]:
    """The organizations between which the viewer can choose; none if there is only the viewer's own."""
    return list(Organization.objects.all()) if viewer.organization_ids is None else []


def chosen_organization(request: HttpRequest, viewer: Viewer) -> Organization:
    """The organization that ``?organization=`` names by its slug, or the person's own, else the default one, else any.
    404 for one that the viewer does not see."""
    slug = request.GET.get("organization")
    found = first_choice(viewer, actor_of(request)) if slug is None else _seen_by(viewer).filter(slug=slug).first()
    if found is None:
        raise Http404
    return found


def first_choice(viewer: Viewer, user: User) -> Organization | None:
    """The person's own organization, else the default one, else any; None if the viewer sees none."""
    seen = _seen_by(viewer)
    own = seen.filter(users=user).first()
    return own or seen.filter(slug=settings.DEFAULT_ORGANIZATION).first() or seen.first()


def _seen_by(viewer: Viewer) -> QuerySet[Organization]:
    everything = Organization.objects.all()
    return everything if viewer.organization_ids is None else everything.filter(pk__in=viewer.organization_ids)
