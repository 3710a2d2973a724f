"""Changing the address: the new one is proven, the old one is told."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer
from tests.mailbox import VERIFY, Mailbox, join_with, new_address
from tests.outbox.configured import text_of
from tests.processes.servers import simultaneously

EMAIL, AGAIN, EVENTS = "/v1/users/me/email", "/v1/users/me/email/verification", "/v1/users/me/events"
ROUNDS = range(5)
NOTICE, ASKED = "Your e-mail address is about to change", "Confirm your new e-mail address"


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


def change(person: Bearer, address: Any) -> TestResponse:
    return person.put(EMAIL, json={"email": address})


def verify(app: Flask, token: str) -> int:
    return Bearer(app).request("POST", VERIFY, json={"token": token}).status_code


def login(app: Flask, name: str, password: str) -> int:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password}).status_code


def profile(person: Bearer) -> tuple[str | None, bool]:
    mine = person.get("/v1/users/me").json
    return mine["email"], mine["email_verified"]


def test_nothing_changes_before_the_new_address_is_proven(app: Flask, mailbox: Mailbox, actor_class: type[Bearer]) -> None:
    old, new = new_address(), new_address()
    person = join_with(mailbox, old, kind=actor_class)
    answer = change(person, new)
    assert (answer.status_code, answer.data) == (202, b"")
    token = mailbox.token(new)
    assert profile(person) == (old, True)
    assert (login(app, old, person.password), login(app, new, person.password)) == (200, 401)
    assert verify(app, token) == 204
    assert profile(person) == (new, True)
    assert (login(app, old, person.password), login(app, new, person.password)) == (401, 200)


def test_the_old_address_gets_a_notice_that_betrays_little(mailbox: Mailbox) -> None:
    """Enough to recognise one's own, too little for whoever reads the old mail to learn the new address. And no token."""
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    notice = mailbox.to(old)[-1]
    assert notice["Subject"] == NOTICE
    assert "M***@Example.com" in text_of(notice)
    assert new not in notice.as_string()
    assert "#token=" not in notice.as_string()
    assert mailbox.subjects(new) == [ASKED]


def test_the_notice_arrives_also_when_the_change_was_quicker(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """Whoever takes an account over must not escape the notice by proving the new address while the old one is out of reach."""
    old, new = new_address(), new_address()
    change(join_with(mailbox, old), new)
    mailbox.deliver(failing="change_email_notice")
    assert verify(app, mailbox.token(new)) == 204
    clock.shift(10)
    assert mailbox.subjects(old)[-1] == NOTICE
    assert "M***@Example.com" in text_of(mailbox.to(old)[-1])


def test_who_had_no_proven_address_gets_one(app: Flask, mailbox: Mailbox) -> None:
    """An address that was never proven is told nothing: it may be a stranger's."""
    for person in (Bearer(app).join(), Bearer(app).join(email=new_address())):
        mailbox.deliver()
        mailbox.letters.clear()
        new = new_address()
        assert change(person, new).status_code == 202
        token = mailbox.token(new)
        assert [each["To"] for each in mailbox.letters] == [new]
        assert verify(app, token) == 204
        assert profile(person) == (new, True)
        assert person.get(EVENTS).json["items"][0]["type"] == "email_verified"


def test_a_second_change_replaces_the_first(app: Flask, mailbox: Mailbox) -> None:
    """The token of the first is dead at once, also if its mail leaves only afterwards."""
    old, first, second = new_address(), new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, first)
    token = mailbox.token(first)
    change(person, second)
    assert verify(app, token) == 403
    assert verify(app, mailbox.token(second)) == 204
    assert profile(person) == (second, True)
    change(person, first)
    change(person, second)
    assert mailbox.subjects(first) == [ASKED]


def test_an_earlier_token_of_the_present_address_dies_with_the_change(app: Flask, mailbox: Mailbox) -> None:
    claimed, new = new_address(), new_address()
    person = Bearer(app).join(email=claimed)
    token = mailbox.token(claimed)
    change(person, new)
    assert verify(app, token) == 403
    assert verify(app, mailbox.token(new)) == 204


def test_a_new_mail_goes_to_the_address_that_waits(app: Flask, mailbox: Mailbox) -> None:
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    mailbox.deliver()
    mailbox.letters.clear()
    assert person.post(AGAIN).status_code == 202
    assert [(each["To"], each["Subject"]) for each in mailbox.deliver()] == [(new, ASKED)]
    assert verify(app, mailbox.token(new)) == 204


def test_a_taken_address_is_not_betrayed_and_cannot_be_proven(app: Flask, mailbox: Mailbox) -> None:
    """Asking for it is answered as ever; its owner is told, and the asker gets no token."""
    old, taken = new_address(), new_address()
    owner, person = join_with(mailbox, taken), join_with(mailbox, old)
    mailbox.letters.clear()
    free, used = change(person, new_address()), change(person, taken.lower())
    assert (free.status_code, free.data, sorted(free.headers.keys())) == (
        used.status_code,
        used.data,
        sorted(used.headers.keys()),
    )
    mailbox.deliver()
    assert [(each["To"], each["Subject"]) for each in mailbox.letters if each["To"] != old] == [
        (taken, "You already have an account")
    ]
    assert profile(owner) == (taken, True)
    assert profile(person) == (old, True)


def test_an_address_that_somebody_else_proves_first_is_refused(app: Flask, mailbox: Mailbox) -> None:
    old, wanted = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, wanted)
    token = mailbox.token(wanted)
    join_with(mailbox, wanted)
    answer = Bearer(app).request("POST", VERIFY, json={"token": token})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/email-taken")
    assert profile(person) == (old, True)


def test_the_old_address_is_free_afterwards(app: Flask, mailbox: Mailbox) -> None:
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    verify(app, mailbox.token(new))
    other = join_with(mailbox, old)
    assert profile(other) == (old, True)
    assert profile(person) == (new, True)


def test_another_spelling_of_ones_own_address_is_a_change_too(app: Flask, mailbox: Mailbox) -> None:
    old = new_address()
    person = join_with(mailbox, old)
    change(person, old.upper())
    assert verify(app, mailbox.token(old.upper())) == 204
    assert profile(person) == (old.upper(), True)


def test_a_change_needs_a_fresh_token(app: Flask, mailbox: Mailbox) -> None:
    person = join_with(mailbox, new_address())
    person.refresh()
    answer = change(person, new_address())
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/fresh-token-required")
    person.keep(person.post("/v1/auth/reauthenticate", json={"password": person.password}))
    assert change(person, new_address()).status_code == 202


def test_a_change_needs_somebody(anybody: Bearer) -> None:
    assert change(anybody, new_address()).status_code == 401


@pytest.mark.parametrize("address", ["ada", "ada@", "@example.com", "a da@example.com", "", 7, None, "x" * 250 + "@example.com"])
def test_what_is_no_address_is_refused(user: Bearer, address: Any) -> None:
    answer = change(user, address)
    assert (answer.status_code, {each["pointer"] for each in answer.json["errors"]}) == (422, {"/email"})


def test_the_log_tells_who_asked_and_what_came_of_it(app: Flask, mailbox: Mailbox) -> None:
    person = join_with(mailbox, new_address())
    change(person, new := new_address())
    verify(app, mailbox.token(new))
    changed, asked, *_ = person.get(EVENTS).json["items"]
    assert (changed["type"], asked["type"]) == ("email_changed", "email_change_requested")
    assert asked["session_id"] == person.get("/v1/auth/session").json["session"]["id"]
    assert new.lower() not in person.get(EVENTS).text.lower()


def test_a_proof_at_the_moment_of_another_change_is_before_or_after_it(app: Flask, mailbox: Mailbox) -> None:
    """Neither waits for the other for ever. Before: the address is the first one, after: the token is dead."""
    for _ in ROUNDS:
        old, first, second = new_address(), new_address(), new_address()
        person = join_with(mailbox, old)
        change(person, first)
        token = mailbox.token(first)
        proof, asked = simultaneously(partial(verify, app, token), partial(change, person, second))
        assert asked.status_code == 202
        assert proof in {204, 403}
        assert profile(person) == ((first if proof == 204 else old), True)
