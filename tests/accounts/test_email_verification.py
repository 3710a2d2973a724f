"""Proving an e-mail address: two may claim it, one can prove it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.accounts import one_time_tokens
from api.accounts.models import OneTimeToken
from api.database import db, fetch_all
from tests.actors import Bearer
from tests.mailbox import VERIFY, Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

AGAIN = "/v1/users/me/email/verification"
ROUNDS = range(5)
REFUSED = (403, "/problems/one-time-token-refused")
TAKEN = (409, "/problems/email-taken")


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


def verify(app: Flask, token: Any) -> TestResponse:
    return Bearer(app).request("POST", VERIFY, json={"token": token})


def told(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["type"]


def profile(person: Bearer) -> tuple[str | None, bool]:
    mine = person.get("/v1/users/me").json
    return mine["email"], mine["email_verified"]


def test_the_mail_proves_the_address(app: Flask, mailbox: Mailbox) -> None:
    """Without anybody being signed in where the link is opened, and without signing anybody in there."""
    address = new_address()
    person = Bearer(app).join(email=address)
    assert profile(person) == (address, False)
    answer = verify(app, mailbox.token(address))
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Set-Cookie" not in answer.headers
    assert profile(person) == (address, True)


def test_a_token_proves_once(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    Bearer(app).join(email=address)
    token = mailbox.token(address)
    assert verify(app, token).status_code == 204
    again = verify(app, token)
    assert told(again) == REFUSED
    assert again.headers["WWW-Authenticate"].startswith("Bearer")


def test_of_simultaneous_proofs_exactly_one_counts(app: Flask, mailbox: Mailbox) -> None:
    for _ in ROUNDS:
        address = new_address()
        person = Bearer(app).join(email=address)
        token = mailbox.token(address)
        answers = simultaneously(*[partial(verify, app, token)] * 16)
        assert sorted(each.status_code for each in answers) == [204] + [403] * 15
        assert profile(person) == (address, True)


def test_a_newer_token_kills_the_older_ones(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = Bearer(app).join(email=address)
    tokens = [mailbox.token(address)]
    for _ in range(2):
        person.post(AGAIN)
        tokens.append(mailbox.token(address))
    answers = [verify(app, token) for token in tokens]
    assert [each.status_code for each in answers] == [403, 403, 204]


@pytest.mark.parametrize("token", ["A" * 43, "-" * 43])
def test_a_token_that_nobody_mailed_is_refused(app: Flask, token: str) -> None:
    assert told(verify(app, token)) == REFUSED


@pytest.mark.parametrize("token", ["", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "é", 7, None, ["A" * 43]])
def test_what_no_mail_can_hold_is_a_fault_of_input(app: Flask, token: Any) -> None:
    answer = verify(app, token)
    assert (answer.status_code, {each["pointer"] for each in answer.json["errors"]}) == (422, {"/token"})


def test_a_changed_letter_in_the_token_is_another_token(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    Bearer(app).join(email=address)
    token = mailbox.token(address)
    other = ("B" if token[0] == "A" else "A") + token[1:]
    assert told(verify(app, other)) == REFUSED
    assert verify(app, token).status_code == 204


def test_a_token_expires(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """A day after it was made, to the moment; `purge` forgets it then."""
    people = {address: Bearer(app) for address in (new_address(), new_address())}
    for address, person in people.items():
        person.register(email=address)
    early, late = [mailbox.token(address) for address in people]
    clock.shift(86_400 - 1)
    assert verify(app, early).status_code == 204
    clock.shift(1)
    assert told(verify(app, late)) == REFUSED
    clock.shift(1)
    with app.app_context():
        assert one_time_tokens.purge_tokens() >= 1
        assert not fetch_all(select(OneTimeToken.digest).where(OneTimeToken.email == list(people)[1]))


def test_a_reset_token_proves_no_address(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    person = join_with(mailbox, address)
    person.request("POST", "/v1/auth/password/forgot", json={"email": address})
    token = mailbox.token(address)
    assert told(verify(app, token)) == REFUSED
    body = {"token": token, "new_password": "Battery-Staple-8"}
    assert person.request("POST", "/v1/auth/password/reset", json=body).status_code == 204


def test_only_a_digest_of_the_token_is_stored(app: Flask, mailbox: Mailbox) -> None:
    """Whoever reads the database cannot prove anything with it."""
    address = new_address()
    Bearer(app).join(email=address)
    token = mailbox.token(address)
    with app.app_context():
        rows = [str(row) for table in db.metadata.sorted_tables for row in fetch_all(select(table))]
    assert any(address in row for row in rows)
    assert not any(token in row for row in rows)
    assert verify(app, token).status_code == 204


def test_two_may_claim_and_one_can_prove(app: Flask, mailbox: Mailbox) -> None:
    """Who holds both mails learns that the first proof counts; the second account keeps an unproven claim."""
    address = new_address()
    first, second = Bearer(app).join(email=address), Bearer(app).join(email=address.lower())
    tokens = mailbox.token(address), mailbox.token(address.lower())
    assert verify(app, tokens[0]).status_code == 204
    for _ in range(2):
        assert told(verify(app, tokens[1])) == TAKEN
    assert profile(first) == (address, True)
    assert profile(second) == (address.lower(), False)


def test_of_simultaneous_proofs_by_two_claimants_one_counts(app: Flask, mailbox: Mailbox) -> None:
    for _ in ROUNDS:
        address = new_address()
        people = [Bearer(app).join(email=spelling) for spelling in (address, address.upper())]
        tokens = [mailbox.token(address), mailbox.token(address.upper())]
        answers = simultaneously(*[partial(verify, app, token) for token in tokens])
        assert sorted(each.status_code for each in answers) == [204, 409]
        assert [profile(each)[1] for each in people] == [each.status_code == 204 for each in answers]


def test_the_proven_address_leads_to_its_owner_only(app: Flask, mailbox: Mailbox) -> None:
    """Claiming an address opens nothing by it, before and after somebody has proven it."""
    address = new_address()
    owner, claimant = Bearer(app), Bearer(app)
    claimant.password = "Claimants-Horse-8"
    for each in (claimant, owner):
        each.join(email=address)
    token = mailbox.token(address)  # the owner's, whose claim came last
    by_mail = [{"username": address.lower(), "password": each.password} for each in (owner, claimant)]
    login = partial(Bearer(app).request, "POST", "/v1/auth/login")
    assert [login(json=each).status_code for each in by_mail] == [401, 401]
    assert verify(app, token).status_code == 204
    opened, refused = [login(json=each) for each in by_mail]
    assert (opened.status_code, refused.status_code) == (200, 401)
    assert opened.json["session_id"] in {each["id"] for each in owner.get("/v1/users/me/sessions").json["items"]}
    assert claimant.login().status_code == 200


def test_the_owner_is_told_when_somebody_registers_with_the_address(app: Flask, mailbox: Mailbox) -> None:
    """In the spelling that was proven. The other one gets no token, also when asking again."""
    address = new_address()
    owner = join_with(mailbox, address)
    mailbox.letters.clear()
    claimant = Bearer(app).join(email=address.upper())
    assert mailbox.subjects(address) == ["You already have an account"]
    assert claimant.post(AGAIN).status_code == 202
    assert mailbox.subjects(address) == ["You already have an account"] * 2
    assert mailbox.subjects(address.upper()) == []
    assert all(owner.name in each.as_string() and claimant.name not in each.as_string() for each in mailbox.letters)


def test_a_new_mail_can_be_asked_for(person: Bearer, app: Flask, mailbox: Mailbox) -> None:
    """The newest one counts."""
    address = new_address()
    owner = type(person)(app).join(email=address)
    first = mailbox.token(address)
    answer = owner.post(AGAIN)
    assert (answer.status_code, answer.data) == (202, b"")
    second = mailbox.token(address)
    assert first != second
    assert told(verify(app, first)) == REFUSED
    assert verify(app, second).status_code == 204


@pytest.mark.parametrize("proven", [True, False], ids=["proven", "none"])
def test_there_must_be_something_to_prove(app: Flask, mailbox: Mailbox, proven: bool) -> None:
    person = join_with(mailbox, new_address()) if proven else Bearer(app).join()
    assert told(person.post(AGAIN)) == (409, "/problems/nothing-to-verify")
    assert mailbox.deliver() == []


def test_asking_needs_somebody(anybody: Bearer) -> None:
    assert told(anybody.post(AGAIN)) == (401, "/problems/authentication-required")


def test_the_log_tells_of_the_proof(app: Flask, mailbox: Mailbox) -> None:
    person = join_with(mailbox, new_address())
    newest, *_ = person.get("/v1/users/me/events").json["items"]
    assert (newest["type"], newest["user_id"], newest["actor_id"]) == ("email_verified", person.id, person.id)
