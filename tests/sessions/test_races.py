"""Things that happen to one session, or one account, at the same moment."""

import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask
from sqlalchemy import select

from api.database import fetch_one
from api.sessions import Session
from tests.actors import Bearer
from tests.processes.servers import simultaneously

ROUNDS = range(5)
DEAD = {"/problems/token-revoked", "/problems/session-ended"}


def copies(user: Bearer, number: int, token: str | None = None) -> list[Callable[[], Any]]:
    """Calls that refresh one token, each with a client of its own."""
    actors = [Bearer(user.app) for _ in range(number)]
    return [lambda at=at: at.request("POST", "/v1/auth/refresh", token=token or user.refresh_token) for at in actors]


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def row_of(user: Bearer) -> Any:
    """The row of the user's session."""
    found = select(Session.refresh_id, Session.previous_refresh_id, Session.authenticated_at, Session.ended_at)
    with user.app.app_context():
        return fetch_one(found.where(Session.id == uuid.UUID(claims(user.access_token)["sid"])))


def assert_dead(user: Bearer, *answers: Any) -> None:
    """Neither the tokens the user holds nor those in the answers are good for anything."""
    pairs = [(user.access_token, user.refresh_token)]
    pairs += [(each.json["access_token"], each.json["refresh_token"]) for each in answers if each.status_code == 200]
    for access, refresh in pairs:
        assert user.request("GET", "/v1/users/me", token=access).json["type"] in DEAD
        assert user.request("POST", "/v1/auth/refresh", token=refresh).json["type"] in DEAD


def test_of_simultaneous_refreshes_exactly_one_rotates(app: Flask) -> None:
    """Everybody gets the same pair, byte for byte; the row says that its parent is the token that all of them sent."""
    for number in (200, 20, 20, 20, 20):
        user = Bearer(app).join()
        sent = user.refresh_token
        answers = simultaneously(*copies(user, number))
        assert {each.status_code for each in answers} == {200}
        assert len({each.data for each in answers}) == 1
        user.keep(answers[0])
        row = row_of(user)
        assert (str(row.previous_refresh_id), str(row.refresh_id)) == (claims(sent)["jti"], claims(user.refresh_token)["jti"])
        assert user.get("/v1/users/me").status_code == 200
        assert user.refresh().status_code == 200


def test_simultaneous_returns_of_a_token_after_the_window_end_the_family(app: Flask, clock) -> None:
    """None of them succeeds, and the successor that was given out in time is dead."""
    for _ in ROUNDS:
        user = Bearer(app).join()
        spent = user.refresh_token
        user.refresh()
        clock.shift(10.1)
        answers = simultaneously(*copies(user, 20, spent))
        assert {each.status_code for each in answers} == {401}
        assert "/problems/refresh-token-reused" in {each.json["type"] for each in answers}
        assert row_of(user).ended_at is not None
        assert_dead(user)


@pytest.fixture(scope="module")
def app_without_grace(new_app: Callable[..., Flask]) -> Flask:
    return new_app(refresh_grace=0)


def test_without_a_window_exactly_one_refresh_wins_and_its_pair_is_dead(app_without_grace: Flask) -> None:
    for _ in ROUNDS:
        user = Bearer(app_without_grace).join()
        answers = simultaneously(*copies(user, 20))
        assert sorted(each.status_code for each in answers) == [200] + [401] * 19
        assert_dead(user, *answers)


def test_a_refresh_at_the_moment_of_logout_leaves_nothing_alive(app: Flask) -> None:
    for _ in ROUNDS:
        user = Bearer(app).join()
        *answers, logout = simultaneously(*copies(user, 10), user.logout)
        assert logout.status_code == 204
        assert_dead(user, *answers)


def test_a_refresh_at_the_moment_of_a_revocation_leaves_nothing_alive(app: Flask, admin: Bearer) -> None:
    for _ in ROUNDS:
        user = Bearer(app).join()
        path = f"/v1/admin/users/{user.id}/revoke"
        *answers, revoked = simultaneously(*copies(user, 10), lambda path=path: admin.post(path))
        assert revoked.status_code == 204
        assert_dead(user, *answers)


def test_a_refresh_at_the_moment_of_a_password_change_leaves_nothing_alive(app: Flask) -> None:
    """The session of the change stays, every other one is over, also one that was just rotating."""
    for _ in ROUNDS:
        thief = Bearer(app).join()
        owner = Bearer(app, thief.name)
        owner.login()
        body = {"current_password": owner.password, "new_password": "Battery-Staple-8"}
        *answers, changed = simultaneously(
            *copies(thief, 10), lambda owner=owner, body=body: owner.keep(owner.put("/v1/users/me/password", json=body))
        )
        assert changed.status_code == 200
        assert_dead(thief, *answers)
        assert owner.refresh().status_code == 200


def test_a_sign_in_at_the_moment_of_a_revocation_is_before_or_after_it(app: Flask, admin: Bearer) -> None:
    """Before: both its tokens are dead. After: both live, and say so. Never a session that the revocation overlooked."""
    for _ in range(10):
        user = Bearer(app).join()
        path = f"/v1/admin/users/{user.id}/revoke"
        epoch = claims(user.access_token)["epoch"]
        actors = [Bearer(app, user.name) for _ in range(6)]
        *answers, revoked = simultaneously(*[each.login for each in actors], lambda path=path: admin.post(path))
        assert revoked.status_code == 204
        assert {each.status_code for each in answers} == {200}
        assert_dead(user)
        for actor in actors:
            issued_after = claims(actor.access_token)["epoch"] == epoch + 1
            assert (actor.get("/v1/users/me").status_code == 200) is issued_after
            assert (actor.refresh().status_code == 200) is issued_after


def test_a_sign_in_at_the_moment_of_a_password_change_is_over_or_refused(app: Flask) -> None:
    """Who knows only the old password has nothing that works afterwards."""
    for _ in ROUNDS:
        owner = Bearer(app).join()
        thieves = [Bearer(app, owner.name) for _ in range(6)]
        body = {"current_password": owner.password, "new_password": "Battery-Staple-8"}
        *answers, changed = simultaneously(
            *[each.login for each in thieves],
            lambda owner=owner, body=body: owner.keep(owner.put("/v1/users/me/password", json=body)),
        )
        assert changed.status_code == 200
        assert {each.status_code for each in answers} <= {200, 401}
        for thief, answer in zip(thieves, answers, strict=True):
            if answer.status_code == 200:
                assert_dead(thief)
        assert owner.get("/v1/users/me").status_code == 200


def test_a_sign_in_within_the_second_of_a_revocation_works(app: Flask, clock) -> None:
    """The clock stands still: what was issued before is dead, what is issued after is good, with the same `iat`."""
    admin = Bearer(app).join(roles=["admin"])
    user = Bearer(app).join()
    old_access, old_refresh = user.access_token, user.refresh_token
    assert admin.post(f"/v1/admin/users/{user.id}/revoke").status_code == 204
    assert user.login().status_code == 200
    assert claims(old_access)["iat"] == claims(user.access_token)["iat"]
    assert user.request("GET", "/v1/users/me", token=old_access).json["type"] == "/problems/token-revoked"
    assert user.request("POST", "/v1/auth/refresh", token=old_refresh).json["type"] == "/problems/session-ended"
    assert user.get("/v1/users/me").status_code == 200
    assert user.refresh().status_code == 200


@pytest.fixture(scope="module")
def slow_app(new_app: Callable[..., Flask]) -> Flask:
    """Checking a password takes long enough for something else to happen meanwhile."""
    return new_app(argon2_time_cost=6, argon2_memory_cost=32_768)


def test_a_session_that_ends_while_its_password_is_checked_gives_no_fresh_token(slow_app: Flask) -> None:
    """The mirror promises others that the session's last token has expired when its key does; a token that is issued after
    the end would outlive that promise."""
    for _ in ROUNDS:
        user = Bearer(slow_app).join()
        elsewhere = Bearer(slow_app)
        path, body = "/v1/auth/reauthenticate", {"password": user.password}
        again, logout = simultaneously(
            lambda user=user, path=path, body=body: user.post(path, json=body),
            lambda user=user, at=elsewhere: at.request("DELETE", "/v1/auth/logout", token=user.refresh_token),
        )
        assert logout.status_code == 204
        row = row_of(user)
        assert again.status_code == 401 or row.authenticated_at <= row.ended_at
        assert_dead(user)
