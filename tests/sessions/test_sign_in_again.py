"""Signing in with a cookie of ours: the browser signs in anew, so the session from before ends."""

from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer, Browser, Hybrid

ME, SESSIONS, LOGIN = "/v1/users/me", "/v1/users/me/sessions", "/v1/auth/login"


def open_sessions(person: Bearer) -> list[str]:
    """The sessions of a person, as somebody sees them who has just signed in elsewhere."""
    observer = Bearer(person.app, person.name)
    observer.login()
    found = [each["id"] for each in observer.get(SESSIONS).json["items"] if not each["current"]]
    observer.logout()
    return found


def sign_in(person: Bearer, **extra: Any) -> str:
    answer = person.login(**extra)
    assert answer.status_code == 200
    return str(answer.json["session_id"])


@pytest.mark.parametrize("cookies", [Hybrid, Browser])
@pytest.mark.parametrize("delivery", ["body", "hybrid", "cookie"])
def test_the_former_session_of_a_browser_ends(app: Flask, cookies: type[Hybrid], delivery: str) -> None:
    """Whichever delivery is chosen now, and although the cookies are replaced: a copy of them is good for nothing."""
    person = cookies(app).join()
    thief = cookies(app, person.name)
    for name in ("keycard_access", "keycard_refresh", "keycard_csrf"):
        if found := person.client.get_cookie(name):
            thief.client.set_cookie(name, found.value)
    thief.access_token, thief.csrf_token = person.access_token, person.csrf_token
    assert thief.get(ME).status_code == 200
    session_id = sign_in(person, delivery=delivery)
    assert thief.get(ME).status_code == 401
    assert thief.refresh().status_code == 401
    assert open_sessions(person) == [session_id]


def test_a_sign_in_without_a_cookie_ends_nothing(app: Flask) -> None:
    """Devices are signed in beside each other."""
    person = Bearer(app).join()
    first = str(person.get("/v1/auth/session").json["session"]["id"])
    second = sign_in(person)
    assert set(open_sessions(person)) == {first, second}


def test_the_session_of_somebody_else_in_the_same_browser_ends(app: Flask) -> None:
    """Nobody stays signed in behind the person who has the browser now."""
    former, person = Browser(app).join(), Browser(app)
    person.register()
    person.client = former.client
    sign_in(person)
    assert open_sessions(former) == []


def test_a_sign_in_that_fails_ends_nothing(app: Flask) -> None:
    person = Browser(app).join()
    person.password, right = "Wrong-Horse-77", person.password
    assert person.login().status_code == 401
    person.password = right
    assert person.get(ME).status_code == 200


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c"])
def test_a_broken_cookie_stops_no_sign_in(app: Flask, cookie: str) -> None:
    person = Browser(app).join()
    person.client.set_cookie("keycard_access", cookie)
    person.client.set_cookie("keycard_refresh", cookie)
    assert person.login().status_code == 200
    assert person.get(ME).status_code == 200


def test_the_end_is_in_the_audit_log(app: Flask) -> None:
    admin, person = Bearer(app).join(roles=["admin"]), Browser(app).join()
    sign_in(person)
    events = admin.get("/v1/admin/events", query_string={"user_id": person.id, "type": "signed_out"}).json["items"]
    assert [each["detail"] for each in events] == ["replaced by a sign-in"]
