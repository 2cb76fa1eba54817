"""Prices and events in the Django admin."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from accounts.models import AuditRecord, Organization, User
from pricing.models import Price
from tests.cast import signed_in
from tests.pricing.prices import MODEL, make_price

PRICES = "/admin/pricing/price/"


@pytest.fixture
def root(super_admin: User) -> Client:
    return signed_in(super_admin)


def add(client: Client, **changes: Any) -> Any:
    data = {"provider": "groq", "model": MODEL, "input_usd_per_1k_tokens": "0.0002", "enabled": "on"}
    return client.post(f"{PRICES}add/", data | {"audio_minimum_seconds": "10"} | changes)


def test_an_added_version_has_its_author_and_starts_now(root: Client, super_admin: User) -> None:
    before = timezone.now()
    assert add(root).status_code == 302
    price = Price.objects.get()
    assert price.author == super_admin
    assert before <= price.effective_from <= timezone.now()
    assert price.input_usd_per_1k_tokens == Decimal("0.0002")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (super_admin, str(price.pk))


def test_a_version_may_start_later(root: Client) -> None:
    add(root, effective_from_0="2030-01-01", effective_from_1="00:00:00")
    assert Price.objects.get().effective_from.year == 2030
    assert Price.objects.in_force("groq", MODEL) is None


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "1000.1", "0.0000000001", "1e400", "free"])
def test_impossible_prices_are_refused(root: Client, value: str) -> None:
    assert add(root, input_usd_per_1k_tokens=value).status_code == 200
    assert not Price.objects.exists()


def test_a_version_is_shown_and_cannot_be_changed(root: Client) -> None:
    price = make_price()
    page = root.get(f"{PRICES}{price.pk}/change/").content.decode()
    assert f"{PRICES}add/?from={price.pk}" in page
    assert 'name="_save"' not in page
    assert root.post(f"{PRICES}{price.pk}/change/", {"model": "other"}).status_code == 403
    assert root.post(f"{PRICES}{price.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Price.objects.get().model == MODEL


def test_a_new_version_is_begun_from_an_old_one(root: Client, acme: Organization) -> None:
    price = make_price(organization=acme, source_note="old")
    form = root.get(f"{PRICES}add/?from={price.pk}").context["adminform"].form
    values = {name: form[name].value() for name in ("model", "organization", "input_usd_per_1k_tokens", "newest_seen")}
    assert values == {
        "model": MODEL,
        "organization": acme.pk,
        "input_usd_per_1k_tokens": "1",
        "newest_seen": price.pk,
    }
    assert not form["effective_from"].value()
    assert not form["source_note"].value()


@pytest.mark.parametrize("source", ["", "x", "-1", "0", "999999999999999999999999"])
def test_a_nonsensical_origin_gives_an_empty_form(root: Client, source: str) -> None:
    assert root.get(f"{PRICES}add/?from={source}").status_code == 200


def test_the_second_of_two_editors_is_told(root: Client, super_admin: User) -> None:
    price = make_price()
    assert add(root, newest_seen=price.pk).status_code == 302
    response = add(root, newest_seen=price.pk, input_usd_per_1k_tokens="0.0003")
    assert response.status_code == 200
    page = response.content.decode()
    assert "Meanwhile root has added a version: $0.2 / 1M input tokens" in page
    assert Price.objects.count() == 2
    newest = response.context["adminform"].form["newest_seen"].value()
    assert add(root, newest_seen=newest, input_usd_per_1k_tokens="0.0003").status_code == 302
    assert Price.objects.count() == 3


def test_another_organizations_edit_is_no_conflict(root: Client, acme: Organization) -> None:
    price = make_price()
    make_price(organization=acme)
    assert add(root, newest_seen=price.pk).status_code == 302


def test_the_history_can_be_searched_and_filtered(root: Client, acme: Organization) -> None:
    make_price()
    make_price("another", organization=acme, enabled=False, at=timezone.now() - timedelta(days=1))
    for query in ("q=another", "enabled__exact=0", f"organization__id__exact={acme.pk}", "model=another"):
        found = root.get(f"{PRICES}?{query}").context["cl"].queryset
        assert [price.model for price in found] == ["another"], query


def test_admins_of_an_organization_do_not_edit_prices(admin: User) -> None:
    assert add(signed_in(admin)).status_code == 404
    assert not Price.objects.exists()


def test_an_added_version_is_in_the_audit_trail(root: Client, super_admin: User, acme: Organization) -> None:
    make_price(organization=acme)
    assert add(root, organization=acme.pk, output_usd_per_1k_tokens="2").status_code == 302
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("price.add", super_admin, acme)
    assert record.changes["input_usd_per_1k_tokens"] == ["1", "0.0002"]
    assert "output_usd_per_1k_tokens" not in record.changes


def test_a_refused_version_leaves_no_record(root: Client) -> None:
    add(root, input_usd_per_1k_tokens="-1")
    assert not AuditRecord.objects.exists()
