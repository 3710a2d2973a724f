"""Changing the address: the new one is proven, the old one is told."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer, new_name
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


def verify(person: Bearer, token: str) -> int:
    """Finish a change with the session of the person."""
    return person.post(VERIFY, json={"token": token}).status_code


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
    assert verify(person, token) == 204
    assert profile(person) == (new, True)
    assert (login(app, old, person.password), login(app, new, person.password)) == (401, 200)


def test_the_old_address_gets_a_notice_that_betrays_little(mailbox: Mailbox) -> None:
    """Enough to recognise one's own, too little for somebody who reads the old mail to learn the new address."""
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    notice = mailbox.to(old)[-1]
    assert notice["Subject"] == NOTICE
    assert "M***@Example.com" in text_of(notice)
    assert new not in notice.as_string()
    assert mailbox.subjects(new) == [ASKED]


def test_the_notice_arrives_also_when_the_change_was_quicker(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """Whoever takes an account over must not escape the notice by proving the new address while the old one is out of reach."""
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    mailbox.deliver(failing="change_email_notice")
    assert verify(person, mailbox.token(new)) == 204
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
        assert verify(person, token) == 204
        assert profile(person) == (new, True)
        assert person.get(EVENTS).json["items"][0]["type"] == "email_verified"


def test_a_second_change_replaces_the_first(app: Flask, mailbox: Mailbox) -> None:
    """The token of the first is dead at once, also if its mail leaves only afterwards."""
    old, first, second = new_address(), new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, first)
    token = mailbox.token(first)
    change(person, second)
    assert verify(person, token) == 403
    assert verify(person, mailbox.token(second)) == 204
    assert profile(person) == (second, True)
    change(person, first)
    change(person, second)
    assert mailbox.subjects(first) == [ASKED]


def test_an_earlier_token_of_the_present_address_dies_with_the_change(app: Flask, mailbox: Mailbox) -> None:
    claimed, new = new_address(), new_address()
    person = Bearer(app).join(email=claimed)
    token = mailbox.token(claimed)
    change(person, new)
    assert verify(person, token) == 403
    assert verify(person, mailbox.token(new)) == 204


def test_a_new_mail_goes_to_the_address_that_waits(app: Flask, mailbox: Mailbox) -> None:
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    mailbox.deliver()
    mailbox.letters.clear()
    assert person.post(AGAIN).status_code == 202
    assert [(each["To"], each["Subject"]) for each in mailbox.deliver()] == [(new, ASKED)]
    assert verify(person, mailbox.token(new)) == 204


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
    answer = person.post(VERIFY, json={"token": token})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/email-taken")
    assert profile(person) == (old, True)


def test_the_old_address_is_free_afterwards(app: Flask, mailbox: Mailbox) -> None:
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    change(person, new)
    verify(person, mailbox.token(new))
    other = join_with(mailbox, old)
    assert profile(other) == (old, True)
    assert profile(person) == (new, True)


def test_another_spelling_of_ones_own_address_is_a_change_too(app: Flask, mailbox: Mailbox) -> None:
    old = new_address()
    person = join_with(mailbox, old)
    change(person, old.upper())
    assert verify(person, mailbox.token(old.upper())) == 204
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
    verify(person, mailbox.token(new))
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
        proof, asked = simultaneously(partial(verify, person, token), partial(change, person, second))
        assert asked.status_code == 202
        assert proof in {204, 403}
        assert profile(person) == ((first if proof == 204 else old), True)


CONFIRM = (403, "/problems/confirmation-required")


def told(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["type"]


def test_a_change_is_finished_by_the_session_that_asked_for_it(app: Flask, mailbox: Mailbox, actor_class: type[Bearer]) -> None:
    """Another session of the account, of somebody else, or none: the token stays good, and the change waits."""
    new = new_address()
    person = join_with(mailbox, new_address(), kind=actor_class)
    another, stranger = actor_class(app, person.name), actor_class(app).join()
    another.login()
    change(person, new)
    body = {"token": mailbox.token(new)}
    for answer in (
        Bearer(app).request("POST", VERIFY, json=body),
        another.post(VERIFY, json=body),
        stranger.post(VERIFY, json=body),
    ):
        assert told(answer) == CONFIRM
    assert person.refresh().status_code == 200
    assert person.post(VERIFY, json=body).status_code == 204
    assert profile(person) == (new, True)


def test_a_change_is_finished_with_the_password(app: Flask, mailbox: Mailbox) -> None:
    """On another device, say, where nobody is signed in. A wrong password, and that of somebody else, change nothing."""
    new = new_address()
    person, other = join_with(mailbox, new_address()), Bearer(app)
    other.password = "Somebody-Elses-9"
    other.join()
    change(person, new)
    body = {"token": mailbox.token(new)}
    for wrong in ("Wrong-Horse-7", other.password):
        answer = Bearer(app).request("POST", VERIFY, json={**body, "password": wrong})
        assert told(answer) == (403, "/problems/wrong-password")
    answer = Bearer(app).request("POST", VERIFY, json={**body, "password": person.password})
    assert (answer.status_code, profile(person)) == (204, (new, True))


def test_the_pending_address_is_shown_and_can_be_withdrawn(app: Flask, mailbox: Mailbox, actor_class: type[Bearer]) -> None:
    old, new = new_address(), new_address()
    person = join_with(mailbox, old, kind=actor_class)
    assert person.get("/v1/users/me").json["pending_email"] is None
    change(person, new)
    assert person.get("/v1/users/me").json["pending_email"] == new
    token = mailbox.token(new)
    for _ in range(2):
        assert person.delete(f"{EMAIL}/pending").status_code == 204
    assert person.get("/v1/users/me").json["pending_email"] is None
    assert person.post(VERIFY, json={"token": token}).json["type"] == "/problems/one-time-token-refused"
    assert profile(person) == (old, True)
    assert person.get(EVENTS).json["items"][0]["type"] == "email_change_withdrawn"


def test_nobody_withdraws_for_somebody_else(anybody: Bearer) -> None:
    assert anybody.delete(f"{EMAIL}/pending").status_code == 401


def test_a_mailed_token_says_what_it_is_for(app: Flask, mailbox: Mailbox) -> None:
    """For the page behind the link, which names the account before anybody agrees. Asking uses nothing up."""
    old, new, described = new_address(), new_address(), "/v1/auth/mailed-token"
    person = Bearer(app).join(email=old)

    def about(token: str) -> tuple[str, str, str]:
        found = Bearer(app).request("POST", described, json={"token": token}).json
        return found["purpose"], found["username"], found["email"]

    token = mailbox.token(old)
    assert about(token) == ("verify_email", person.name, old)
    assert verify(person, token) == 204
    assert told(Bearer(app).request("POST", described, json={"token": token})) == (403, "/problems/one-time-token-refused")
    person.request("POST", "/v1/auth/password/forgot", json={"email": old})
    assert about(mailbox.token(old)) == ("reset_password", person.name, old)
    change(person, new)
    assert about(mailbox.token(new)) == ("change_email", person.name, new)
    assert about(mailbox.token(old)) == ("undo_email", person.name, old)


def test_the_mail_to_an_address_that_is_not_verified_names_the_account(app: Flask, mailbox: Mailbox) -> None:
    """So that a stranger sees that it is not theirs; and not as a link, whatever somebody calls themselves."""
    address = new_address()
    person = Bearer(app, f"www.{new_name()}.com").join(email=address)
    text = text_of(mailbox.to(address)[-1])
    assert person.name.replace(".", "[.]") in text
    assert person.name not in text
