"""The authentication backend: it limits attempts to sign in, and reads the person of a session in one query.

The query also reads organization, role and permissions. Django's own backend takes a query for each of these, which was
a sixth of the time of a User's page.
"""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest

from accounts.attempts import count_attempt
from accounts.client_address import client_address
from accounts.current_request import note_caller
from accounts.hashing import same_work_for_everybody
from accounts.models import Organization, User
from accounts.places import NoPlaceError
from accounts.roles import role_of

_PERSON = tuple(field.attname for field in User._meta.concrete_fields)
_ORGANIZATION = tuple(field.attname for field in Organization._meta.concrete_fields)


def _columns(model: type[Model], alias: str) -> str:
    return ", ".join(f"{alias}.{field.column}" for field in model._meta.concrete_fields)


# This statement is written by hand, because Django takes longer to build it than PostgreSQL takes to answer.
_WHO = f"""
SELECT ARRAY(SELECT name FROM auth_group JOIN accounts_user_groups AS of_user ON of_user.group_id = auth_group.id
             WHERE of_user.user_id = person.id),
       ARRAY(SELECT app_label || '.' || codename
             FROM accounts_user_user_permissions AS granted
             JOIN auth_permission ON auth_permission.id = granted.permission_id
             JOIN django_content_type ON django_content_type.id = content_type_id
             WHERE granted.user_id = person.id),
       ARRAY(SELECT app_label || '.' || codename
             FROM accounts_user_groups AS of_user
             JOIN auth_group_permissions AS granted ON granted.group_id = of_user.group_id
             JOIN auth_permission ON auth_permission.id = granted.permission_id
             JOIN django_content_type ON django_content_type.id = content_type_id
             WHERE of_user.user_id = person.id),
       EXISTS (SELECT FROM mfa_authenticator
               WHERE mfa_authenticator.user_id = person.id AND type IN ('totp', 'webauthn')),
       {_columns(User, "person")}, {_columns(Organization, "organization")}
FROM accounts_user AS person LEFT JOIN accounts_organization AS organization ON organization.id = organization_id
WHERE person.id = %s
"""  # noqa: S608 - names of columns


class Backend(ModelBackend):
    """Django's backend with a limit on attempts to sign in, which reads the person of a session in one query."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The person, or None for a wrong password. TooManyAttemptsError if the person has to wait, even with the right
        password. NoPlaceError if too many passwords are being hashed, so that this one was not checked.
        """
        if username is None or password is None:
            return None
        attempt = count_attempt(username, client_address(request) if request else None)
        try:
            user = self._with_password(request, username, password, **kwargs)
        except NoPlaceError:
            attempt.take_back()
            raise
        if user is None:
            attempt.failed()
            return None
        attempt.succeeded()
        return user

    def _with_password(self, request: HttpRequest | None, username: str, password: str, **kwargs: Any) -> User | None:
        """The person whose password this is. The time that None takes says nothing about the name."""
        with same_work_for_everybody(password) as work:
            user = super().authenticate(request, username, password, **kwargs)
            if isinstance(user, User):
                work.is_wanted = False
                return user
        return None

    def get_user(self, user_id: int) -> User | None:
        """The person, or None if they may no longer sign in. ``organization``, ``role`` and ``has_perm`` of the person
        take no further query."""
        with connection.cursor() as cursor:
            cursor.execute(_WHO, [user_id])
            row = cursor.fetchone()
        if row is None:
            return None
        groups, own_permissions, group_permissions, has_second_factor, *values = row
        user = User.from_db("default", _PERSON, values[: len(_PERSON)])
        if not self.user_can_authenticate(user):
            return None
        if user.organization_id is not None:
            user.organization = Organization.from_db("default", _ORGANIZATION, values[len(_PERSON) :])
            note_caller(user.organization.slug)
        user.role = role_of(groups, is_superuser=user.is_superuser)
        user.has_second_factor = has_second_factor
        if not user.is_superuser:  # Superusers have all permissions without any rows.
            # Django's backend keeps the permissions that it has read in these attributes.
            user._user_perm_cache = set(own_permissions)  # type: ignore[attr-defined]
            user._group_perm_cache = set(group_permissions)  # type: ignore[attr-defined]
        return user


class ProvenBackend(Backend):
    """The backend of sessions whose owner has shown a second factor to the identity provider: Django stores in a
    session which backend it began with. Nobody signs in here with a password."""

    def authenticate(self, request: HttpRequest | None, *args: Any, **kwargs: Any) -> None:
        return None

    def get_user(self, user_id: int) -> User | None:
        user = super().get_user(user_id)
        if user is not None:
            user.has_second_factor = True
        return user
