"""Edit Pricing: the table as inputs, the summary, and what is saved."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditRecord, Organization, User
from playground.choices import models_of
from pricing import sheet
from pricing.models import Price
from pricing.versions import lock_prices
from tests.cast import signed_in
from tests.pricing.pages import EDIT, Editor, inputs
from tests.pricing.prices import MODEL, START, make_price
from tests.running_demo import wait_until

INPUT, OUTPUT, CACHED, AUDIO, CHARACTERS = (
    "input_usd_per_1k_tokens", "output_usd_per_1k_tokens", "cached_input_usd_per_1k_tokens", "audio_usd_per_hour",
    "usd_per_1k_characters",
)  # fmt: skip


@pytest.fixture
def root(super_admin: User) -> Client:
    return signed_in(super_admin)


def newest() -> Price:
    return Price.objects.latest("pk")


# The way from the table to a version


def test_a_changed_row_becomes_a_version_after_a_summary(root: Client, super_admin: User) -> None:
    price, other = make_price(cached_input_usd_per_1k_tokens=Decimal("0.5")), make_price("other")
    editor = Editor(root).type(price, **{INPUT: "1.25"}).fill(source_note="the invoice")
    summary = editor.review()
    for there in (MODEL, "$1.00", "$1.25", "+25.0%", "new requests only", "Save Pricing"):
        assert there in summary
    assert ">other<" not in summary
    assert Price.objects.count() == 2
    before = timezone.now()
    page = editor.save()
    assert "Saved 1 new price. A change applies to new requests only." in page
    assert Price.objects.count() == 3
    version = newest()
    assert (version.model, version.input_usd_per_1k_tokens, version.author) == (MODEL, Decimal("1.25"), super_admin)
    assert (version.output_usd_per_1k_tokens, version.cached_input_usd_per_1k_tokens) == (Decimal(2), Decimal("0.5"))
    assert version.source_note == "the invoice"
    assert before <= version.effective_from <= timezone.now()
    assert Price.objects.in_force("groq", MODEL, at=before) == price
    assert Price.objects.in_force("groq", "other") == other


def test_what_nobody_edits_here_is_kept(root: Client) -> None:
    price = make_price(audio_minimum_seconds=7, provider="elsewhere")
    editor = Editor(root).type(price, **{OUTPUT: "3"})
    editor.review()
    editor.save()
    assert (newest().audio_minimum_seconds, newest().provider) == (7, "elsewhere")


def test_all_changed_rows_are_saved_together_or_none(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = [make_price(f"m{number}") for number in range(3)]
    editor = Editor(root)
    for price in prices:
        editor.type(price, **{INPUT: "5"})
    editor.review()
    saved = Price.save

    def fail_at_the_last(self: Price, *args: Any, **kwargs: Any) -> None:
        if self.model == "m2":
            raise DatabaseError("gone")
        saved(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(DatabaseError):
        patch.setattr(Price, "save", fail_at_the_last)
        editor.save()
    assert (Price.objects.count(), AuditRecord.objects.count()) == (3, 0)
    editor.save()
    versions = Price.objects.order_by("-pk")[:3]
    assert len({version.effective_from for version in versions}) == 1
    assert AuditRecord.objects.count() == 3


def test_the_same_number_written_differently_is_no_change(root: Client) -> None:
    price = make_price()
    page = Editor(root).type(price, **{INPUT: " 1.000 ", OUTPUT: "02"}).review()
    assert "Nothing was changed" in page
    assert Price.objects.count() == 1


def test_back_to_editing_keeps_what_was_typed(root: Client) -> None:
    price = make_price()
    make_price("other")
    editor = Editor(root).type(price, **{INPUT: "7", "enabled": False}).type(None, model="new/one", **{OUTPUT: "8"})
    editor.fill(source_note="why", effective_from="2031-01-31T10:00").review()
    kept = inputs(editor.back())
    assert (kept[f"v{price.pk}-{INPUT}"], kept["new-model"], kept[f"new-{OUTPUT}"]) == ("7", "new/one", "8")
    assert f"v{price.pk}-enabled" not in kept
    assert (kept["source_note"], kept["effective_from"]) == ("why", "2031-01-31T10:00")


def test_nothing_is_saved_by_looking_or_without_the_summary(root: Client) -> None:
    price = make_price()
    root.get(EDIT, {"step": "save", "seen": price.pk, f"v{price.pk}-{INPUT}": "5"})
    Editor(root).type(price, **{INPUT: "5"}).review()
    assert Price.objects.count() == 1


def test_a_form_needs_its_token(super_admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(super_admin)
    assert client.post(EDIT, {"step": "save"}).status_code == 403


# Adding, disabling, enabling


def test_a_model_is_added(root: Client) -> None:
    editor = Editor(root).type(None, model="meta/new-one", **{INPUT: ".0001", OUTPUT: "0.0002"})
    assert "New model" in editor.review()
    editor.save()
    version = Price.objects.get()
    assert (version.model, version.provider, version.organization) == ("meta/new-one", "groq", None)
    assert (version.input_usd_per_1k_tokens, version.output_usd_per_1k_tokens) == (Decimal("0.0001"), Decimal("0.0002"))


@pytest.mark.parametrize("parameter", ["model", "add"])
def test_an_unpriced_model_comes_with_its_name(root: Client, parameter: str) -> None:
    editor = Editor(root, f"?{parameter}=meta/unpriced")
    assert inputs(editor.html)["new-model"] == "meta/unpriced"
    assert "Nothing was changed" in editor.review()  # a name alone is no price
    editor.type(None, **{INPUT: "1"}).review()
    editor.save()
    assert Price.objects.get().model == "meta/unpriced"


def test_a_model_that_has_a_price_is_gone_to_instead(root: Client) -> None:
    price = make_price()
    html = Editor(root, f"?model={MODEL}").html
    assert inputs(html)["new-model"] == ""
    (focused,) = [line for line in html.split("<input") if "autofocus" in line.partition(">")[0]]
    assert f'name="v{price.pk}-{INPUT}"' in focused


def test_a_model_cannot_be_added_twice(root: Client) -> None:
    make_price()
    page = Editor(root).type(None, model=MODEL, **{INPUT: "1"}).review()
    assert "This model is in the table already" in page


def test_a_model_is_disabled_and_enabled_again(root: Client) -> None:
    price = make_price()
    editor = Editor(root).type(price, enabled=False)
    summary = editor.review()
    assert "Disabled" in summary
    editor.save()
    disabled = Price.objects.in_force("groq", MODEL)
    assert disabled is not None
    assert (disabled.enabled, disabled.input_usd_per_1k_tokens) == (False, Decimal(1))
    editor = Editor(root).type(disabled, enabled="on")
    editor.review()
    editor.save()
    assert newest().enabled


# When it begins


def test_a_price_may_begin_later(root: Client) -> None:
    price = make_price()
    editor = Editor(root).type(price, **{INPUT: "3"}).fill(effective_from="2031-05-01T00:00")
    assert "from 1 May 2031 00:00 UTC on" in editor.review()
    page = editor.save()
    assert newest().effective_from.isoformat() == "2031-05-01T00:00:00+00:00"
    assert Price.objects.in_force("groq", MODEL) == price
    assert "Scheduled" in page
    assert "1 May 2031" in page


def test_a_version_that_is_to_take_over_later_is_told(root: Client) -> None:
    price = make_price()
    make_price(at=timezone.now() + timedelta(days=9), input_usd_per_1k_tokens=Decimal(9))
    summary = Editor(root).type(price, **{INPUT: "3"}).review()
    assert "a version that is scheduled already will take over" in summary
    assert "$9000 / 1M input tokens" in summary


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("2020-01-01T00:00", "This has passed"), ("0001-01-01T00:00", "This has passed"),
        ("9999-12-31T23:59", "At most ten years ahead"), ("soon", "Enter a date and a time"),
        ("2030-02-31T00:00", "Enter a date and a time"), ("9999-12-31T23:59-12:00", "At most ten years ahead"),
    ],
)  # fmt: skip
def test_an_impossible_start_is_explained_at_its_field(root: Client, start: str, message: str) -> None:
    price = make_price()
    page = Editor(root).type(price, **{INPUT: "3"}).fill(effective_from=start).review()
    assert message in page.split('name="effective_from"')[1]
    assert Price.objects.count() == 1


def test_the_minute_that_is_passing_is_now(root: Client) -> None:
    before = timezone.now()
    price = make_price()
    editor = Editor(root).type(price, **{INPUT: "3"}).fill(effective_from=f"{before:%Y-%m-%dT%H:%M}")
    editor.review()
    editor.save()
    assert newest().effective_from >= before


# Bad values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0,00015", "Write it with a decimal point and without commas"),
        ("1,000", "Write it with a decimal point and without commas"),
        ("-1", "A price is at least $0 and at most $1,000."),
        ("1000.01", "A price is at least $0 and at most $1,000."),
        ("0.0000000001", "at most 9 decimals"),
        ("NaN", "Enter a plain number of dollars"),
        ("Infinity", "Enter a plain number of dollars"),
        ("1e-5", "Enter a plain number of dollars"),
        ("1_0", "Enter a plain number of dollars"),
        ("$1", "Enter a plain number of dollars"),
        ("٣", "Enter a plain number of dollars"),
        ("9" * 5_000, "Enter a plain number of dollars"),
        ("1\0", "Enter a plain number of dollars"),
    ],
)
def test_a_bad_value_is_explained_at_its_field(root: Client, value: str, message: str) -> None:
    price, other = make_price(), make_price("other")
    name = f"v{price.pk}-{OUTPUT}"
    page = Editor(root).type(price, **{OUTPUT: value}).type(other, **{INPUT: "4"}).review()
    assert "1 value to mend" in page
    field, after = page.split(f'name="{name}"')[1].split("</td>")[:2]
    assert message in field
    assert "errorlist" not in after
    assert inputs(page)[f"v{other.pk}-{INPUT}"] == "4"
    assert Price.objects.count() == 2


def test_nothing_bad_is_saved_past_the_summary(root: Client) -> None:
    price = make_price()
    editor = Editor(root).type(price, **{INPUT: "3"})
    editor.review()
    editor.type(price, **{INPUT: "-3"}).save()
    assert Price.objects.count() == 1


def test_a_model_without_any_price_is_disabled_or_an_error(root: Client) -> None:
    price = make_price()
    page = Editor(root).type(price, **{INPUT: "", OUTPUT: ""}).review()
    assert "Enter at least one price, or untick Enabled." in page
    assert "Enter at least one price" in Editor(root).type(None, model="m").review()
    assert "This field is required" in Editor(root).type(None, **{INPUT: "1"}).review()


@pytest.mark.parametrize(("value", "is_told"), [("10.1", True), ("0.09", True), ("0", True), ("10", False)])
def test_a_slip_of_the_decimal_point_is_pointed_out(root: Client, value: str, is_told: bool) -> None:
    price = make_price()
    summary = Editor(root).type(price, **{INPUT: value}).review()
    assert ("More than ten times as much" in summary or "Less than a tenth" in summary) is is_told


@pytest.mark.parametrize("data", [{}, {"step": "save"}, {"step": "x", "seen": "x"}, {"v9-enabled": "on", "seen": "-1"}])
def test_nonsense_changes_nothing(root: Client, data: dict[str, str]) -> None:
    make_price()
    page = root.post(EDIT, data).content.decode()
    assert "Nothing was changed" in page
    assert Price.objects.count() == 1


# Two editors


def test_the_second_of_two_editors_is_told_and_loses_nothing(root: Client, super_admin: User) -> None:
    price, other = make_price(), make_price("other")
    first, second = Editor(root), Editor(root)
    second.type(price, **{OUTPUT: "7"}).type(other, **{INPUT: "8"}).fill(source_note="mine")
    first.type(price, **{INPUT: "5"}).review()
    first.save()
    page = second.review()
    assert "Meanwhile root has added a version: $5000 / 1M input tokens, $2000 / 1M output" in page
    theirs = newest()
    kept = inputs(page)
    assert (kept[f"v{theirs.pk}-{INPUT}"], kept[f"v{theirs.pk}-{OUTPUT}"]) == ("5", "7")  # theirs, and what I typed
    assert (kept[f"v{other.pk}-{INPUT}"], kept["source_note"]) == ("8", "mine")
    summary = second.review()
    assert "$5.00" not in summary  # was not touched here
    second.save()
    merged = Price.objects.in_force("groq", MODEL)
    assert merged is not None
    assert (merged.input_usd_per_1k_tokens, merged.output_usd_per_1k_tokens) == (Decimal(5), Decimal(7))


def test_an_edit_between_summary_and_saving_is_told(root: Client) -> None:
    price = make_price()
    first, second = Editor(root), Editor(root)
    second.type(price, **{INPUT: "7"}).review()
    first.type(price, **{INPUT: "5"}).review()
    first.save()
    page = second.save()
    assert "Meanwhile root has added a version" in page
    assert Price.objects.count() == 2
    second.review()
    second.save()
    assert newest().input_usd_per_1k_tokens == 7


def test_saving_twice_saves_once(root: Client) -> None:
    price = make_price()
    editor = Editor(root).type(price, **{INPUT: "7"})
    summary = editor.review()
    editor.save()
    editor.html = summary
    editor.save()
    assert Price.objects.count() == 2


def test_an_edit_of_another_model_disturbs_nobody(root: Client) -> None:
    price, other = make_price(), make_price("other")
    editor = Editor(root).type(price, **{INPUT: "7"})
    make_price("other", at=START + timedelta(days=1), input_usd_per_1k_tokens=Decimal(99))
    assert "Meanwhile" not in editor.review()
    editor.save()
    in_force = Price.objects.in_force("groq", "other")
    assert in_force is not None
    assert in_force.input_usd_per_1k_tokens == 99
    assert Price.objects.filter(model="other").count() == 2
    assert other.input_usd_per_1k_tokens == 1


def test_a_version_scheduled_meanwhile_is_told(root: Client) -> None:
    price = make_price()
    editor = Editor(root).type(price, **{INPUT: "7"})
    make_price(at=timezone.now() + timedelta(days=3), input_usd_per_1k_tokens=Decimal(4))
    assert "Meanwhile the price sync has added a version: $4000" in editor.review()


def test_a_scheduled_version_that_begins_meanwhile_is_told(root: Client) -> None:
    price = make_price()
    soon = make_price(at=timezone.now() + timedelta(seconds=1.5), output_usd_per_1k_tokens=Decimal(4))
    editor = Editor(root).type(price, **{INPUT: "7"})
    wait_until(lambda: timezone.now() > soon.effective_from, 10)
    page = editor.review()
    assert "Meanwhile a scheduled version has begun: $1000 / 1M input tokens, $4000 / 1M output." in page
    kept = inputs(page)
    assert (kept[f"v{soon.pk}-{INPUT}"], kept[f"v{soon.pk}-{OUTPUT}"]) == ("7", "4")


def test_a_model_that_somebody_else_added_meanwhile_is_told(root: Client) -> None:
    editor = Editor(root).type(None, model=MODEL, **{INPUT: "7"})
    editor.review()
    make_price()
    page = editor.save()
    assert "This model is in the table already" in page
    assert inputs(page)[f"new-{INPUT}"] == "7"


@pytest.mark.django_db(transaction=True)
def test_who_saves_at_the_same_moment_waits_and_is_told(super_admin: User) -> None:
    price = make_price()
    editor = Editor(signed_in(super_admin)).type(price, **{INPUT: "7"})
    editor.review()

    def save() -> str:
        try:
            return editor.save()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            lock_prices()
            page = pool.submit(save)
            wait_for_the_lock()
            make_price(at=timezone.now(), input_usd_per_1k_tokens=Decimal(5))
        assert "Meanwhile the price sync has added a version: $5000" in page.result(10)
    assert Price.objects.count() == 2


def wait_for_the_lock() -> None:
    """Until somebody waits for the price table."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pricing_price'::regclass"
    for _ in range(1_500):
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("Nobody waited.")


# One organization


def test_an_organization_gets_a_price_of_its_own(root: Client, acme: Organization, globex: Organization) -> None:
    everybodys = make_price()
    make_price(organization=globex, input_usd_per_1k_tokens=Decimal("77.125"))
    editor = Editor(root, f"?organization={acme.pk}")
    assert inputs(editor.html)[f"v{everybodys.pk}-{INPUT}"] == "1"
    assert "77.125" not in editor.html
    summary = editor.type(everybodys, **{INPUT: "0.5"}).review()
    assert "Acme gets a price of its own" in summary
    editor.save()
    own = Price.objects.in_force("groq", MODEL, acme)
    assert own is not None
    assert (own.organization, own.input_usd_per_1k_tokens, own.output_usd_per_1k_tokens) == (acme, Decimal("0.5"), 2)
    assert Price.objects.in_force("groq", MODEL) == everybodys
    again = Editor(root, f"?organization={acme.pk}")
    assert inputs(again.html)[f"v{own.pk}-{INPUT}"] == "0.5"
    assert "own price" in again.html


def test_everybodys_new_price_is_told_to_who_sets_an_organizations(root: Client, acme: Organization) -> None:
    price = make_price()
    editor = Editor(root, f"?organization={acme.pk}").type(price, **{INPUT: "0.5"})
    make_price(at=START + timedelta(days=1), output_usd_per_1k_tokens=Decimal(3))
    assert "Meanwhile" in editor.review()
    editor.review()
    editor.save()
    assert newest().output_usd_per_1k_tokens == 3


def test_another_organizations_row_cannot_be_smuggled_in(root: Client, acme: Organization) -> None:
    own = make_price(organization=acme)
    page = root.post(EDIT, {"step": "review", "seen": "0", f"v{own.pk}-{INPUT}": "9", f"v{own.pk}-enabled": "on"})
    assert "Nothing was changed" in page.content.decode()


@pytest.mark.parametrize("organization", ["0", "x", "-1", "9" * 30])
def test_an_organization_that_does_not_exist(root: Client, organization: str) -> None:
    assert root.get(EDIT, {"organization": organization}).status_code == 404


# Who


def test_only_super_admins_edit(admin: User, user: User, stranger: User, acme: Organization) -> None:
    price = make_price()
    acme.show_user_cost = True
    acme.save()
    data = {"step": "save", "seen": price.pk, f"v{price.pk}-{INPUT}": "9", f"v{price.pk}-enabled": "on"}
    for person in (admin, user):
        assert signed_in(person).get(EDIT).status_code == 403
        assert signed_in(person).post(EDIT, data).status_code == 403
    assert "step" not in signed_in(stranger).post(EDIT, data).content.decode()
    assert Client().post(EDIT, data).status_code == 302
    assert Price.objects.count() == 1


# The audit trail


def test_every_saved_row_has_a_record(root: Client, super_admin: User, acme: Organization) -> None:
    price = make_price(organization=acme)
    editor = Editor(root, f"?organization={acme.pk}").type(price, **{INPUT: "1.5"}).fill(source_note="deal")
    editor.review()
    editor.save()
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("price.add", super_admin, acme)
    assert MODEL in record.subject
    assert record.changes[INPUT] == ["1", "1.5"]
    assert record.changes["source_note"] == ["", "deal"]
    assert record.changes.keys() == {INPUT, "source_note", "effective_from"}


# Many models


def test_of_many_models_the_others_are_searched_for(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MOST_ROWS", 3)
    prices = [make_price(f"m{number}") for number in range(5)]
    editor = Editor(root)
    assert "3 of 5 models are shown" in editor.html
    assert f"v{prices[4].pk}-" not in editor.html
    editor = Editor(root, "?search=M4")
    assert inputs(editor.html).keys() >= {f"v{prices[4].pk}-{INPUT}"}
    assert f"v{prices[0].pk}-" not in editor.html
    editor.type(prices[4], **{INPUT: "9"}).review()
    editor.save()
    assert newest().model == "m4"


def test_the_table_costs_a_fixed_number_of_queries(root: Client, django_assert_num_queries: Any) -> None:
    for number in range(30):
        make_price(f"m{number}")
    # Session, person, savepoint and its release, newest id, versions, organizations, edits of the catalogue.
    with django_assert_num_queries(8):
        html = root.get(EDIT).content.decode()
    assert len(inputs(html)) < 300


# In another unit


def test_prices_are_typed_per_million(root: Client) -> None:
    price = make_price()
    editor = Editor(root, "?unit=1m")
    assert f'name="v{price.pk}-{INPUT}" value="1000"' in editor.html
    assert "Input $ / 1M tokens: " not in editor.review(), "nothing is changed"
    editor.type(price, **{INPUT: "0.15", AUDIO: "3"})
    assert "$1,000.00" in editor.review()
    assert "Saved 1 new price" in editor.save()
    version = newest()
    assert (version.input_usd_per_1k_tokens, version.output_usd_per_1k_tokens) == (Decimal("0.00015"), Decimal(2))
    assert version.audio_usd_per_hour == Decimal(3)
    assert f'name="v{version.pk}-{INPUT}" value="0.15"' in Editor(root).html, "remembered"


def test_what_was_typed_is_kept_in_the_other_unit(root: Client) -> None:
    price = make_price()
    editor = Editor(root).type(price, **{INPUT: "0.002", OUTPUT: "two", AUDIO: "3"})
    page = editor.post("", in_unit="1m")
    for name, value in ((INPUT, "2"), (OUTPUT, "two"), (AUDIO, "3")):
        assert f'name="v{price.pk}-{name}" value="{value}"' in page
    editor.type(price, **{OUTPUT: "1000001"})
    assert "which is $1,000,000 for 1M" in editor.review()
    editor.type(price, **{OUTPUT: "0.0000001"})
    assert "at most 9 decimals for 1k tokens, 6 for 1M" in editor.review()


def test_rows_are_folded_but_those_that_need_to_be_seen(root: Client) -> None:
    changed, bad, retired = make_price(), make_price("other"), make_price("llama-3.3-70b-versatile")
    editor = Editor(root)
    assert '<details class="fold" open>' not in editor.html
    assert "1 retired model<" in editor.html
    page = editor.type(changed, **{INPUT: "3"}).type(bad, **{INPUT: "x"}).review()
    assert page.count('<details class="fold" open>') == 2
    assert "<details open>" not in page
    assert "<details open>" in editor.type(retired, **{INPUT: "x"}).review()
    assert "<details open>" in root.get(EDIT, {"model": retired.model}).content.decode()


# Taking back what is scheduled


def take_back(client: Client, version: Price) -> str:
    response = client.post(EDIT, {"step": "withdraw", "version": version.pk}, follow=True)
    return str(response.content.decode())


def test_a_scheduled_price_is_taken_back(root: Client, super_admin: User) -> None:
    price, soon = make_price(), timezone.now() + timedelta(days=3)
    mistake = make_price(at=soon, input_usd_per_1k_tokens=Decimal(500))
    history = root.get(price.get_absolute_url()).content.decode()
    assert history.count("Take back<") == 1
    assert "The scheduled price is taken back." in take_back(root, mistake)
    then = Price.objects.in_force("groq", MODEL, at=soon)
    assert then is not None
    assert (then.input_usd_per_1k_tokens, then.enabled, then.author) == (Decimal(1), True, super_admin)
    assert AuditRecord.objects.get().changes["input_usd_per_1k_tokens"] == ["500", "1"]
    assert "Nothing was changed" in take_back(root, mistake)  # it does not count any more
    assert Price.objects.count() == 3


def test_the_first_price_taken_back_leaves_none(root: Client) -> None:
    soon = timezone.now() + timedelta(days=3)
    take_back(root, make_price(at=soon))
    then = Price.objects.in_force("groq", MODEL, at=soon)
    assert then is not None
    assert not then.enabled


def test_an_organization_whose_first_price_is_taken_back_goes_on_with_everybodys(
    root: Client, acme: Organization
) -> None:
    soon = timezone.now() + timedelta(days=3)
    make_price()
    take_back(root, make_price(at=soon, organization=acme))
    rise = make_price(at=soon + timedelta(days=1))
    assert Price.objects.in_force("groq", MODEL, acme, rise.effective_from) == rise


# Back to everybody's price


def follow(client: Client, version: Price) -> str:
    return str(client.post(EDIT, {"step": "follow", "version": version.pk}, follow=True).content.decode())


def test_an_organization_goes_back_to_everybodys_price(root: Client, super_admin: User, acme: Organization) -> None:
    everybodys, own = make_price(), make_price(organization=acme, input_usd_per_1k_tokens=Decimal("0.5"))
    assert "Back to everybody" in root.get(own.get_absolute_url()).content.decode()
    assert "Back to everybody" not in root.get(everybodys.get_absolute_url()).content.decode()
    history = follow(root, own)
    assert "Acme is charged everybody&#39;s price again" in history
    assert "Price: its own → everybody&#39;s" in history
    assert Price.objects.in_force("groq", MODEL, acme) == everybodys
    record = AuditRecord.objects.get()
    assert (record.actor, record.organization) == (super_admin, acme)
    assert record.changes["follows_everybody"] == [None, "True"]
    assert "input_usd_per_1k_tokens" not in record.changes
    assert "Nothing was changed" in follow(root, own)
    assert ">Everybody's price</td>" in root.get("/pricing/").content.decode()
    assert models_of(acme) == [MODEL]
    editor = Editor(root, f"?organization={acme.pk}")
    assert inputs(editor.html)[f"v{everybodys.pk}-{INPUT}"] == "1"
    editor.type(everybodys, **{INPUT: "0.7"}).review()
    editor.save()
    then = Price.objects.in_force("groq", MODEL, acme)
    assert then is not None
    assert (then.input_usd_per_1k_tokens, then.organization) == (Decimal("0.7"), acme)


def test_who_edits_an_own_price_that_ended_meanwhile_is_told(root: Client, acme: Organization) -> None:
    make_price()
    own = make_price(organization=acme)
    editor = Editor(root, f"?organization={acme.pk}").type(own, **{INPUT: "0.5"})
    follow(root, own)
    assert "has added a version: everybody&#39;s price" in editor.review()
    editor.review()
    editor.save()
    assert newest().input_usd_per_1k_tokens == Decimal("0.5")


def test_everybodys_price_follows_nobody(root: Client) -> None:
    assert "Nothing was changed" in follow(root, make_price())
    assert Price.objects.count() == 1


def test_only_super_admins_end_an_own_price(admin: User) -> None:
    own = make_price(organization=admin.organization)
    client = signed_in(admin)
    assert client.post(EDIT, {"step": "follow", "version": own.pk}).status_code == 403
    assert "Back to everybody" not in client.get(own.get_absolute_url()).content.decode()


def test_what_has_begun_is_not_taken_back(root: Client) -> None:
    assert "Nothing was changed" in take_back(root, make_price())
    assert root.post(EDIT, {"step": "withdraw", "version": "x"}).status_code == 404
    assert Price.objects.count() == 1


def test_only_super_admins_take_back(admin: User) -> None:
    version = make_price(at=timezone.now() + timedelta(days=3), organization=admin.organization)
    client = signed_in(admin)
    assert client.post(EDIT, {"step": "withdraw", "version": version.pk}).status_code == 403
    assert "Take back" not in client.get(version.get_absolute_url()).content.decode()
    assert Price.objects.count() == 1
