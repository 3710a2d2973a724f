"""Which token travels how: names and flags of cookies, CSRF, and that no token leaves the way it was born."""

from http.cookies import Morsel, SimpleCookie

import jwt
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer, Browser, Hybrid

ME = "/v1/users/me"
REFRESH = "/v1/auth/refresh"
WEEK = 604_800


@pytest.fixture(scope="module")
def https_app(new_app) -> Flask:
    """As a client meets it in production."""
    return new_app(public_url="https://auth.example.com")


@pytest.fixture(params=["development", "https"])
def deployment(request: pytest.FixtureRequest, app: Flask, https_app: Flask) -> tuple[Flask, str]:
    """An app, and the prefix of the names of its cookies."""
    return (https_app, "__Host-") if request.param == "https" else (app, "")


def set_cookies(answer: TestResponse) -> dict[str, Morsel[str]]:
    parsed: SimpleCookie = SimpleCookie()
    for header in answer.headers.getlist("Set-Cookie"):
        parsed.load(header)
    return dict(parsed)


def check_flags(cookie: Morsel[str], *, secure: bool, seconds: int, readable: bool = False) -> None:
    assert bool(cookie["secure"]) is secure
    assert bool(cookie["httponly"]) is not readable
    assert (cookie["samesite"], cookie["max-age"]) == ("Lax", str(seconds))
    assert (cookie["path"], cookie["domain"]) == ("/", "")  # __Host- demands both, and no subdomain gets the cookie


def test_delivery_body_sets_no_cookie(app: Flask) -> None:
    person = Bearer(app).join()
    for answer in (person.login(), person.refresh()):
        assert "Set-Cookie" not in answer.headers
        assert {"access_token", "refresh_token"} <= set(answer.json)
        assert "csrf_token" not in answer.json


@pytest.mark.parametrize("step", ["login", "refresh"])
def test_delivery_hybrid_keeps_the_refresh_token_from_scripts(deployment: tuple[Flask, str], step: str) -> None:
    app, prefix = deployment
    answer = getattr(Hybrid(app).join(), step)()
    cookies = set_cookies(answer)
    assert set(cookies) == {f"{prefix}keycard_refresh", f"{prefix}keycard_csrf"}
    check_flags(cookies[f"{prefix}keycard_refresh"], secure=bool(prefix), seconds=WEEK)
    check_flags(cookies[f"{prefix}keycard_csrf"], secure=bool(prefix), seconds=WEEK, readable=True)
    assert "access_token" in answer.json
    assert answer.json["csrf_token"] == cookies[f"{prefix}keycard_csrf"].value


@pytest.mark.parametrize("step", ["login", "refresh"])
def test_delivery_cookie_keeps_both_tokens_from_scripts(deployment: tuple[Flask, str], step: str) -> None:
    app, prefix = deployment
    answer = getattr(Browser(app).join(), step)()
    cookies = set_cookies(answer)
    assert set(cookies) == {f"{prefix}keycard_access", f"{prefix}keycard_refresh", f"{prefix}keycard_csrf"}
    check_flags(cookies[f"{prefix}keycard_access"], secure=bool(prefix), seconds=900)
    check_flags(cookies[f"{prefix}keycard_refresh"], secure=bool(prefix), seconds=WEEK)
    assert "access_token" not in answer.json


def test_a_token_in_a_cookie_is_never_in_a_body(deployment: tuple[Flask, str]) -> None:
    app, prefix = deployment
    for actor, names in (
        (Hybrid, [f"{prefix}keycard_refresh"]),
        (Browser, [f"{prefix}keycard_refresh", f"{prefix}keycard_access"]),
    ):
        person = actor(app).join()
        for answer in (person.login(), person.refresh()):
            assert "refresh_token" not in answer.json
            for name in names:
                assert set_cookies(answer)[name].value not in answer.text


def test_the_names_in_the_configuration_are_those_that_are_set(deployment: tuple[Flask, str]) -> None:
    app, _ = deployment
    names = Bearer(app).get("/v1/config").json["cookies"]
    set_by_login = set_cookies(Browser(app).join().login())
    assert set(set_by_login) == {names["access"], names["refresh"], names["csrf"]}


def test_production_names_work_as_well(https_app: Flask) -> None:
    person = Browser(https_app).join()
    assert person.get(ME).status_code == 200
    assert person.refresh().status_code == 200
    assert person.patch(ME, json={"display_name": "Ada"}).status_code == 200
    answer = person.logout()
    assert set(set_cookies(answer)) == {"__Host-keycard_access", "__Host-keycard_refresh", "__Host-keycard_csrf"}
    assert all(cookie["secure"] for cookie in set_cookies(answer).values())


def test_production_does_not_take_the_names_of_development(https_app: Flask) -> None:
    """A cookie without the prefix may have been planted by a neighbour on the same domain; one named `__Secure-` too."""
    person = Browser(https_app).join()
    stranger = Browser(https_app)
    stranger.csrf_token = person.csrf_token
    for prefix in ("", "__Secure-"):
        for kind in ("access", "refresh"):
            stranger.client.set_cookie(f"{prefix}keycard_{kind}", person.client.get_cookie(f"__Host-keycard_{kind}").value)
    for answer in (stranger.get(ME), stranger.refresh(), stranger.logout()):
        assert answer.json["type"] == "/problems/authentication-required"


def test_the_refresh_cookie_opens_nothing_but_refresh_and_logout(deployment: tuple[Flask, str]) -> None:
    """It travels with every request. Elsewhere it is neither a credential nor a second one."""
    app, _ = deployment
    person = Hybrid(app).join()
    assert person.request("GET", ME).json["type"] == "/problems/authentication-required"
    patch = person.request("PATCH", ME, headers=person.csrf(), json={})
    assert patch.json["type"] == "/problems/authentication-required"
    assert person.request("GET", "/v1/auth/session").json == {"authenticated": False}
    assert person.get("/v1/auth/session").json["authenticated"] is True
    assert person.get(ME).status_code == 200


@pytest.mark.parametrize("actor", [Hybrid, Browser])
@pytest.mark.parametrize(("method", "path"), [("POST", REFRESH), ("DELETE", "/v1/auth/logout")])
def test_a_refresh_token_born_in_a_cookie_is_refused_in_a_header(app: Flask, actor: type[Hybrid], method: str, path: str) -> None:
    """A script that got hold of it cannot use it, and trying costs the owner nothing."""
    person = actor(app).join()
    token = person.client.get_cookie("keycard_refresh").value
    answer = Bearer(app).request(method, path, token=token)
    assert answer.status_code == 401
    assert answer.json["type"] == "/problems/invalid-token"
    assert person.refresh().status_code == 200


def test_a_refresh_token_born_in_a_body_is_refused_from_a_cookie(user: Bearer, app: Flask) -> None:
    csrf = jwt.decode(user.refresh_token, options={"verify_signature": False})["csrf"]
    browser = Bearer(app)
    browser.client.set_cookie("keycard_refresh", user.refresh_token)
    answer = browser.request("POST", REFRESH, headers={"X-CSRF-TOKEN": csrf})
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/invalid-token")
    assert user.refresh().status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", REFRESH), ("DELETE", "/v1/auth/logout"), ("PATCH", ME), ("PUT", f"{ME}/password"), ("DELETE", f"{ME}/sessions")],
)
@pytest.mark.parametrize("sent", [None, "", "wrong", "other"])
def test_what_a_cookie_changes_needs_the_csrf_value_of_its_session(app: Flask, method: str, path: str, sent: str | None) -> None:
    person, other = Browser(app).join(), Browser(app).join()
    value = other.csrf_token if sent == "other" else sent
    answer = person.request(method, path, headers={} if value is None else {"X-CSRF-TOKEN": value}, json={})
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/csrf-failed")
    assert person.get(ME).status_code == 200


def test_reading_by_cookie_needs_no_csrf_value(app: Flask) -> None:
    person = Browser(app).join()
    assert person.request("GET", ME).status_code == 200


def test_a_header_needs_no_csrf_value(app: Flask) -> None:
    """No browser sends an Authorization header by itself; the refresh cookie beside it does not matter."""
    person = Hybrid(app).join()
    assert person.patch(ME, json={"display_name": "Ada"}).status_code == 200
    assert person.logout().status_code == 204


def test_the_csrf_value_of_a_session_outlives_a_refresh(app: Flask) -> None:
    """A second tab that has not read the new cookie yet goes on working."""
    person = Browser(app).join()
    first = person.csrf_token
    person.refresh()
    answer = person.request("PATCH", ME, headers={"X-CSRF-TOKEN": first}, json={"display_name": "Ada"})
    assert answer.status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", ME), ("POST", REFRESH), ("PATCH", ME), ("DELETE", "/v1/auth/logout")])
def test_a_header_and_a_cookie_at_once_are_refused(app: Flask, method: str, path: str) -> None:
    person, other = Browser(app).join(), Bearer(app).join()
    token = other.refresh_token if path == REFRESH else other.access_token
    answer = person.request(method, path, token=token, headers=person.csrf(), json=None if method == "GET" else {})
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/multiple-credentials")
    assert person.get(ME).status_code == 200
    assert other.get(ME).status_code == 200


@pytest.mark.parametrize("place", ["access_token", "token", "jwt"])
def test_a_token_in_the_url_is_refused(user: Bearer, app: Flask, place: str) -> None:
    """URLs are logged and kept."""
    answer = Bearer(app).request("GET", ME, query_string={place: user.access_token})
    assert answer.json["type"] == "/problems/authentication-required"
