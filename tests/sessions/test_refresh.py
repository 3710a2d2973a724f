"""Exchanging refresh tokens."""

import pytest
from flask import Flask

from tests.actors import Bearer


def test_a_refresh_gives_a_new_pair_that_works(person: Bearer) -> None:
    """In every delivery the new access token is good and the session is the same."""
    before = person.get("/v1/auth/session").json
    assert person.refresh().status_code == 200
    after = person.get("/v1/auth/session").json
    assert before["session"]["id"] == after["session"]["id"]


def test_a_reused_refresh_token_ends_the_family(user: Bearer) -> None:
    """A grandparent that comes back means a stolen copy: the newest tokens are dead too."""
    stolen = user.refresh_token
    user.refresh()
    user.refresh()
    answer = user.request("POST", "/v1/auth/refresh", token=stolen)
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/refresh-token-reused")
    assert user.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert user.refresh().json["type"] == "/problems/session-ended"


def test_the_parent_answers_the_same_successor_within_the_grace_window(app: Flask, clock) -> None:
    """A lost response or a second tab signs nobody out, and mints no second pair."""
    user = Bearer(app).join()
    parent = user.refresh_token
    first = user.refresh()
    clock.shift(9.9)
    again = user.request("POST", "/v1/auth/refresh", token=parent)
    assert again.status_code == 200
    assert again.json == first.json
    assert user.refresh().status_code == 200


def test_a_repeated_answer_is_in_the_audit_log(app: Flask) -> None:
    """With the address to which it went: that of the owner, or of somebody who has copied the token."""
    user = Bearer(app).join()
    parent = user.refresh_token
    user.refresh()
    elsewhere = Bearer(app)
    elsewhere.client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    assert elsewhere.request("POST", "/v1/auth/refresh", token=parent).status_code == 200
    newest = user.get("/v1/users/me/events").json["items"][0]
    assert (newest["type"], newest["ip_address"]) == ("refresh_repeated", "203.0.113.7")
    assert newest["session_id"] == user.get("/v1/auth/session").json["session"]["id"]


def test_the_parent_after_the_window_is_reuse(app: Flask, clock) -> None:
    user = Bearer(app).join()
    parent = user.refresh_token
    user.refresh()
    clock.shift(10.1)
    answer = user.request("POST", "/v1/auth/refresh", token=parent)
    assert answer.json["type"] == "/problems/refresh-token-reused"
    assert user.get("/v1/users/me").status_code == 401


def test_the_parent_is_reuse_once_its_successor_was_used(user: Bearer) -> None:
    """Only the immediate parent, and only while its successor is unused."""
    parent = user.refresh_token
    user.refresh()
    user.refresh()
    assert user.request("POST", "/v1/auth/refresh", token=parent).json["type"] == "/problems/refresh-token-reused"


@pytest.fixture(scope="module")
def app_without_grace(new_app) -> Flask:
    return new_app(refresh_grace=0)


def test_grace_zero_switches_the_window_off(app_without_grace: Flask) -> None:
    user = Bearer(app_without_grace).join()
    parent = user.refresh_token
    user.refresh()
    answer = user.request("POST", "/v1/auth/refresh", token=parent)
    assert answer.json["type"] == "/problems/refresh-token-reused"


def test_a_session_ends_however_often_it_is_refreshed(app: Flask, clock) -> None:
    """30 days are the end, also for somebody who refreshes every 6."""
    user = Bearer(app).join()
    for _ in range(4):
        clock.shift(6 * 86_400)
        assert user.refresh().status_code == 200
    clock.shift(6 * 86_400 - 60)
    last = user.refresh()
    assert last.json["expires_in"] == 60
    assert last.json["refresh_expires_in"] == 60
    clock.shift(61)
    assert user.refresh().status_code == 401


def test_a_refreshed_token_is_not_fresh(user: Bearer, app: Flask) -> None:
    """Freshness comes from a password, not from holding a refresh token."""
    import jwt

    read = {"options": {"verify_signature": False}}
    assert jwt.decode(user.access_token, **read)["fresh"]
    user.refresh()
    assert jwt.decode(user.access_token, **read)["fresh"] is False
