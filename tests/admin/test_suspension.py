"""Suspending somebody, with a reason and until a moment: what stops, who sees it, and how it ends."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api import clock as api_clock
from tests.actors import PASSWORD, Bearer, new_name
from tests.mailbox import Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

USERS, ME = "/v1/admin/users", "/v1/users/me"
REASON = "Sells umbrellas that do not open."


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


def change(admin: Bearer, user_id: str, suspension: Any, if_match: str = "*") -> TestResponse:
    return admin.patch(f"{USERS}/{user_id}", json={"suspension": suspension}, headers={"If-Match": if_match})


def login(app: Flask, name: str, password: str) -> TestResponse:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password})


def in_(seconds: float) -> str:
    return (api_clock.now() + timedelta(seconds=seconds)).isoformat()


def test_every_session_is_dead_at_the_next_request(app: Flask, admin: Bearer, person: Bearer) -> None:
    user_id, other_device, bystander = person.id, Bearer(app, person.name), Bearer(app).join()
    other_device.login()
    assert change(admin, user_id, {"reason": REASON}).status_code == 200
    for each in (person, other_device):
        assert each.get(ME).json["type"] == "/problems/token-revoked"
        assert each.refresh().json["type"] == "/problems/session-ended"
    assert admin.get(f"{USERS}/{user_id}/sessions").json["items"] == []
    assert bystander.get(ME).status_code == 200


def test_only_who_knows_the_password_learns_of_it(app: Flask, admin: Bearer) -> None:
    """By whichever name; to everybody else the account looks like one that does not exist."""
    address = new_address()
    person = join_with(Mailbox(app), address)
    change(admin, person.id, {"reason": REASON})
    for name in (person.name, address):
        answer = login(app, name, person.password)
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/account-suspended")
        assert REASON not in answer.text
    wrong, unknown = login(app, person.name, "Wrong-Horse-7"), login(app, new_name(), "Wrong-Horse-7")
    assert (wrong.status_code, {**wrong.json, "request_id": ""}) == (401, {**unknown.json, "request_id": ""})


def test_a_suspended_user_resets_the_password_and_stays_suspended(app: Flask, admin: Bearer) -> None:
    mailbox, address = Mailbox(app), new_address()
    person = join_with(mailbox, address)
    change(admin, person.id, {})
    Bearer(app).request("POST", "/v1/auth/password/forgot", json={"email": address})
    body = {"token": mailbox.token(address), "new_password": "Battery-Staple-8"}
    assert Bearer(app).request("POST", "/v1/auth/password/reset", json=body).status_code == 204
    assert login(app, person.name, "Battery-Staple-8").json["type"] == "/problems/account-suspended"


@pytest.mark.parametrize(
    ("suspension", "shown"),
    [
        ({}, {"reason": None, "until": None}),
        ({"reason": REASON}, {"reason": REASON, "until": None}),
        ({"until": "2126-12-01T01:00:00+01:00"}, {"reason": None, "until": "2126-12-01T00:00:00+00:00"}),
    ],
)
def test_administrators_see_why_and_until_when(admin: Bearer, user: Bearer, suspension: Any, shown: Any) -> None:
    answer = change(admin, user.id, suspension)
    assert (answer.json["status"], answer.json["suspension"]) == ("suspended", shown)
    (listed,) = admin.get(USERS, query_string={"q": user.name}).json["items"]
    assert listed == answer.json == admin.get(f"{USERS}/{listed['id']}").json


def test_the_user_is_never_told_why(app: Flask, admin: Bearer, user: Bearer) -> None:
    """Neither in the profile nor in their log, also afterwards."""
    user_id = user.id
    change(admin, user_id, {"reason": REASON})
    change(admin, user_id, None)
    user.login()
    assert "suspension" not in user.get(ME).json
    log = user.get(f"{ME}/events")
    assert {"suspended", "reactivated"} <= {each["type"] for each in log.json["items"]}
    assert REASON not in log.text


def test_null_lifts_a_suspension(app: Flask, admin: Bearer, user: Bearer) -> None:
    """The sessions that ended stay ended."""
    user_id = user.id
    change(admin, user_id, {"reason": REASON, "until": in_(3600)})
    answer = change(admin, user_id, None)
    assert (answer.json["status"], answer.json["suspension"]) == ("active", None)
    assert user.get(ME).status_code == 401
    assert user.login().status_code == 200
    assert user.get(ME).status_code == 200


def test_a_new_suspension_replaces_the_old_one(admin: Bearer, user: Bearer) -> None:
    """Members that are left out of it are not those of the old one."""
    change(admin, user.id, {"reason": REASON, "until": in_(60)})
    user_id = admin.get(USERS, query_string={"q": user.name}).json["items"][0]["id"]
    assert change(admin, user_id, {"reason": "Worse."}).json["suspension"] == {"reason": "Worse.", "until": None}


def test_a_suspension_ends_by_itself(app: Flask, clock) -> None:
    admin, user = Bearer(app).join(roles=["admin"]), Bearer(app).join()
    user_id = user.id
    assert change(admin, user_id, {"reason": REASON, "until": in_(60)}).status_code == 200
    clock.shift(59.9)
    assert user.login().status_code == 403
    assert admin.get(f"{USERS}/{user_id}").json["status"] == "suspended"
    clock.shift(0.1)
    found = admin.get(f"{USERS}/{user_id}").json
    assert (found["status"], found["suspension"]) == ("active", None)
    assert user.get(ME).status_code == 401
    assert user.refresh().status_code == 401
    assert user.login().status_code == 200
    assert user.get(ME).json["status"] == "active"
    assert user.refresh().status_code == 200


def test_the_filter_for_the_status_follows_the_clock(app: Flask, clock) -> None:
    admin, start = Bearer(app).join(roles=["admin"]), new_name("till")
    people = {name: Bearer(app, f"{start}-{name}").join() for name in ("active", "ever", "minute")}
    change(admin, people["ever"].id, {})
    change(admin, people["minute"].id, {"until": in_(60)})

    def with_status(status: str) -> set[str]:
        items = admin.get(USERS, query_string={"q": start, "status": status}).json["items"]
        assert {each["status"] for each in items} <= {status}
        return {each["username"].removeprefix(f"{start}-") for each in items}

    assert (with_status("active"), with_status("suspended")) == ({"active"}, {"ever", "minute"})
    clock.shift(60)
    assert (with_status("active"), with_status("suspended")) == ({"active", "minute"}, {"ever"})


def test_a_suspension_in_the_past_is_over(admin: Bearer, user: Bearer) -> None:
    assert change(admin, user.id, {"until": "2001-01-01T00:00:00Z"}).json["status"] == "active"
    assert user.login().status_code == 200


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2016-12-31T23:59:60Z"])
def test_the_edges_of_time_are_no_error(admin: Bearer, user: Bearer, until: str) -> None:
    assert change(admin, user.id, {"until": until}).status_code == 200


def test_nobody_suspends_themselves(admin: Bearer) -> None:
    answer = change(admin, admin.id, {"reason": REASON})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/own-account")
    assert admin.get(USERS).status_code == 200


def test_a_version_that_is_no_more_suspends_nobody(admin: Bearer, user: Bearer) -> None:
    seen = admin.get(f"{USERS}/{user.id}").headers["ETag"]
    user.patch(ME, json={"display_name": "Ada"})
    assert change(admin, user.id, {}, seen).status_code == 412
    assert user.get(ME).status_code == 200


def test_a_sign_in_at_the_moment_of_a_suspension_leaves_nothing_alive(app: Flask, admin: Bearer) -> None:
    """Also a refresh: whatever was given out is dead once the administrator has the answer."""
    for _ in range(4):
        user = Bearer(app).join()
        user_id, comers, other = user.id, [Bearer(app, user.name) for _ in range(4)], Bearer(app)
        *answers, done = simultaneously(
            *[each.login for each in comers],
            lambda at=other, user=user: at.keep(at.request("POST", "/v1/auth/refresh", token=user.refresh_token)),
            lambda user_id=user_id: change(admin, user_id, {}),
        )
        assert done.status_code == 200
        assert {each.status_code for each in answers} <= {200, 401, 403}
        for each in (user, other, *comers):
            assert each.get(ME).status_code == 401
            if each.refresh_token:
                assert each.refresh().status_code == 401


@pytest.fixture
def lonely(new_app: Callable[..., Flask]) -> Bearer:
    """The only administrator of an app."""
    return Bearer(new_app()).join(roles=["admin"])


def test_the_last_able_administrator_stays_able(lonely: Bearer, clock) -> None:
    """Whoever is suspended for a time counts again when it is over, and not before."""
    lonely.login()
    other = Bearer(lonely.app).join(roles=["admin"])
    first, second = lonely.id, other.id
    assert change(lonely, second, {"until": in_(60)}).status_code == 200
    for refused in (lonely.delete(ME), lonely.put(f"{USERS}/{first}/roles", json={"roles": []})):
        assert refused.status_code == 409
    clock.shift(60)
    other.login()
    assert change(other, first, {}).status_code == 200
    assert other.delete(ME).json["type"] == "/problems/last-admin"


def test_administrators_who_suspend_each_other_at_the_same_moment_leave_one_able(lonely: Bearer) -> None:
    """Each of them saw the other as able when they began."""
    one, other = lonely, Bearer(lonely.app).join(roles=["admin"])
    for _ in range(4):
        first, second = one.id, other.id
        answers = simultaneously(lambda id_=second: change(one, id_, {}), lambda id_=first: change(other, id_, {}))
        assert sorted(each.status_code for each in answers) in ([200, 401], [200, 409])
        able = [each for each in (one, other) if each.get(USERS).status_code == 200]
        assert len(able) == 1
        (lost,) = {one, other} - set(able)
        assert change(able[0], second if able[0] is one else first, None).status_code == 200
        assert lost.login().status_code == 200


def test_a_circle_of_administrators_leaves_one_able(lonely: Bearer) -> None:
    """By suspension, deletion and demotion at once, none of which the others can see yet."""
    admins = [lonely, *[Bearer(lonely.app).join(roles=["admin"]) for _ in range(2)]]
    ids = [each.id for each in admins]
    answers = simultaneously(
        lambda: change(admins[0], ids[1], {}),
        lambda: admins[1].delete(f"{USERS}/{ids[2]}", headers={"If-Match": "*"}),
        lambda: admins[2].put(f"{USERS}/{ids[0]}/roles", json={"roles": ["user"]}),
    )
    assert {each.status_code for each in answers} <= {200, 204, 401, 403, 409}
    again = [login(lonely.app, each.name, PASSWORD) for each in admins]
    assert any("admin" in _roles(lonely.app, each.json["access_token"]) for each in again if each.status_code == 200)


def _roles(app: Flask, token: str) -> list[str]:
    found: list[str] = Bearer(app).request("GET", ME, token=token).json["roles"]
    return found
