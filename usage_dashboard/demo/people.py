"""Two organizations with projects and people, for a demonstration only: everybody knows the passwords."""

from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction

from accounts.api_keys import create
from accounts.models import ApiKey, Organization, Project, Role, User
from analytics.models import SavedView
from usage_dashboard.demo import PASSWORD


class NotADemoError(Exception):
    """The database has other people already, whose data must not be open to accounts with a known password."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the demonstration. The people who may sign in are printed."""

    username: str
    name: str
    role: Role = Role.USER
    may_sign_in: bool = False


@dataclass(frozen=True, slots=True)
class Company:
    """An organization of the demonstration. ``projects`` has names by slug."""

    slug: str
    name: str
    time_zone: str
    show_user_cost: bool
    projects: dict[str, str]
    people: tuple[Person, ...]
    keys: tuple[str, ...] = ()
    """The slugs of projects that have a key for their program. The secrets are thrown away."""


@dataclass(frozen=True, slots=True)
class Login:
    """A line of the printed table of logins."""

    username: str
    role: str
    sees: str


OWNER = Person("sara", "Sara Lindqvist", Role.SUPER_ADMIN, may_sign_in=True)

ACME = Company(
    slug="acme-robotics",
    name="Acme Robotics",
    time_zone="Europe/Berlin",
    show_user_cost=True,
    projects={
        "support-desk": "Support desk",
        "knowledge-base": "Knowledge base",
        "fleet-control": "Fleet control",
        "meeting-notes": "Meeting notes",
        "research": "Research",
    },
    keys=("support-desk", "knowledge-base"),
    people=(
        Person("adam", "Adam Novak", Role.ADMIN, may_sign_in=True),
        Person("anna", "Anna Fischer", may_sign_in=True),
        Person("bela", "Béla Horváth"),
        Person("carla", "Carla Rossi"),
        Person("deniz", "Deniz Yılmaz"),
        Person("emil", "Emil Sørensen"),
        Person("fatima", "Fatima Haddad"),
        Person("georg", "Georg Wagner"),
        Person("hanna", "Hanna Kowalska"),
        Person("ivo", "Ivo Marić"),
        Person("jana", "Jana Dvořáková"),
        Person("kofi", "Kofi Mensah"),
    ),
)

GLOBEX = Company(
    slug="globex-media",
    name="Globex Media",
    time_zone="America/New_York",
    show_user_cost=False,
    projects={
        "newsroom": "Newsroom",
        "archive-search": "Archive search",
        "podcast-studio": "Podcast studio",
        "ad-studio": "Ad studio",
    },
    people=(
        Person("grace", "Grace Okafor", Role.ADMIN, may_sign_in=True),
        Person("gus", "Gus Martinez", may_sign_in=True),
        Person("helen", "Helen Park"),
        Person("isaac", "Isaac Cohen"),
        Person("julia", "Julia Santos"),
        Person("kevin", "Kevin O'Brien"),
        Person("lena", "Lena Petrova"),
        Person("miguel", "Miguel Torres"),
        Person("nadia", "Nadia Rahman"),
    ),
)

COMPANIES = (ACME, GLOBEX)
VIEWS = {
    "Projects this month": ("analytics", "range=month&group=project"),
    "Failures of the last 7 days": ("requests", "range=7d&status=error"),
}
"""The views that each company shares: the page and the query string of each."""
EVERYBODY: tuple[tuple[Person, Company | None], ...] = (
    (OWNER, None),
    *((person, company) for company in COMPANIES for person in company.people),
)


def create_people() -> list[Login]:
    """Make the missing people and return the logins to print. Later changes, such as a new password, stay.

    Raises NotADemoError if the database has people, but not those of the demonstration.
    """
    if User.objects.exists() and not User.objects.filter(username=OWNER.username).exists():
        raise NotADemoError
    with transaction.atomic():
        organizations = {company.slug: _create_organization(company) for company in COMPANIES}
        for person, company in EVERYBODY:
            _create_person(person, organizations[company.slug] if company else None)
        for company in COMPANIES:
            _create_keys(company, organizations[company.slug])
            _create_views(organizations[company.slug])
    return [_login(person, company) for person, company in EVERYBODY if person.may_sign_in]


def _create_organization(company: Company) -> Organization:
    settings = {"name": company.name, "time_zone": company.time_zone, "show_user_cost": company.show_user_cost}
    organization, _ = Organization.objects.get_or_create(slug=company.slug, defaults=settings)
    for slug, name in company.projects.items():
        Project.objects.get_or_create(organization=organization, slug=slug, defaults={"name": name})
    return organization


def _create_person(person: Person, organization: Organization | None) -> None:
    first_name, last_name = person.name.split(" ", 1)
    profile = {"first_name": first_name, "last_name": last_name, "organization": organization}
    user, is_new = User.objects.get_or_create(username=person.username, defaults={"handle": person.username, **profile})
    if is_new:
        user.password = make_password(PASSWORD if person.may_sign_in else None)
        user.save(update_fields=["password"])
        user.groups.add(Group.objects.get(name=person.role))


def _create_keys(company: Company, organization: Organization) -> None:
    if organization.api_keys.exists():
        return
    owner = User.objects.get(username=OWNER.username)
    for project in organization.projects.filter(slug__in=company.keys):
        key = ApiKey(organization=organization, name=f"{project.name} server", project=project, may_ingest=True)
        create(key, by=owner)


def _create_views(organization: Organization) -> None:
    if organization.saved_views.exists():
        return
    owner = User.objects.get(username=OWNER.username)
    for name, (page, query) in VIEWS.items():
        SavedView.objects.create(owner=owner, organization=organization, name=name, page=page, query=query)


def _login(person: Person, company: Company | None) -> Login:
    if company is None:
        return Login(person.username, person.role, "all organizations, prices, export")
    if person.role is Role.ADMIN:
        return Login(person.username, person.role, company.name)
    return Login(person.username, person.role, "own calls" if company.show_user_cost else "own calls, without costs")
