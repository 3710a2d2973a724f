"""What is mailed to whom, decided at the moment of sending."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from api import admin as administration
from api import outbox
from api.accounts import mail as composers
from tests.actors import Bearer
from tests.mailbox import Mailbox, join_with, new_address, token_in
from tests.outbox.configured import text_of

ME, EMAIL, FORGOT = "/v1/users/me", "/v1/users/me/email", "/v1/auth/password/forgot"
AGAIN = "/v1/users/me/email/verification"
PAGES = {
    "verify_email_url": "https://app.example.com/verify",
    "reset_password_url": "https://app.example.com/reset?from=mail",
    "verification_lifetime": 7200,
    "reset_lifetime": 60,
}


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own, with mails that lead to pages of the operator's."""
    return new_app(**PAGES)


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


def forgot(app: Flask, address: str) -> None:
    assert Bearer(app).request("POST", FORGOT, json={"email": address}).status_code == 202


def test_the_mails_say_who_what_and_how_long(app: Flask, mailbox: Mailbox) -> None:
    """The token is in the fragment of the operator's own page, and by itself for whoever has no link to click."""
    address, new = new_address(), new_address()
    person = join_with(mailbox, address)
    forgot(app, address)
    person.put(EMAIL, json={"email": new})
    expected = [
        (address, "Confirm your e-mail address", PAGES["verify_email_url"], "2 hours"),
        (address, "Choose a new password", PAGES["reset_password_url"], "1 minute."),
        (new, "Confirm your new e-mail address", PAGES["verify_email_url"], "2 hours"),
    ]
    letters = [letter for to in (address, new) for letter in mailbox.to(to) if "about to change" not in letter["Subject"]]
    for letter, (to, subject, page, lifetime) in zip(letters, expected, strict=True):
        assert (letter["To"], letter["Subject"]) == (to, subject)
        assert f"{page}#token={token_in(letter)}\n" in text_of(letter)
        assert person.name in text_of(letter)
        assert lifetime in text_of(letter)


def test_each_token_lives_as_long_as_its_mail_says(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    address, late = new_address(), new_address()
    join_with(mailbox, address)
    forgot(app, address)
    Bearer(app).register(email=late)
    reset, proof = mailbox.token(address), mailbox.token(late)
    clock.shift(60)
    body = {"token": reset, "new_password": "Battery-Staple-8"}
    assert Bearer(app).request("POST", "/v1/auth/password/reset", json=body).status_code == 403
    clock.shift(7200 - 60)
    assert Bearer(app).request("POST", "/v1/auth/email/verify", json={"token": proof}).status_code == 403


def test_the_life_of_a_token_begins_when_its_mail_leaves(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """A mail server that was away for an hour does not deliver mails that are of no use."""
    address = new_address()
    join_with(mailbox, address)
    forgot(app, address)
    mailbox.deliver(failing="reset_password")
    clock.shift(3600)
    body = {"token": mailbox.token(address), "new_password": "Battery-Staple-8"}
    assert Bearer(app).request("POST", "/v1/auth/password/reset", json=body).status_code == 204


def test_what_was_overtaken_is_not_mailed(app: Flask, mailbox: Mailbox) -> None:
    """An address that was replaced before its mail left, or proven meanwhile, is not written to."""
    first, second, claimed = new_address(), new_address(), new_address()
    person = join_with(mailbox, new_address())
    mailbox.letters.clear()
    person.put(EMAIL, json={"email": first})
    person.put(EMAIL, json={"email": second})
    assert [each["To"] for each in mailbox.deliver() if "Confirm" in each["Subject"]] == [second]
    claimant = Bearer(app).join(email=claimed)
    token = mailbox.token(claimed)
    claimant.post(AGAIN)
    assert claimant.request("POST", "/v1/auth/email/verify", json={"token": token}).status_code == 204
    assert mailbox.deliver() == []


def test_mail_about_nobody_is_not_sent(app: Flask, mailbox: Mailbox) -> None:
    """Every kind; as it is with an account that was deleted, or never was."""
    person = Bearer(app).join(email=new_address())
    mailbox.deliver()
    with app.app_context():
        user_id = administration.find_by_username(person.name).id
    person.delete(ME)
    with app.app_context():
        for kind in composers.COMPOSERS:
            for nobody in (user_id, None):
                if kind != "account_deleted":
                    outbox.enqueue(kind, "somebody@example.com", user_id=nobody)
    assert mailbox.deliver() == []


def test_no_more_than_five_reset_mails_leave_in_an_hour(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """However often, and from wherever, somebody asks: nobody's mailbox is flooded. The notices are not among the five."""
    address, other = new_address(), new_address()
    for each in (address, other):
        join_with(mailbox, each)
    mailbox.letters.clear()
    for spelling in (address, address.upper()) * 4:
        clock.shift(1)
        forgot(app, spelling)
        mailbox.deliver()
    assert len(mailbox.to(address)) == 5
    forgot(app, other)
    assert len(mailbox.to(other)) == 1
    body = {"token": mailbox.token(address), "new_password": "Battery-Staple-8"}
    assert Bearer(app).request("POST", "/v1/auth/password/reset", json=body).status_code == 204
    assert mailbox.subjects(address)[-1] == "Your password was changed"
    clock.shift(3600)
    forgot(app, address)
    assert mailbox.subjects(address)[-1] == "Choose a new password"


def test_no_more_than_five_verification_mails_leave_in_an_hour(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """Also to ever new addresses, which may be strangers'."""
    person = Bearer(app).join(email=new_address())
    addresses = [new_address() for _ in range(6)]
    mailbox.deliver()
    for each in addresses:
        clock.shift(1)
        assert person.put(EMAIL, json={"email": each}).status_code == 202
        mailbox.deliver()
    assert [each["To"] for each in mailbox.letters][1:] == addresses[:4]
    clock.shift(3600)
    assert person.post(AGAIN).status_code in {202, 401}
    person.login()
    assert person.post(AGAIN).status_code == 202
    assert mailbox.to(addresses[-1]) != []


def test_no_more_than_five_verification_mails_leave_for_a_mailbox(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """From however many accounts, and with whatever tag behind a plus."""
    address = new_address()
    local, _, domain = address.partition("@")
    for number in range(8):
        clock.shift(1)
        Bearer(app).join(email=(address, f"{local}+{number}@{domain}".upper())[number % 2])
        mailbox.deliver()
    written = [each for each in mailbox.letters if each["To"].lower().startswith(local.lower())]
    assert len(written) == 5


def test_no_more_mails_leave_in_an_hour_than_the_settings_allow(new_app: Callable[..., Flask], clock: Any) -> None:
    """Over all. The rest waits, loses no attempt, and leaves when the hour is over."""
    limited = Mailbox(new_app(mail_per_hour=3))
    addresses = [new_address() for _ in range(5)]
    for each in addresses:
        clock.shift(1)
        Bearer(limited.app).join(email=each)
    with limited.app.app_context():
        assert [outbox.deliver_due(composers.COMPOSERS) for _ in range(2)] == [3, 0]
        clock.shift(3600)
        assert outbox.deliver_due(composers.COMPOSERS) == 2


def test_an_owner_is_not_flooded_with_news_of_claims(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """Whoever asks again and again for somebody else's address must not reach the owner more often than by other mails."""
    address = new_address()
    join_with(mailbox, address)
    mailbox.letters.clear()
    claimants = [Bearer(app).join(email=address) for _ in range(4)]
    for each in claimants:
        for _ in range(2):
            clock.shift(1)
            assert each.post(AGAIN).status_code == 202
            mailbox.deliver()
    assert 1 <= len(mailbox.to(address)) <= 5


def test_a_change_of_the_password_is_told_to_the_proven_address(app: Flask, mailbox: Mailbox) -> None:
    """And to no other: a claim that was never proven may be a stranger's address."""
    address, claimed = new_address(), new_address()
    for person in (join_with(mailbox, address), Bearer(app).join(email=claimed), Bearer(app).join()):
        body = {"current_password": person.password, "new_password": "Battery-Staple-8"}
        assert person.put(f"{ME}/password", json=body).status_code == 200
    assert mailbox.subjects(address)[-1] == "Your password was changed"
    assert [letter["To"] for letter in mailbox.letters if "changed" in letter["Subject"]] == [address]
    assert "token" not in mailbox.to(address)[-1].as_string()
