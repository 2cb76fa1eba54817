"""Inviting people, and the links by which they choose their passwords."""

import re
import socketserver
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from smtplib import SMTPServerDisconnected
from threading import Barrier, Thread
from typing import Any, ClassVar

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, connections, transaction
from django.test import Client
from django.utils.http import urlsafe_base64_encode
from pytest_django.fixtures import Settings

from accounts import links, passwords
from accounts.links import Link
from accounts.models import AuditRecord, Organization, Role, Standing, User
from accounts.roles import set_active, set_role
from tests.accounts.test_members import again, placeholder
from tests.cast import make_user, signed_in
from usage_dashboard.settings import _mail_security

PASSWORD = "a whole new battery"
LINK = re.compile(r"http://testserver(/password/set/[\w/-]+)")


def invite(by: User, organization: Organization, email: str = "dora@example.com", **more: Any) -> Any:
    data = {"email": email, "role": "User"} | more
    return signed_in(by).post(f"/organization/{organization.pk}/members/invite/", data)


def link_in(text: str) -> str:
    found = LINK.search(text)
    assert found
    return found[1]


def choose_password(path: str) -> Any:
    client = Client()
    form = client.get(path, follow=True)
    return client.post(form.request["PATH_INFO"], {"new_password1": PASSWORD, "new_password2": PASSWORD}, follow=True)


@pytest.fixture
def no_mail(settings: Settings) -> None:
    settings.EMAIL_BACKEND = links.CONSOLE


# The way in


def test_who_is_invited_chooses_a_password_and_signs_in(admin: User, acme: Organization) -> None:
    assert invite(admin, acme, "Dora@Example.com", first_name="Dora").status_code == 302
    dora = User.objects.get(email="dora@example.com")
    assert (dora.username, dora.organization, dora.role) == ("dora@example.com@acme", acme, Role.USER)
    assert (dora.handle, dora.standing) == ("dora@example.com", Standing.INVITED)
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["dora@example.com"], "boss invites you to Groq usage of Acme")
    assert "3 days" in str(message.body)
    page = choose_password(link_in(str(message.body))).content.decode()
    assert "Sign in as dora@example.com" in page
    assert Client().post("/sign-in/", {"username": "dora@example.com", "password": PASSWORD}).status_code == 302
    assert again(dora).standing is Standing.ACTIVE
    chosen, invited = AuditRecord.objects.all()
    assert (invited.action, invited.actor, invited.organization) == ("member.invite", admin, acme)
    assert invited.changes == {"role": [None, "User"], "name in calls": [None, "dora@example.com"]}
    assert (chosen.action, chosen.actor, chosen.subject) == ("password.set", dora, "dora@example.com")
    assert chosen.changes == {"link made by": [None, "boss"], "link was": [None, "mailed"]}


def test_without_mail_the_link_is_shown_once(admin: User, acme: Organization, no_mail: None) -> None:
    response = invite(admin, acme)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    path = link_in(response.content.decode())
    dora = User.objects.get(email="dora@example.com")
    assert path not in signed_in(admin).get(f"/organization/members/{dora.pk}/").content.decode()
    assert "Sign in as dora" in choose_password(path).content.decode()


@pytest.mark.parametrize("failure", [SMTPServerDisconnected("away"), TimeoutError(), UnicodeError("address")])
def test_a_mail_that_fails_loses_nothing(
    admin: User, acme: Organization, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*args: Any) -> None:
        raise failure

    monkeypatch.setattr(EmailMessage, "send", fail)
    page = invite(admin, acme).content.decode()
    assert "Sign in as dora" in choose_password(link_in(page)).content.decode()


def test_the_link_names_only_hosts_of_ours(admin: User, acme: Organization) -> None:
    data = {"email": "dora@example.com", "role": "User"}
    path = f"/organization/{acme.pk}/members/invite/"
    assert signed_in(admin).post(path, data, headers={"host": "evil.example"}).status_code == 400
    assert not User.objects.filter(email="dora@example.com").exists()


class MailServer(socketserver.StreamRequestHandler):
    """Speaks just enough SMTP to take a message."""

    received: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.answer("220 ready")
        while line := self.rfile.readline().decode().strip().upper():
            if line == "DATA":
                self.answer("354 go on")
                self.received.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.answer("221 bye" if line == "QUIT" else "250 ok")

    def answer(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def test_a_mail_server_gets_the_link(admin: User, acme: Organization, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with socketserver.TCPServer(("127.0.0.1", 0), MailServer) as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_USE_TLS = False
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        assert invite(admin, acme).status_code == 302
        thread.join()
    assert "To: dora@example.com" in MailServer.received[0]
    assert "Sign in as dora" in choose_password(link_in(MailServer.received[0])).content.decode()
    # Now that nobody listens there, the next one is shown its link.
    assert link_in(invite(admin, acme, "emil@example.com").content.decode())


@pytest.mark.parametrize(
    ("port", "given", "security"), [(587, "", "starttls"), (465, "", "tls"), (25, "", "none"), (465, "None", "none")]
)
def test_mail_is_as_secure_as_is_usual_on_the_port(
    monkeypatch: pytest.MonkeyPatch, port: int, given: str, security: str
) -> None:
    monkeypatch.delenv("SMTP_SECURITY", raising=False)
    if given:
        monkeypatch.setenv("SMTP_SECURITY", given)
    assert _mail_security(port) == security


def test_a_bad_word_for_security_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_SECURITY", "ssl")
    with pytest.raises(ImproperlyConfigured, match="starttls, tls or none"):
        _mail_security(587)


class NotingBackend(EmailBackend):
    """Notes whether whoever sends holds a connection to the database."""

    connections: ClassVar[list[object]] = []

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        self.connections.append(connection.connection)
        return super().send_messages(messages)


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_the_mail_server_with_a_connection(
    admin: User, acme: Organization, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.NotingBackend"
    NotingBackend.connections.clear()
    assert invite(admin, acme).status_code == 302
    assert NotingBackend.connections == [None]


# Taking over who is known from calls


@pytest.mark.parametrize(
    ("seen", "asked", "becomes"),
    [
        ("dora", "", "dora"),
        ("dora@example.com", "", "dora@example.com"),
        ("d.jones", "d.jones", "d.jones"),
    ],
)
def test_past_calls_become_the_members(admin: User, acme: Organization, seen: str, asked: str, becomes: str) -> None:
    known = placeholder(seen, acme)
    invite(admin, acme, handle=asked)
    assert (again(known).email, again(known).handle) == ("dora@example.com", becomes)
    assert (again(known).standing, again(known).role) == (Standing.INVITED, Role.USER)


@pytest.mark.parametrize("name", ["dora@example.com", "dora@example.com@acme"])
def test_somebody_of_another_organization_is_not_taken_over(
    admin: User, acme: Organization, globex: Organization, name: str
) -> None:
    """Their calls may have used the very address: it is the invited person's, the calls stay where they are."""
    theirs = placeholder(name, globex)
    assert invite(admin, acme).status_code == 302
    assert "Sign in as dora@example.com." in choose_password(link_in(str(mail.outbox[0].body))).content.decode()
    assert (again(theirs).organization, again(theirs).handle) == (globex, name)
    assert again(theirs).standing is Standing.SEEN_IN_CALLS
    assert User.objects.get(username="dora@example.com").organization == acme


@pytest.mark.parametrize(("email", "handle"), [("ANN@example.com", ""), ("new@example.com", "ann")])
def test_what_is_taken_is_said_at_its_field(
    admin: User, user: User, acme: Organization, email: str, handle: str
) -> None:
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    response = invite(admin, acme, email, handle=handle)
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["handle" if handle else "email"]
    assert User.objects.count() == 2
    assert not AuditRecord.objects.exists()


# One address in several organizations


@pytest.fixture
def taken(globex: Organization) -> User:
    """Somebody of another organization, who has the address that is going to be invited."""
    return User.objects.create_user(
        "dora@example.com", "dora@example.com", "correct horse battery", organization=globex
    )


def shown_to(by: User, answer: Any) -> str:
    """All that whoever invites gets to see of it."""
    person = User.objects.get(email="dora@example.com", organization=by.organization)
    members = f"/organization/{by.organization_id}/members/"
    addresses = [f"{members}{query}" for query in ("", "?q=dora", "?q=@example.com@acme")]
    addresses.append(f"/organization/{by.organization_id}/audit/")
    pages = [signed_in(by).get(address) for address in (f"/organization/members/{person.pk}/", *addresses)]
    return "".join(page.content.decode() for page in [answer, *pages])


def same_every_time(text: str) -> str:
    varying = r"/password/set/[\w/-]+", r'name="csrfmiddlewaretoken" value="\w+"', r"members/\d+", r"<time.*?</time>"
    for pattern in (*varying, r"\d+ \w{3} \d{4}"):
        text = re.sub(pattern, "…", text)
    return text


@pytest.mark.parametrize("is_mailed", [True, False])
def test_who_invites_sees_the_same_whether_the_address_has_an_account_elsewhere(
    admin: User, acme: Organization, globex: Organization, settings: Settings, is_mailed: bool
) -> None:
    """To the end: after the password was chosen, by the owner or by who was shown the link."""
    if not is_mailed:
        settings.EMAIL_BACKEND = links.CONSOLE
    seen = []
    for is_taken in (False, True):
        if is_taken:
            User.objects.create_user(
                "dora@example.com", "dora@example.com", "correct horse battery", organization=globex
            )
        with transaction.atomic():
            answer = invite(admin, acme)
            invited = shown_to(admin, answer)
            link = str(mail.outbox[-1].body) if is_mailed else answer.content.decode()
            page = choose_password(link_in(link)).content.decode()
            texts = invited, shown_to(admin, answer), "" if is_mailed else page
            seen.append((answer.status_code, *map(same_every_time, texts)))
            transaction.set_rollback(True)
    assert seen[0] == seen[1]


def test_an_account_elsewhere_stays_as_it_is_and_its_owner_is_told(
    admin: User, acme: Organization, taken: User
) -> None:
    before = User.objects.filter(pk=taken.pk).values().get()
    invite(admin, acme)
    (message,) = mail.outbox
    assert message.to == ["dora@example.com"]
    assert "invites you to Groq usage of Acme" in message.subject
    assert "what you have with this address already stays as it is" in str(message.body)
    page = choose_password(link_in(str(message.body))).content.decode()
    assert "Sign in as dora@example.com@acme." in page
    assert User.objects.filter(pk=taken.pk).values().get() == before
    for username, password in (("dora@example.com@acme", PASSWORD), ("dora@example.com", "correct horse battery")):
        assert Client().post("/sign-in/", {"username": username, "password": password}).status_code == 302


def test_nobody_squats_an_address(admin: User, acme: Organization, globex: Organization, settings: Settings) -> None:
    """Inviting it takes it from nobody, nor does choosing the password by a link that was shown."""
    settings.EMAIL_BACKEND = links.CONSOLE
    choose_password(link_in(invite(admin, acme).content.decode()))
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    invite(make_user("chief", Role.ADMIN, globex), globex)
    assert "Sign in as dora@example.com." in choose_password(link_in(str(mail.outbox[0].body))).content.decode()
    assert User.objects.get(username="dora@example.com").organization == globex


def test_addresses_that_are_long_stay_apart(admin: User, acme: Organization, globex: Organization) -> None:
    email = f"{'d' * 60}@{'e' * 60}.example.com"
    Organization.objects.filter(pk=acme.pk).update(slug="a" * 199 + "1")
    Organization.objects.filter(pk=globex.pk).update(slug="a" * 199 + "2")
    for by in (admin, make_user("chief", Role.ADMIN, globex)):
        assert by.organization is not None
        assert invite(by, by.organization, email).status_code == 302
    assert User.objects.filter(email=email).count() == 2


def test_a_forgotten_password_is_that_of_each_account(
    client: Client, admin: User, acme: Organization, taken: User
) -> None:
    invite(admin, acme)
    choose_password(link_in(str(mail.outbox.pop().body)))
    forget(client, "dora@example.com")
    told = sorted(re.search(r"Your username is (\S+)\.", str(message.body))[1] for message in mail.outbox)  # type: ignore[index]
    assert told == ["dora@example.com", "dora@example.com@acme"]


@pytest.mark.parametrize("data", [{"email": "no address"}, {"role": "Super Admin"}, {"role": ""}, {"handle": "a\0b"}])
def test_a_bad_invitation_is_explained(admin: User, acme: Organization, data: dict[str, str]) -> None:
    response = invite(admin, acme, **data)
    assert list(response.context["form"].errors) == list(data)
    assert not mail.outbox


def test_only_a_super_admin_invites_super_admins(super_admin: User, acme: Organization) -> None:
    invite(super_admin, acme, role="Super Admin")
    assert User.objects.get(email="dora@example.com").role is Role.SUPER_ADMIN


def test_a_mistyped_address_can_be_mended(admin: User, user: User, acme: Organization) -> None:
    invite(admin, acme, "doar@example.com")
    dora = User.objects.get(email="doar@example.com")
    old = link_in(str(mail.outbox[0].body))
    page = f"/organization/members/{dora.pk}/"
    signed_in(admin).post(page, {"email": "Dora@example.com"})
    assert (again(dora).email, again(dora).username) == ("dora@example.com", "dora@example.com@acme")
    assert "does not work any more" in Client().get(old, follow=True).content.decode()
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    assert b"has an account already" in signed_in(admin).post(page, {"email": "ANN@example.com"}).content


# New links


def new_link(by: User, person: User) -> Any:
    return signed_in(by).post(f"/organization/members/{person.pk}/link/", follow=True)


def test_an_invitation_is_sent_again(admin: User, acme: Organization) -> None:
    invite(admin, acme)
    dora = User.objects.get(email="dora@example.com")
    assert b"on its way to dora@example.com" in new_link(admin, dora).content
    assert "Sign in as" in choose_password(link_in(str(mail.outbox[1].body))).content.decode()
    assert AuditRecord.objects.filter(action="password_link.make", actor=admin, subject="dora@example.com").exists()


def test_a_super_admin_gets_the_link_of_somebody_without_an_address_and_the_trail_names_both(
    super_admin: User, user: User, acme: Organization
) -> None:
    path = link_in(new_link(super_admin, user).content.decode())
    assert "Sign in as ann" in choose_password(path).content.decode()
    assert not mail.outbox
    told = [(r.action, r.actor, r.organization, r.subject, r.changes) for r in AuditRecord.objects.order_by("pk")]
    made_by = {"link made by": [None, "root"], "link was": [None, "shown"]}
    assert told == [
        ("password_link.make", super_admin, acme, "ann", {}),
        ("password_link.show", super_admin, acme, "ann", {}),
        ("password.set", user, acme, "ann", made_by),
    ]


@pytest.mark.parametrize("email", ["", "ann@example.com"])
def test_no_admin_sees_the_link_of_a_colleague(admin: User, user: User, no_mail: None, email: str) -> None:
    """Who chooses a colleague's password is the colleague from then on."""
    User.objects.filter(pk=user.pk).update(email=email)
    page = signed_in(admin).get(f"/organization/members/{user.pk}/").content.decode()
    assert "Send password link" not in page
    assert "a Super Admin can make one" in page
    answer = new_link(admin, user).content.decode()
    assert "A Super Admin can make one" in answer
    assert not LINK.search(answer)
    assert not AuditRecord.objects.exists()


def test_no_admin_sees_the_link_of_a_colleague_whose_mail_failed(
    admin: User, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise SMTPServerDisconnected("away")

    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    monkeypatch.setattr(EmailMessage, "send", fail)
    answer = new_link(admin, user).content.decode()
    assert "A Super Admin can make one" in answer
    assert not LINK.search(answer)


def test_the_link_of_a_colleague_is_mailed_to_the_colleague_and_the_trail_names_both(admin: User, user: User) -> None:
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    answer = new_link(admin, user).content.decode()
    assert "on its way to ann@example.com" in answer
    assert not LINK.search(answer)
    assert "Sign in as ann." in choose_password(link_in(str(mail.outbox[0].body))).content.decode()
    chosen = AuditRecord.objects.get(action="password.set")
    assert (chosen.actor, chosen.changes["link made by"]) == (user, [None, "boss"])


def test_a_link_cannot_be_made_to_look_like_another(super_admin: User, user: User) -> None:
    """Who was shown a link cannot pass it off as one that was mailed, or as somebody else's."""
    path = link_in(new_link(super_admin, user).content.decode())
    token = path.split("/")[-2]
    for link in (Link(user.pk), Link(user.pk, super_admin.pk), Link(user.pk, user.pk, is_mailed=False)):
        page = Client().get(f"/password/set/{link.uid}/{token}/", follow=True).content.decode()
        assert "does not work any more" in page


def test_a_link_works_once(super_admin: User, user: User) -> None:
    path = link_in(new_link(super_admin, user).content.decode())
    choose_password(path)
    assert "does not work any more" in Client().get(path, follow=True).content.decode()


class MeetingHasher(MD5PasswordHasher):
    """Hashes for two at the same moment."""

    both = Barrier(2)

    def encode(self, password: str, salt: str) -> str:
        self.both.wait(60)
        return super().encode(password, salt)


@pytest.mark.django_db(transaction=True)
def test_a_link_works_once_for_two_at_the_same_moment(super_admin: User, user: User, settings: Settings) -> None:
    path = link_in(new_link(super_admin, user).content.decode())
    settings.PASSWORD_HASHERS = [f"{__name__}.MeetingHasher"]

    def choose(number: int) -> str:
        try:
            return str(choose_password(path).content.decode())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        pages = list(threads.map(choose, range(2)))
    assert sorted("does not work any more" in page for page in pages) == [False, True]
    assert sorted("Sign in as ann." in page for page in pages) == [False, True]
    assert AuditRecord.objects.filter(action="password.set").count() == 1


def test_a_link_ends_in_time(super_admin: User, user: User, settings: Settings) -> None:
    path = link_in(new_link(super_admin, user).content.decode())
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "does not work any more" in Client().get(path, follow=True).content.decode()


def test_a_link_of_somebody_deactivated_is_dead(super_admin: User, user: User) -> None:
    path = link_in(new_link(super_admin, user).content.decode())
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert "does not work any more" in Client().get(path, follow=True).content.decode()


def test_a_link_from_before_somebody_was_shut_out_stays_dead(super_admin: User, user: User) -> None:
    path = link_in(new_link(super_admin, user).content.decode())
    for is_active in (False, True):
        set_active(user, is_active, by=super_admin)
    assert "does not work any more" in Client().get(path, follow=True).content.decode()


def test_a_link_that_was_made_for_a_user_opens_no_super_admins_account(super_admin: User, user: User) -> None:
    """Who has seen a User's link must not become Super Admin by it when the User does."""
    path = link_in(new_link(super_admin, user).content.decode())
    set_role(user, Role.SUPER_ADMIN)
    assert "does not work any more" in Client().get(path, follow=True).content.decode()


def test_nonsense_is_no_link(user: User) -> None:
    uid = Link(user.pk).uid
    token = Link(user.pk).tokens.make_token(make_user("other"))
    texts = (f"{user.pk}-1-told", f"-{user.pk}", "9" * 30, "é")
    odds = [f"{urlsafe_base64_encode(text.encode())}/{token}" for text in texts]
    for path in (f"{uid}/{token}", f"{uid}/x", "x/x", "/".join(["x" * 100, token]), f"{uid}/set-password", *odds):
        response = Client().get(f"/password/set/{path}/", follow=True)
        assert "does not work any more" in response.content.decode()


# Forgotten passwords


def forget(client: Client, email: str) -> bytes:
    response = client.post("/password/forgotten/", {"email": email}, follow=True)
    passwords._post.submit(lambda: None).result()  # whatever was to be sent is sent
    content: bytes = response.content
    return content


def test_who_forgot_the_password_gets_a_link(client: Client, user: User) -> None:
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    forget(client, "ANN@example.com")
    (message,) = mail.outbox
    assert message.to == ["ann@example.com"]
    assert "Sign in as ann" in choose_password(link_in(str(message.body))).content.decode()


def test_a_forgotten_password_lifts_the_lockout(client: Client, user: User, settings: Settings) -> None:
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    for _ in range(settings.SIGN_IN_ATTEMPTS):
        client.post("/sign-in/", {"username": "ann", "password": "wrong"})
    forget(client, "ann@example.com")
    choose_password(link_in(str(mail.outbox[0].body)))
    assert client.post("/sign-in/", {"username": "ann", "password": PASSWORD}).status_code == 302


def test_nobody_learns_whether_an_address_exists(client: Client, user: User, colleague: User) -> None:
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    User.objects.filter(pk=colleague.pk).update(email="ben@example.com", is_active=False)
    answers = {forget(client, email) for email in ("ann@example.com", "ben@example.com", "nobody@example.com")}
    assert len(answers) == 1
    assert [message.to for message in mail.outbox] == [["ann@example.com"]]


def test_nobody_fills_a_mailbox(client: Client, user: User, settings: Settings) -> None:
    """Whoever asks gets the same answer, and the mails that are there already still help."""
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    answers = {
        forget(client, ("ann@example.com", "ANN@example.com")[number % 2])
        for number in range(settings.SIGN_IN_ATTEMPTS + 5)
    }
    assert len(answers) == 1
    assert len(mail.outbox) == settings.SIGN_IN_ATTEMPTS
    assert "Sign in as ann." in choose_password(link_in(str(mail.outbox[-1].body))).content.decode()


def test_without_mail_the_page_says_whom_to_ask(client: Client, user: User, no_mail: None) -> None:
    User.objects.filter(pk=user.pk).update(email="ann@example.com")
    assert b"sends no mail" in client.get("/password/forgotten/").content
    forget(client, "ann@example.com")
    assert not mail.outbox


def test_a_changed_password_is_recorded(user: User, acme: Organization) -> None:
    data = {"old_password": "correct horse battery", "new_password1": PASSWORD, "new_password2": PASSWORD}
    signed_in(user).post("/password/", data)
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization, record.changes) == ("password.change", user, acme, {})
