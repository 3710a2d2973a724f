"""The revocation mirror in Redis: what other services find there, and for how long."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
import redis
from flask import Flask

from api import sessions
from api.database import transaction
from tests.actors import Bearer
from tests.conftest import Stores
from tests.sessions.mirrored import PREFIX, again, assert_absent, assert_mirrored, empty, life, sid

PASSED = 300


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask], new_stores: Callable[[], Stores], redis_url: str) -> Flask:
    """Both databases with Redis."""
    return new_app(stores=replace(new_stores(), redis_url=redis_url))


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_logout_is_mirrored_for_the_rest_of_the_tokens_life(app: Flask, clock, mirror: redis.Redis, kind: str) -> None:
    """With either token; the sessions of others, and other sessions of mine, have no key."""
    user = Bearer(app).join()
    elsewhere, bystander = again(user), Bearer(app).join()
    clock.shift(PASSED)
    assert life(user) < 900 - PASSED + 1
    assert user.request("DELETE", "/v1/auth/logout", token=getattr(user, kind)).status_code == 204
    assert_mirrored(mirror, user)
    assert_absent(mirror, elsewhere, bystander)


def test_the_newest_access_token_decides_how_long_a_key_lives(app: Flask, clock, mirror: redis.Redis) -> None:
    """After a refresh, and after the password was given again."""
    refreshed, confirmed = Bearer(app).join(), Bearer(app).join()
    clock.shift(PASSED)
    refreshed.refresh()
    confirmed.keep(confirmed.post("/v1/auth/reauthenticate", json={"password": confirmed.password}))
    for user in (refreshed, confirmed):
        assert life(user) > 898
        assert user.logout().status_code == 204
    assert_mirrored(mirror, refreshed, confirmed)


def test_a_second_logout_does_not_change_the_key(app: Flask, clock, mirror: redis.Redis) -> None:
    user = Bearer(app).join()
    user.logout()
    clock.shift(PASSED)
    assert user.logout().status_code == 204
    assert mirror.ttl(f"{PREFIX}sid:{sid(user)}") == pytest.approx(900, abs=2)


def test_ending_one_session_mirrors_that_one(app: Flask, clock, mirror: redis.Redis) -> None:
    user = Bearer(app).join()
    lost, kept = again(user), again(user)
    clock.shift(PASSED)
    assert user.delete(f"/v1/users/me/sessions/{sid(lost)}").status_code == 204
    assert_mirrored(mirror, lost)
    assert_absent(mirror, user, kept)


def test_a_session_of_somebody_else_is_neither_ended_nor_mirrored(app: Flask, mirror: redis.Redis) -> None:
    user, other = Bearer(app).join(), Bearer(app).join()
    assert user.delete(f"/v1/users/me/sessions/{sid(other)}").status_code == 404
    assert_absent(mirror, user, other)


def test_ending_every_other_session_mirrors_each(app: Flask, clock, mirror: redis.Redis) -> None:
    user = Bearer(app).join()
    others = [again(user), again(user)]
    clock.shift(PASSED)
    assert user.delete("/v1/users/me/sessions").status_code == 204
    assert_mirrored(mirror, *others)
    assert_absent(mirror, user)


def test_a_password_change_mirrors_the_other_sessions(app: Flask, clock, mirror: redis.Redis) -> None:
    user = Bearer(app).join()
    others = [again(user), again(user)]
    clock.shift(PASSED)
    body = {"current_password": user.password, "new_password": "Battery-Staple-8"}
    assert user.put("/v1/users/me/password", json={**body, "current_password": "Wrong-Horse-77"}).status_code == 403
    assert_absent(mirror, user, *others)
    assert user.keep(user.put("/v1/users/me/password", json=body)).status_code == 200
    assert_mirrored(mirror, *others)
    assert_absent(mirror, user)


def test_reuse_of_a_refresh_token_is_mirrored_although_it_is_refused(app: Flask, clock, mirror: redis.Redis) -> None:
    user = Bearer(app).join()
    spent = user.refresh_token
    user.refresh()
    clock.shift(PASSED)
    assert user.request("POST", "/v1/auth/refresh", token=spent).status_code == 401
    assert_mirrored(mirror, user)


def test_new_roles_mirror_the_person_not_the_session(app: Flask, clock, mirror: redis.Redis) -> None:
    """Tokens with the old roles are dead, the session goes on: the key names the smallest epoch that is still good."""
    admin, user = Bearer(app).join(roles=["admin", "editor"]), Bearer(app).join()
    key, path = f"{PREFIX}sub:{user.id}", f"/v1/admin/users/{user.id}/roles"
    assert admin.put(path, json={"roles": ["user"]}).status_code == 200
    assert not mirror.exists(key), "nothing has changed"
    assert admin.put(path, json={"roles": ["user", "editor"]}).status_code == 200
    assert mirror.get(key) == "1"
    assert mirror.ttl(key) == pytest.approx(900, abs=2)
    assert_absent(mirror, user)
    user.refresh()
    assert jwt.decode(user.access_token, options={"verify_signature": False})["epoch"] == 1


def test_revoking_a_person_mirrors_the_person_and_every_session(app: Flask, clock, mirror: redis.Redis) -> None:
    admin, user = Bearer(app).join(roles=["admin"]), Bearer(app).join()
    elsewhere, user_id = again(user), user.id
    clock.shift(PASSED)
    assert admin.login().status_code == 200
    assert admin.post(f"/v1/admin/users/{user_id}/revoke").status_code == 204
    assert_mirrored(mirror, user, elsewhere)
    assert mirror.get(f"{PREFIX}sub:{user_id}") == "1"
    assert mirror.ttl(f"{PREFIX}sub:{user_id}") == pytest.approx(900, abs=2)
    assert_absent(mirror, admin)


def test_an_ending_that_is_rolled_back_leaves_no_key(app: Flask, mirror: redis.Redis) -> None:
    """Others must not refuse a session that goes on."""
    user = Bearer(app).join()
    user_id = uuid.UUID(user.id)

    def fail_half_way() -> None:
        with transaction():
            assert sessions.end(uuid.UUID(sid(user)), user_id, "revoked")
            sessions.publish_epoch(user_id)
            raise ZeroDivisionError

    with app.app_context(), pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert user.get("/v1/users/me").status_code == 200
    assert_absent(mirror, user)
    assert not mirror.exists(f"{PREFIX}sub:{user_id}")


def test_signing_out_asks_redis_once(app: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the mirror was lost: that is mended behind the requests."""
    people = [Bearer(app).join() for _ in range(2)]
    seen: list[Any] = []
    execute = redis.Redis.execute_command

    def telling(self: redis.Redis, *arguments: Any, **options: Any) -> Any:
        seen.append(arguments[0])
        return execute(self, *arguments, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", telling)
    for each in people:
        assert each.logout().status_code == 204
        assert seen == ["SET"]
        seen.clear()
        empty(mirror)
        seen.clear()
