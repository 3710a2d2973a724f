"""The way back for somebody who forgot the password: through a proven address, and no further than to a new password."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from api import admin as administration
from api import users
from api.database import db, fetch_all
from tests.actors import Bearer, Hybrid
from tests.mailbox import VERIFY, Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

FORGOT, RESET, ME = "/v1/auth/password/forgot", "/v1/auth/password/reset", "/v1/users/me"
NEW = "Battery-Staple-8"
REFUSED = (403, "/problems/one-time-token-refused")


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own, and room for as many hashes at once as there are simultaneous resets below."""
    return new_app(argon2_concurrency=64)


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


def forgot(app: Flask, address: str) -> TestResponse:
    return Bearer(app).request("POST", FORGOT, json={"email": address})


def reset(app: Flask, token: Any, new: Any = NEW) -> TestResponse:
    return Bearer(app).request("POST", RESET, json={"token": token, "new_password": new})


def login(app: Flask, name: str, password: str = NEW) -> TestResponse:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password})


def told(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["type"]


def reset_token(mailbox: Mailbox, address: str) -> str:
    assert forgot(mailbox.app, address).status_code == 202
    return mailbox.token(address)


def test_the_new_password_counts_and_the_old_one_does_not(app: Flask, mailbox: Mailbox, actor_class: type[Bearer]) -> None:
    address = new_address()
    person = join_with(mailbox, address, kind=actor_class)
    answer = reset(app, reset_token(mailbox, address))
    assert (answer.status_code, answer.data) == (204, b"")
    assert login(app, person.name, person.password).status_code == 401
    assert login(app, person.name).status_code == 200
    assert login(app, address).status_code == 200


@pytest.mark.parametrize("other_class", [Bearer, Hybrid], ids=["body", "hybrid"])
def test_every_session_ends_at_once(app: Flask, mailbox: Mailbox, actor_class: type[Bearer], other_class: type[Bearer]) -> None:
    """Whoever knew the old password is out, access tokens included."""
    address = new_address()
    first = join_with(mailbox, address, kind=actor_class)
    second = other_class(app, first.name)
    second.login()
    assert reset(app, reset_token(mailbox, address)).status_code == 204
    for each in (first, second):
        assert each.get(ME).json["type"] == "/problems/token-revoked"
        assert each.refresh().json["type"] == "/problems/session-ended"


def test_sessions_of_other_people_stay(app: Flask, mailbox: Mailbox) -> None:
    address, other = new_address(), Bearer(app).join()
    join_with(mailbox, address)
    reset(app, reset_token(mailbox, address))
    assert other.get(ME).status_code == 200
    assert other.refresh().status_code == 200


def test_nobody_is_signed_in_by_it(app: Flask, mailbox: Mailbox) -> None:
    """A link that leaks opens no session; whoever has a second factor is asked for it when signing in."""
    address = new_address()
    join_with(mailbox, address)
    browser = Hybrid(app)
    answer = browser.request("POST", RESET, json={"token": reset_token(mailbox, address), "new_password": NEW})
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Set-Cookie" not in answer.headers
    assert browser.get("/v1/auth/session").json == {"authenticated": False}
    assert browser.refresh().status_code == 401


def test_a_token_resets_once(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = join_with(mailbox, address)
    token = reset_token(mailbox, address)
    assert reset(app, token).status_code == 204
    again = reset(app, token, "Another-Horse-9")
    assert told(again) == REFUSED
    assert again.headers["WWW-Authenticate"].startswith("Bearer")
    assert login(app, person.name).status_code == 200


def test_a_newer_token_kills_the_older_ones(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    join_with(mailbox, address)
    first, second = reset_token(mailbox, address), reset_token(mailbox, address)
    assert told(reset(app, first)) == REFUSED
    assert reset(app, second).status_code == 204
    assert told(reset(app, first)) == REFUSED


def test_of_fifty_simultaneous_uses_exactly_one_counts(app: Flask, mailbox: Mailbox) -> None:
    """The password is the one whose request was answered with success."""
    address = new_address()
    person = join_with(mailbox, address)
    token = reset_token(mailbox, address)
    passwords = [f"Battery-Staple-{number}" for number in range(50)]
    answers = simultaneously(*[partial(reset, app, token, each) for each in passwords])
    assert sorted(each.status_code for each in answers) == [204] + [403] * 49
    (counted,) = [password for password, answer in zip(passwords, answers, strict=True) if answer.status_code == 204]
    assert login(app, person.name, counted).status_code == 200
    assert mailbox.subjects(address).count("Your password was changed") == 1
    types = [each["type"] for each in _events(app, person.name, counted)]
    assert types.count("password_reset") == 1


def _events(app: Flask, name: str, password: str = NEW) -> list[dict[str, Any]]:
    person = Bearer(app, name)
    person.password = password
    person.login()
    found: list[dict[str, Any]] = person.get(f"{ME}/events").json["items"]
    return found


def test_a_sign_in_at_the_moment_of_a_reset_is_over_or_refused(app: Flask, mailbox: Mailbox) -> None:
    """Who knows only the old password has nothing that works afterwards."""
    for _ in range(5):
        address = new_address()
        owner = join_with(mailbox, address)
        token = reset_token(mailbox, address)
        thieves = [Bearer(app, owner.name) for _ in range(6)]
        *answers, done = simultaneously(*[each.login for each in thieves], partial(reset, app, token))
        assert done.status_code == 204
        assert {each.status_code for each in answers} <= {200, 401}
        for thief in [owner, *thieves]:
            assert thief.get(ME).status_code == 401
            assert thief.refresh().status_code == 401


@pytest.mark.parametrize("token", ["A" * 43, "_" * 43])
def test_a_token_that_nobody_mailed_is_refused(app: Flask, token: str) -> None:
    assert told(reset(app, token)) == REFUSED


@pytest.mark.parametrize("token", ["", "A" * 42, "A" * 44, " " + "A" * 42, 7, None, {}])
def test_what_no_mail_can_hold_is_a_fault_of_input(app: Flask, token: Any) -> None:
    answer = reset(app, token)
    assert (answer.status_code, {each["pointer"] for each in answer.json["errors"]}) == (422, {"/token"})


def test_a_token_expires(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """Ten minutes after it was made, to the moment."""
    early, late = new_address(), new_address()
    for each in (early, late):
        join_with(mailbox, each)
    tokens = [reset_token(mailbox, each) for each in (early, late)]
    clock.shift(600 - 1)
    assert reset(app, tokens[0]).status_code == 204
    clock.shift(1)
    assert told(reset(app, tokens[1])) == REFUSED


def test_a_verification_token_resets_nothing(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = Bearer(app).join(email=address)
    token = mailbox.token(address)
    assert told(reset(app, token)) == REFUSED
    assert login(app, person.name, person.password).status_code == 200
    assert Bearer(app).request("POST", VERIFY, json={"token": token}).status_code == 204


def test_a_change_of_the_password_voids_it(app: Flask, mailbox: Mailbox) -> None:
    """Who changes the password because a mail was read by somebody else is safe from that mail."""
    address = new_address()
    person = join_with(mailbox, address)
    token = reset_token(mailbox, address)
    body = {"current_password": person.password, "new_password": NEW}
    assert person.put(f"{ME}/password", json=body).status_code == 200
    assert told(reset(app, token, "Another-Horse-9")) == REFUSED
    assert login(app, person.name).status_code == 200


def test_a_change_of_the_address_voids_it(app: Flask, mailbox: Mailbox) -> None:
    """It was mailed to an address that is the person's no more. Only asking for the change voids nothing."""
    old, new = new_address(), new_address()
    person = join_with(mailbox, old)
    token = reset_token(mailbox, old)
    person.put(f"{ME}/email", json={"email": new})
    assert told(reset(app, token, "Password123")) == (409, "/problems/password-refused")
    assert person.post(VERIFY, json={"token": mailbox.token(new)}).status_code == 204
    assert told(reset(app, token)) == REFUSED
    mailbox.letters.clear()
    forgot(app, old)
    assert mailbox.to(old) == []


@pytest.mark.parametrize("new", ["Short-1", "no-upper-case-1", "No-Digit-At-All", "A1" + "x" * 127, 7, None])
def test_a_password_against_the_policy_does_not_spend_the_token(app: Flask, mailbox: Mailbox, new: Any) -> None:
    address = new_address()
    join_with(mailbox, address)
    token = reset_token(mailbox, address)
    answer = reset(app, token, new)
    assert (answer.status_code, {each["pointer"] for each in answer.json["errors"]}) == (422, {"/new_password"})
    assert reset(app, token).status_code == 204


def test_a_password_that_is_easy_to_guess_does_not_spend_the_token(app: Flask, mailbox: Mailbox) -> None:
    """One from the list of common ones, and the username, whichever way it is written. Nothing else happens either."""
    address = new_address()
    person = join_with(mailbox, address)
    token = reset_token(mailbox, address)
    for each in ("Password123", person.name.title()):
        answer = reset(app, token, each)
        assert told(answer) == (409, "/problems/password-refused")
        assert answer.json["errors"][0]["pointer"] == "/new_password"
    assert person.get(ME).status_code == 200
    assert reset(app, token).status_code == 204


def test_the_policy_is_told_only_to_who_has_the_mail(app: Flask) -> None:
    assert told(reset(app, "A" * 43, "Password123")) == REFUSED


def test_only_a_digest_of_the_token_is_stored(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    join_with(mailbox, address)
    token = reset_token(mailbox, address)
    with app.app_context():
        rows = [str(row) for table in db.metadata.sorted_tables for row in fetch_all(select(table))]
    assert any(address in row for row in rows)
    assert not any(token in row for row in rows)
    assert reset(app, token).status_code == 204


def test_the_owner_is_told_and_the_log_too(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = join_with(mailbox, address)
    mailbox.letters.clear()
    reset(app, reset_token(mailbox, address))
    assert mailbox.subjects(address) == ["Choose a new password", "Your password was changed"]
    _, done, asked, *_ = _events(app, person.name)
    assert (done["type"], asked["type"]) == ("password_reset", "password_reset_requested")
    assert done["user_id"] == done["actor_id"] == asked["user_id"]
    assert asked["actor_id"] is None  # anybody can ask


def test_a_reset_that_is_refused_tells_nobody(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = join_with(mailbox, address)
    token = reset_token(mailbox, address)
    mailbox.letters.clear()
    assert reset(app, token, "Password123").status_code == 409
    assert mailbox.deliver() == []
    assert "password_reset" not in {each["type"] for each in _events(app, person.name, person.password)}


def test_who_is_suspended_gets_a_password_and_stays_outside(app: Flask, mailbox: Mailbox) -> None:
    """The address is theirs all the same; that they are suspended is told only to who knows the new password."""
    address = new_address()
    person = join_with(mailbox, address)
    _operate(person, status="suspended")
    assert reset(app, reset_token(mailbox, address)).status_code == 204
    assert told(login(app, person.name)) == (403, "/problems/account-suspended")
    assert told(login(app, person.name, person.password)) == (401, "/problems/invalid-credentials")
    _operate(person, status="active")
    assert login(app, person.name).status_code == 200


def _operate(person: Bearer, **columns: Any) -> None:
    with person.app.app_context():
        users.bump_version(administration.find_by_username(person.name).id, **columns)


def test_a_token_of_a_deleted_account_is_dead(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = join_with(mailbox, address)
    token = reset_token(mailbox, address)
    assert person.delete(ME).status_code == 204
    assert told(reset(app, token)) == REFUSED
    assert told(reset(app, token, "Password123")) == REFUSED


@pytest.fixture(scope="module")
def guarded_app(new_app: Callable[..., Flask]) -> Flask:
    """Failures slow down; the rates are out of the way."""
    names = ("login_account", "login_address", "password", "register", "mail", "general")
    return new_app(ratelimit_enabled=True, **{f"ratelimit_{name}": "100000/minute" for name in names})


def test_a_reset_ends_the_delay_of_the_owner_and_of_nobody_else(guarded_app: Flask, clock: Any) -> None:
    """Somebody else's guesses, or one's own, must not keep the owner out after the proof. The clock stands still."""
    mailbox, address = Mailbox(guarded_app), new_address()
    person, other = join_with(mailbox, address), Bearer(guarded_app).join()
    token = reset_token(mailbox, address)
    for each in (person, other):
        for _ in range(5):
            assert login(guarded_app, each.name, "Wrong-Horse-7").status_code == 401
        assert login(guarded_app, each.name, each.password).status_code == 429
    assert reset(guarded_app, token).status_code == 204
    assert login(guarded_app, address).status_code == 200
    assert login(guarded_app, person.name).status_code == 200
    assert login(guarded_app, other.name, other.password).status_code == 429
