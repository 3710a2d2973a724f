"""Deleting one's own account: everything that names the person goes, and nobody can pass for them afterwards."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.audit import AuditEvent
from api.cli import purge
from api.database import db, fetch_all
from api.sessions import throttle
from api.sessions.models import SignInFailures
from api.users import passwords
from tests.actors import Bearer, Browser, Hybrid
from tests.mailbox import Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

ME, EMAIL, FORGOT = "/v1/users/me", "/v1/users/me/email", "/v1/auth/password/forgot"
REGISTER, LOGIN = "/v1/auth/register", "/v1/auth/login"
ROUNDS = range(5)


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox, and tables, of our own."""
    return new_app()


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


def told(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["type"]


def test_every_session_is_dead_at_once(person: Bearer, app: Flask) -> None:
    others = [kind(app, person.name) for kind in (Bearer, Hybrid, Browser)]
    for each in others:
        each.login()
    answer = person.delete(ME)
    assert (answer.status_code, answer.data) == (204, b"")
    for each in (person, *others):
        assert each.get(ME).json["type"] == "/problems/token-revoked"
        assert each.refresh().json["type"] == "/problems/session-ended"
        assert each.delete(ME).status_code == 401


def test_it_cannot_be_signed_in_to(app: Flask, mailbox: Mailbox) -> None:
    """Neither by name nor by address, and the answer is that to a name which never was."""
    address = new_address()
    person = join_with(mailbox, address)
    never_was = Bearer(app).login()
    person.delete(ME)
    for name in (person.name, person.name.upper(), address):
        answer = person.request("POST", LOGIN, json={"username": name, "password": person.password})
        assert {**answer.json, "request_id": ""} == {**never_was.json, "request_id": ""}
    for name in ("deleted", "deleted:"):
        assert person.request("POST", LOGIN, json={"username": name, "password": person.password}).status_code == 401


@pytest.mark.parametrize("spell", [str, str.upper, str.title], ids=["same", "upper", "title"])
def test_nobody_gets_the_username_again(user: Bearer, app: Flask, spell: Callable[[str], str]) -> None:
    """Who trusts the name elsewhere must not meet somebody else under it. Answered like any name that is taken."""
    user.delete(ME)
    answer = Bearer(app, spell(user.name)).register()
    assert told(answer) == (409, "/problems/username-taken")
    assert answer.json["errors"] == [{"pointer": "/username", "detail": "Taken."}]
    admin = Bearer(app).join(roles=["admin"])
    body = {"username": spell(user.name), "password": user.password, "roles": ["user"]}
    assert told(admin.post("/v1/admin/users", json=body)) == (409, "/problems/username-taken")


def test_the_address_may_be_used_again(app: Flask, mailbox: Mailbox) -> None:
    """By whoever proves it, which the one who left could do too."""
    address = new_address()
    gone = join_with(mailbox, address)
    gone_id = gone.id
    gone.delete(ME)
    heir = join_with(mailbox, address)
    answer = heir.request("POST", LOGIN, json={"username": address, "password": heir.password})
    assert answer.status_code == 200
    assert heir.id != gone_id
    assert {each["user_id"] for each in heir.get(f"{ME}/events").json["items"]} == {heir.id}


def test_it_needs_a_fresh_token(person: Bearer) -> None:
    """A token that was found lying around does not suffice."""
    person.refresh()
    assert told(person.delete(ME)) == (401, "/problems/fresh-token-required")
    assert person.get(ME).status_code == 200
    person.keep(person.post("/v1/auth/reauthenticate", json={"password": person.password}))
    assert person.delete(ME).status_code == 204


def test_a_token_stays_fresh_for_ten_minutes(app: Flask, clock: Any) -> None:
    early, late = Bearer(app).join(), Bearer(app).join()
    clock.shift(600 - 1)
    assert early.delete(ME).status_code == 204
    clock.shift(2)
    assert told(late.delete(ME)) == (401, "/problems/fresh-token-required")


def test_it_needs_somebody(anybody: Bearer) -> None:
    assert told(anybody.delete(ME)) == (401, "/problems/authentication-required")


def test_of_simultaneous_deletions_nothing_is_left_half(app: Flask) -> None:
    for _ in ROUNDS:
        person = Bearer(app).join()
        user_id = person.id
        copies = [Bearer(app) for _ in range(8)]
        answers = simultaneously(*[partial(each.request, "DELETE", ME, token=person.access_token) for each in copies])
        assert 204 in {each.status_code for each in answers}
        assert {each.status_code for each in answers} <= {204, 401}
        assert [row.type for row in events_of(app, user_id)].count("deletion") == 1


def test_a_sign_in_at_the_moment_of_a_deletion_is_over_or_refused(app: Flask) -> None:
    for _ in ROUNDS:
        person = Bearer(app).join()
        others = [Bearer(app, person.name) for _ in range(6)]
        *answers, deleted = simultaneously(*[each.login for each in others], lambda person=person: person.delete(ME))
        assert deleted.status_code == 204
        assert {each.status_code for each in answers} <= {200, 401}
        for other in others:
            assert other.get(ME).status_code == 401
            assert other.refresh().status_code == 401


def test_a_registration_of_the_name_at_the_moment_of_the_deletion_is_refused(app: Flask) -> None:
    """There is no moment between the name that is in use and the name that was."""
    for _ in ROUNDS:
        person = Bearer(app).join()
        others = [Bearer(app, person.name) for _ in range(6)]
        *answers, deleted = simultaneously(*[each.register for each in others], lambda person=person: person.delete(ME))
        assert deleted.status_code == 204
        assert {told(each) for each in answers} == {(409, "/problems/username-taken")}


def test_a_proof_at_the_moment_of_the_deletion_leaves_no_address(app: Flask, mailbox: Mailbox) -> None:
    """Neither waits for the other for ever, and afterwards nobody has the address."""
    for _ in ROUNDS:
        address = new_address()
        person = Bearer(app).join(email=address)
        body = {"token": mailbox.token(address)}
        prove = partial(Bearer(app).request, "POST", "/v1/auth/email/verify", json=body)
        proof, deleted = simultaneously(prove, lambda person=person: person.delete(ME))
        assert deleted.status_code == 204
        assert proof.status_code in {204, 403}
        mailbox.deliver()
        assert address.lower() not in everything_in(app)


CHANGES = [
    ("PATCH", ME, {"display_name": "Ada the Latecomer"}, 200),
    ("PUT", EMAIL, {"email": "Ada-the-Latecomer@example.com"}, 202),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), CHANGES, ids=["profile", "address"])
def test_a_change_at_the_moment_of_the_deletion_is_before_it_or_refused(
    app: Flask, method: str, path: str, body: dict[str, str], status: int
) -> None:
    """What is written after the account was emptied would stay for ever."""
    for _ in ROUNDS:
        person = Bearer(app).join()
        calls = [partial(person.request, method, path, token=person.access_token, json=body)] * 6
        *answers, deleted = simultaneously(*calls, lambda person=person: person.delete(ME))
        assert deleted.status_code == 204
        assert {each.status_code for each in answers} <= {status, 401}
        assert "latecomer" not in everything_in(app)


@pytest.fixture
def own_app(new_app: Callable[..., Flask]) -> Flask:
    """An app without the administrators of other tests."""
    return new_app()


def test_the_last_administrator_stays(own_app: Flask) -> None:
    """One who is suspended cannot administer, and so does not count."""
    admin, other = (Bearer(own_app).join(roles=["admin"]) for _ in range(2))
    path = f"/v1/admin/users/{other.id}"
    suspension = {"suspension": {"reason": "left", "until": None}}
    etag = admin.get(path).headers["ETag"]
    assert admin.patch(path, json=suspension, headers={"If-Match": etag}).status_code == 200
    assert told(admin.delete(ME)) == (409, "/problems/last-admin")
    assert admin.get(ME).json["roles"] == ["admin", "user"]
    etag = admin.get(path).headers["ETag"]
    assert admin.patch(path, json={"suspension": None}, headers={"If-Match": etag}).status_code == 200
    assert admin.delete(ME).status_code == 204
    other.login()
    assert told(other.delete(ME)) == (409, "/problems/last-admin")


def test_of_two_administrators_who_leave_at_once_one_stays(own_app: Flask) -> None:
    people = [Bearer(own_app).join(roles=["admin"]) for _ in range(2)]
    answers = simultaneously(*[partial(each.delete, ME) for each in people])
    assert sorted(each.status_code for each in answers) == [204, 409]
    (stayed,) = [each for each, answer in zip(people, answers, strict=True) if answer.status_code == 409]
    assert stayed.get("/v1/admin/users").status_code == 200


def everything_in(app: Flask) -> str:
    """Every row of every table, in lower case."""
    with app.app_context():
        return "\n".join(str(tuple(row)) for table in db.metadata.sorted_tables for row in fetch_all(select(table))).lower()


def events_of(app: Flask, user_id: str) -> list[Any]:
    with app.app_context():
        rows = fetch_all(select(AuditEvent.__table__).order_by(AuditEvent.created_at))
    return [row for row in rows if user_id in {str(row.subject_id), str(row.actor_id)}]


ADDRESS_OF_CLIENT, AGENT = "198.51.100.77", "Adas-Very-Own-Browser/7"


def a_full_life(mailbox: Mailbox) -> tuple[Bearer, list[str]]:
    """Somebody who has left traces wherever one can; and what must be gone when they are."""
    old, new = new_address(), new_address()
    person = Bearer(mailbox.app)
    person.client.environ_base |= {"REMOTE_ADDR": ADDRESS_OF_CLIENT, "HTTP_USER_AGENT": AGENT}
    request = partial(person.request, "POST")
    person.join(email=old, display_name="Ada von Nebenan")
    request("/v1/auth/email/verify", json={"token": mailbox.token(old)})
    for name in (person.name, old):
        request(LOGIN, json={"username": name, "password": "Wrong-Horse-7"})
    person.patch(ME, json={"display_name": "Ada von Gegenüber"})
    person.post("/v1/auth/reauthenticate", json={"password": "Wrong-Horse-7"})
    person.put(EMAIL, json={"email": new})
    mailbox.deliver()
    request(FORGOT, json={"email": old.upper()})
    person.put(EMAIL, json={"email": new.upper()})
    return person, [person.name, old, new, "ada von", ADDRESS_OF_CLIENT, AGENT]


def purge_after(app: Flask, clock: Any, days: int) -> None:
    clock.shift(days * 86_400 + 60)
    assert app.test_cli_runner().invoke(purge).exit_code == 0


def test_nothing_that_names_the_person_is_left(app: Flask, mailbox: Mailbox, clock: Any) -> None:
    """In no column of any table: names and addresses at once, the browser and the network addresses after thirty days."""
    person, traces = a_full_life(mailbox)
    traces = [each.lower() for each in traces]
    before = everything_in(app)
    assert [each for each in traces if each not in before] == []
    assert person.delete(ME).status_code == 204
    mailbox.deliver()
    after = everything_in(app)
    assert [each for each in traces if each in after] == [ADDRESS_OF_CLIENT, AGENT.lower()]
    purge_after(app, clock, 29)
    assert ADDRESS_OF_CLIENT in everything_in(app)
    purge_after(app, clock, 1)
    after = everything_in(app)
    assert [each for each in traces if each in after] == []


def test_how_long_devices_are_kept_is_a_setting(new_app: Callable[..., Flask], clock: Any) -> None:
    own = new_app(device_retention=3600)
    person = Bearer(own).join()
    person.client.environ_base |= {"HTTP_USER_AGENT": AGENT}
    assert person.delete(ME).status_code == 204
    assert AGENT.lower() in everything_in(own)
    clock.shift(3601)
    assert own.test_cli_runner().invoke(purge).exit_code == 0
    assert AGENT.lower() not in everything_in(own)


def test_the_failures_of_the_person_are_forgotten(new_app: Callable[..., Flask]) -> None:
    person = Bearer(new_app(ratelimit_enabled=True)).join()
    user_id = person.id
    person.request("POST", LOGIN, json={"username": person.name, "password": "Wrong-Horse-7"})
    keys = [user_id, throttle.key_of(person.name)]
    with person.app.app_context():
        counted = select(SignInFailures.failures).where(SignInFailures.account.in_(keys))
        assert fetch_all(counted) != []
        person.delete(ME)
        assert fetch_all(counted) == []


def test_the_log_keeps_what_happened_under_the_bare_id(app: Flask, mailbox: Mailbox) -> None:
    """And for a while from where: an owner, or an operator, may want to know who deleted the account."""
    person, _ = a_full_life(mailbox)
    user_id = person.id
    before = [row.type for row in events_of(app, user_id)]
    person.delete(ME)
    left = events_of(app, user_id)
    assert [row.type for row in left] == [*before, "deletion"]
    assert (left[-1].ip_address, left[-1].user_agent) == (ADDRESS_OF_CLIENT, AGENT)
    assert {str(row.subject_id) for row in left} == {user_id}
    admin = Bearer(app).join(roles=["admin"])
    shown = admin.get("/v1/admin/events", query_string={"user_id": user_id}).json["items"]
    assert [each["type"] for each in reversed(shown)] == [row.type for row in left]
    assert admin.get(f"/v1/admin/users/{user_id}").status_code == 404


def test_of_the_mail_that_waits_only_the_farewell_is_sent(app: Flask, mailbox: Mailbox) -> None:
    """To the verified address, so that an owner whose account somebody else has deleted learns of it."""
    person, (_, old, *_) = a_full_life(mailbox)
    person.delete(ME)
    assert [(each["To"], each["Subject"]) for each in mailbox.deliver()] == [(old, "Your account was deleted")]


def test_an_address_that_was_never_verified_gets_no_farewell(app: Flask, mailbox: Mailbox) -> None:
    Bearer(app).join(email=new_address()).delete(ME)
    assert mailbox.deliver() == []


def test_the_others_keep_what_is_theirs(app: Flask, mailbox: Mailbox) -> None:
    address = new_address()
    other = join_with(mailbox, address, display_name="Grace")
    before = other.get(ME).json, other.get(f"{ME}/events").json
    Bearer(app).join(email=address).delete(ME)
    assert (other.get(ME).json, other.get(f"{ME}/events").json) == before
    assert mailbox.subjects(address) == ["Confirm your e-mail address"]
    assert other.refresh().status_code == 200


@pytest.mark.parametrize("failing", ["login", "reauthenticate", "suspended"])
def test_a_try_that_ends_after_the_deletion_leaves_nothing(
    app: Flask, admin: Bearer, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Checking a password takes long; the account may be gone before the failure is written."""
    person, hasher = Bearer(app).join(), passwords.Hasher
    user_id, verify = person.id, hasher.verify
    if failing == "suspended":
        admin.patch(f"/v1/admin/users/{user_id}", json={"suspension": {}}, headers={"If-Match": "*"})

    def verify_slowly(self: Any, *arguments: Any) -> bool:
        right = bool(verify(self, *arguments))
        monkeypatch.setattr(hasher, "verify", verify)
        assert admin.delete(f"/v1/admin/users/{user_id}", headers={"If-Match": "*"}).status_code == 204
        return right

    monkeypatch.setattr(hasher, "verify", verify_slowly)
    if failing == "login":
        assert person.login(password="Wrong-Horse-7").status_code == 401
    elif failing == "suspended":
        assert person.login().status_code == 403
    else:
        assert person.post("/v1/auth/reauthenticate", json={"password": "Wrong-Horse-7"}).status_code == 403
    with app.app_context():
        left = fetch_all(select(AuditEvent.__table__).where(AuditEvent.subject_id == uuid.UUID(user_id)))
        counted = fetch_all(select(SignInFailures).where(SignInFailures.account == user_id))
    assert max(left, key=lambda row: row.created_at).type == "deletion"
    assert counted == []
