"""Signing out."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer, Browser, Hybrid

LOGOUT = "/v1/auth/logout"
COOKIES = ("keycard_access", "keycard_refresh", "keycard_csrf")


def logout_by_refresh_token(person: Bearer) -> TestResponse:
    """Sign out with the refresh token alone, the way this delivery presents it."""
    if isinstance(person, Hybrid):
        person.client.delete_cookie("keycard_access")
        return person.request("DELETE", LOGOUT, headers=person.csrf())
    return person.request("DELETE", LOGOUT, token=person.refresh_token)


def cookies(person: Bearer) -> dict[str, str]:
    found = {name: person.client.get_cookie(name) for name in COOKIES}
    return {name: cookie.value for name, cookie in found.items() if cookie}


def put_back(person: Bearer, kept: dict[str, str]) -> None:
    for name, value in kept.items():
        person.client.set_cookie(name, value)


def test_a_sign_out_kills_both_tokens_at_once(person: Bearer) -> None:
    kept = cookies(person)
    assert person.logout().status_code == 204
    put_back(person, kept)
    assert person.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert person.refresh().json["type"] == "/problems/session-ended"


def test_the_refresh_token_signs_out_too(person: Bearer) -> None:
    """Also when the access token has expired or is lost."""
    kept = cookies(person)
    assert logout_by_refresh_token(person).status_code == 204
    put_back(person, kept)
    assert person.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert person.refresh().json["type"] == "/problems/session-ended"


def test_a_refresh_token_signs_out_after_the_access_token_has_expired(app: Flask, actor_class: type[Bearer], clock) -> None:
    person = actor_class(app).join()
    clock.shift(901)
    assert person.get("/v1/users/me").status_code == 401
    assert logout_by_refresh_token(person).status_code == 204


def test_a_token_from_before_a_renewal_signs_out(user: Bearer) -> None:
    """Somebody who did not get the new pair, because the answer was lost, can still leave."""
    before = Bearer(user.app, user.name)
    before.access_token = user.access_token
    assert user.reauthenticate().status_code == 200
    assert before.logout().status_code == 204
    assert user.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert user.refresh().json["type"] == "/problems/session-ended"


def test_signing_out_twice_is_no_error(person: Bearer) -> None:
    kept = cookies(person)
    for _ in range(3):
        put_back(person, kept)
        assert person.logout().status_code == 204
    put_back(person, kept)
    assert logout_by_refresh_token(person).status_code == 204


def test_a_spent_refresh_token_still_signs_out(user: Bearer) -> None:
    """Whoever wants out is let out; that is harmless, and no reuse."""
    spent = user.refresh_token
    user.refresh()
    assert user.request("DELETE", LOGOUT, token=spent).status_code == 204
    assert user.get("/v1/users/me").status_code == 401


def test_only_this_session_ends(person: Bearer, app: Flask) -> None:
    other_device, stranger = Bearer(app, person.name), Bearer(app).join()
    other_device.login()
    person.logout()
    for one in (other_device, stranger):
        assert one.get("/v1/users/me").status_code == 200
        assert one.refresh().status_code == 200


def test_the_cookies_are_cleared(app: Flask) -> None:
    for actor in (Hybrid, Browser):
        person = actor(app).join()
        assert cookies(person)
        person.logout()
        assert cookies(person) == {}


def test_clearing_a_cookie_repeats_its_attributes(app: Flask) -> None:
    """A browser only forgets a cookie of the same name and path, and a prefixed one only if Secure comes with it."""
    answer = Browser(app).join().logout()
    cleared = {header.partition("=")[0]: header for header in answer.headers.getlist("Set-Cookie")}
    assert set(cleared) == {"keycard_access", "keycard_refresh", "keycard_csrf"}
    assert all("Max-Age=0" in header and "SameSite=Lax" in header for header in cleared.values())
    assert all("Path=/;" in f"{header};" for header in cleared.values())


def test_without_cookies_none_are_cleared(user: Bearer) -> None:
    assert "Set-Cookie" not in user.logout().headers


def test_who_is_not_signed_in_cannot_sign_out(anybody: Bearer) -> None:
    answer = anybody.logout()
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/authentication-required")


def test_a_sign_out_by_cookie_needs_the_csrf_value(app: Flask) -> None:
    """Another site cannot sign somebody out, neither by the access cookie nor by the refresh cookie."""
    for actor in (Hybrid, Browser):
        person = actor(app).join()
        answer = person.request("DELETE", LOGOUT)
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/csrf-failed")
        assert person.get("/v1/users/me").status_code == 200


@pytest.mark.parametrize("broken", ["garbage", "forged", "expired", "of the other kind", "of nobody"])
def test_a_broken_access_cookie_does_not_stop_a_sign_out(app: Flask, clock, broken: str) -> None:
    """The refresh cookie beside it is good, and who wants to leave is let out."""
    person = Browser(app).join()
    held = {name.removeprefix("keycard_"): value for name, value in cookies(person).items()}
    head, claims, signature = held["access"].split(".")
    values = {
        "garbage": "x",
        "forged": f"{head}.{claims}.{signature[::-1]}",
        "expired": held["access"],
        "of the other kind": held["refresh"],
        "of nobody": "a.b.c",
    }
    clock.shift(901 if broken == "expired" else 0)
    person.client.set_cookie("keycard_access", values[broken])
    assert person.get("/v1/users/me").status_code == 401
    assert person.logout().status_code == 204
    assert cookies(person) == {}
    put_back(person, {"keycard_refresh": held["refresh"]})
    assert person.refresh().json["type"] == "/problems/session-ended"


def test_without_one_good_cookie_nobody_is_signed_out(app: Flask, clock) -> None:
    """The refusal is that of the first; and the CSRF value must be that of a session whose cookie is good."""
    person, other = Browser(app).join(), Browser(app).join()
    person.client.set_cookie("keycard_access", "x")
    answer = person.request("DELETE", LOGOUT, headers=other.csrf())
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/invalid-token")
    assert person.request("DELETE", LOGOUT).json["type"] == "/problems/csrf-failed"
    assert person.refresh().status_code == 200
    clock.shift(901)
    person.client.set_cookie("keycard_refresh", "x")
    assert person.logout().json["type"] == "/problems/token-expired"


def test_a_new_sign_in_after_a_sign_out_works(person: Bearer) -> None:
    person.logout()
    assert person.login().status_code == 200
    assert person.get("/v1/users/me").status_code == 200
