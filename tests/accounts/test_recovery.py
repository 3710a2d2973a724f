"""Recovery is complete: nothing that an attacker began in an account can be finished after somebody recovered it.

HTTP only. The attacker knows the password and holds a session of their own, in each delivery.
"""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer
from tests.mailbox import VERIFY, Mailbox, join_with, new_address

ME, EMAIL, PASSWORD = "/v1/users/me", "/v1/users/me/email", "/v1/users/me/password"
FORGOT, RESET, UNDO = "/v1/auth/password/forgot", "/v1/auth/password/reset", "/v1/auth/email/undo"
NEW = "Battery-Staple-8"


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


class Story:
    """An account with a verified address, its owner, and an attacker who is signed in to it."""

    def __init__(self, app: Flask, mailbox: Mailbox, kind: type[Bearer]) -> None:
        self.app, self.mailbox = app, mailbox
        self.address, self.foreign = new_address(), new_address()
        self.owner = join_with(mailbox, self.address)
        self.attacker = kind(app, self.owner.name)
        assert self.attacker.login().status_code == 200
        self.admin = Bearer(app).join(roles=["admin"])
        self.user = f"/v1/admin/users/{self.owner.id}"

    def ask_for_a_change(self) -> str:
        """The attacker asks for their own address; return the token that is mailed there."""
        assert self.attacker.put(EMAIL, json={"email": self.foreign}).status_code == 202
        return self.mailbox.token(self.foreign)

    def post(self, path: str, **body: Any) -> Any:
        return Bearer(self.app).request("POST", path, json=body)

    def reset_password(self) -> None:
        assert self.post(FORGOT, email=self.address).status_code == 202
        assert self.post(RESET, token=self.mailbox.token(self.address), new_password=NEW).status_code == 204
        self.owner.password = NEW

    def change_password(self) -> None:
        body = {"current_password": self.owner.password, "new_password": NEW}
        assert self.owner.keep(self.owner.put(PASSWORD, json=body)).status_code == 200
        self.owner.password = NEW

    def revoke(self) -> None:
        assert self.admin.post(f"{self.user}/revoke").status_code == 204

    def suspend(self) -> None:
        self.write("PATCH", json={"suspension": {"reason": "taken over"}})
        self.write("PATCH", json={"suspension": None})

    def delete(self) -> None:
        self.write("DELETE")

    def write(self, method: str, **options: Any) -> None:
        answer = self.admin.signed_in(method, self.user, headers={"If-Match": "*"}, **options)
        assert answer.status_code in {200, 204}, answer.text

    def owns_it_again(self) -> None:
        """The owner signs in by the address and the name; nobody can by the attacker's address, nor reset with it."""
        for name, status in ((self.address, 200), (self.owner.name, 200), (self.foreign, 401)):
            assert self.post("/v1/auth/login", username=name, password=self.owner.password).status_code == status
        self.cannot_reset_elsewhere()

    def cannot_reset_elsewhere(self) -> None:
        before = len(self.mailbox.to(self.foreign))
        assert self.post(FORGOT, email=self.foreign).status_code == 202
        assert len(self.mailbox.to(self.foreign)) == before


RECOVERIES = ("reset_password", "change_password", "revoke", "suspend")


@pytest.mark.parametrize("recovery", RECOVERIES)
def test_a_change_that_was_asked_for_before_a_recovery_is_dead(
    app: Flask, mailbox: Mailbox, actor_class: type[Bearer], recovery: str
) -> None:
    """With the session that asked, with the password, and with nothing: the token moves the account nowhere."""
    story = Story(app, mailbox, actor_class)
    old_password = story.owner.password
    token = story.ask_for_a_change()
    getattr(story, recovery)()
    assert story.attacker.get(ME).status_code == 401
    assert story.attacker.post(VERIFY, json={"token": token}).status_code == 401
    for more in ({}, {"password": old_password}, {"password": story.owner.password}):
        answer = story.post(VERIFY, token=token, **more)
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/one-time-token-refused")
    story.owns_it_again()


@pytest.mark.parametrize("recovery", RECOVERIES[1:])
def test_a_mail_that_leaves_after_a_recovery_carries_no_token(
    app: Flask, mailbox: Mailbox, actor_class: type[Bearer], recovery: str
) -> None:
    story = Story(app, mailbox, actor_class)
    assert story.attacker.put(EMAIL, json={"email": story.foreign}).status_code == 202
    assert story.post(FORGOT, email=story.address).status_code == 202
    getattr(story, recovery)()
    left = mailbox.deliver()
    assert story.foreign not in [letter["To"] for letter in left]
    assert not any("#token=" in letter.as_string() for letter in left)
    story.owns_it_again()


@pytest.mark.parametrize("recovery", RECOVERIES)
def test_a_reset_link_from_before_a_recovery_is_dead(
    app: Flask, mailbox: Mailbox, actor_class: type[Bearer], recovery: str
) -> None:
    """Somebody who reads the mailbox cannot keep a link for later."""
    story = Story(app, mailbox, actor_class)
    assert story.post(FORGOT, email=story.address).status_code == 202
    kept = mailbox.token(story.address)
    getattr(story, recovery)()
    answer = story.post(RESET, token=kept, new_password="Another-Horse-9")
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/one-time-token-refused")
    story.owns_it_again()


def test_nothing_waits_in_a_deleted_account(app: Flask, mailbox: Mailbox, actor_class: type[Bearer]) -> None:
    story = Story(app, mailbox, actor_class)
    token = story.ask_for_a_change()
    undo = mailbox.token(story.address)
    story.delete()
    assert story.attacker.post(VERIFY, json={"token": token}).status_code == 401
    for path, body in (
        (VERIFY, {"token": token}),
        (VERIFY, {"token": token, "password": story.owner.password}),
        (UNDO, {"token": undo}),
    ):
        assert story.post(path, **body).status_code == 403
    story.cannot_reset_elsewhere()


@pytest.mark.parametrize("recovery", [None, "change_password", "revoke", "suspend"])
def test_a_change_that_was_finished_is_undone_from_the_old_mailbox(
    app: Flask, mailbox: Mailbox, actor_class: type[Bearer], recovery: str | None
) -> None:
    """For seven days, without signing in, and whatever was done to the account meanwhile, by the attacker too."""
    story = Story(app, mailbox, actor_class)
    token = story.ask_for_a_change()
    undo = mailbox.token(story.address)
    assert story.attacker.post(VERIFY, json={"token": token}).status_code == 204
    assert story.attacker.get(ME).json["email"] == story.foreign
    if recovery == "change_password":
        body = {"current_password": story.owner.password, "new_password": "Stolen-Horse-11"}
        assert story.attacker.keep(story.attacker.put(PASSWORD, json=body)).status_code == 200
    elif recovery:
        getattr(story, recovery)()
    assert story.post(UNDO, token=undo).status_code == 204
    assert story.attacker.get(ME).status_code == 401
    story.cannot_reset_elsewhere()
    story.reset_password()
    story.owns_it_again()
    assert story.post(UNDO, token=undo).status_code == 403


def test_an_account_that_was_made_with_a_strangers_address(app: Flask, mailbox: Mailbox, actor_class: type[Bearer]) -> None:
    """No stolen password: the attacker registers with the victim's address, the victim confirms it and resets the password."""
    address, foreign = new_address(), new_address()
    attacker = actor_class(app).join(email=address)
    story = Bearer(app)
    assert story.request("POST", VERIFY, json={"token": mailbox.token(address)}).status_code == 204
    assert attacker.put(EMAIL, json={"email": foreign}).status_code == 202
    token = mailbox.token(foreign)
    story.request("POST", FORGOT, json={"email": address})
    reset = {"token": mailbox.token(address), "new_password": NEW}
    assert story.request("POST", RESET, json=reset).status_code == 204
    assert attacker.post(VERIFY, json={"token": token}).status_code == 401
    for body in ({"token": token}, {"token": token, "password": attacker.password}):
        assert story.request("POST", VERIFY, json=body).status_code == 403
    for name, status in ((address, 200), (foreign, 401)):
        assert story.request("POST", "/v1/auth/login", json={"username": name, "password": NEW}).status_code == status


def test_the_undo_of_a_later_change_does_not_disarm_the_first(app: Flask, mailbox: Mailbox) -> None:
    """An attacker changes twice and undoes the second change: the owner's link must survive it."""
    story = Story(app, mailbox, Bearer)
    token = story.ask_for_a_change()
    undo = mailbox.token(story.address)
    assert story.attacker.post(VERIFY, json={"token": token}).status_code == 204
    second = new_address()
    assert story.attacker.put(EMAIL, json={"email": second}).status_code == 202
    theirs = mailbox.token(story.foreign)
    assert story.post(UNDO, token=theirs).status_code == 204
    assert story.post(UNDO, token=undo).status_code == 204
    assert story.post("/v1/auth/login", username=story.address, password=story.owner.password).status_code == 200


def test_the_undo_of_the_first_change_disarms_the_later_ones(app: Flask, mailbox: Mailbox) -> None:
    story = Story(app, mailbox, Bearer)
    token = story.ask_for_a_change()
    undo = mailbox.token(story.address)
    assert story.attacker.post(VERIFY, json={"token": token}).status_code == 204
    assert story.attacker.put(EMAIL, json={"email": new_address()}).status_code == 202
    theirs = mailbox.token(story.foreign)
    assert story.post(UNDO, token=undo).status_code == 204
    assert story.post(UNDO, token=theirs).status_code == 403


def test_an_undo_works_for_seven_days(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    for seconds, status in ((7 * 86_400 - 60, 204), (7 * 86_400 + 60, 403)):
        story = Story(app, mailbox, Bearer)
        story.ask_for_a_change()
        undo = mailbox.token(story.address)
        clock.shift(seconds)
        assert story.post(UNDO, token=undo).status_code == status


def test_an_undo_gives_way_to_an_administrator(app: Flask, mailbox: Mailbox) -> None:
    """An address that an administrator has set is not brought back by an old mail."""
    story = Story(app, mailbox, Bearer)
    story.ask_for_a_change()
    undo = mailbox.token(story.address)
    chosen = new_address()
    story.write("PATCH", json={"email": chosen, "email_verified": True})
    assert story.post(UNDO, token=undo).status_code == 403
    assert story.post("/v1/auth/login", username=chosen, password=story.owner.password).status_code == 200


def test_an_undo_takes_no_address_that_somebody_else_has_verified(app: Flask, mailbox: Mailbox) -> None:
    story = Story(app, mailbox, Bearer)
    token = story.ask_for_a_change()
    undo = mailbox.token(story.address)
    assert story.attacker.post(VERIFY, json={"token": token}).status_code == 204
    join_with(mailbox, story.address)
    answer = story.post(UNDO, token=undo)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/email-taken")
