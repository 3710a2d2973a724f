"""The revocation mirror is compared with the database: what is missing is written, and by whom, and what `complete` then says."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from flask import Flask

from api import clock as api_clock
from api.sessions import comparing, dead_tokens, heartbeat, revocation
from api.sessions.comparing import COMPLETE
from tests.actors import Bearer
from tests.conftest import Stores
from tests.sessions.mirrored import PREFIX, assert_absent, assert_mirrored, empty, left, ready, sid

PASSED = 300


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask], new_stores: Callable[[], Stores], redis_url: str) -> Flask:
    """Both databases with Redis."""
    return new_app(stores=replace(new_stores(), redis_url=redis_url))


def test_an_emptied_mirror_is_rebuilt_with_what_still_matters(app: Flask, clock, mirror: redis.Redis) -> None:
    """Sessions whose last access token has expired need no key, those that go on have none."""
    expired = Bearer(app).join()
    expired.logout()
    clock.shift(901)
    ended, alive = Bearer(app).join(), Bearer(app).join()
    ended.logout()
    clock.shift(PASSED)
    empty(mirror)
    assert ready(app)
    assert_mirrored(mirror, ended)
    assert_absent(mirror, expired, alive)


def test_a_mirror_is_called_complete_for_half_a_minute(app: Flask, mirror: redis.Redis) -> None:
    """Then somebody must have compared again, or nobody relies on it."""
    empty(mirror)
    assert ready(app)
    assert comparing.LIFE_SECONDS - 5 < left(mirror) <= comparing.LIFE_SECONDS == 30
    assert datetime.fromisoformat(mirror.get(COMPLETE)) == pytest.approx(api_clock.now(), abs=timedelta(minutes=1))


def test_a_comparison_is_not_made_twice(app: Flask, mirror: redis.Redis) -> None:
    """One process makes it; others see that it was made, and how long ago."""
    empty(mirror)
    assert ready(app)
    made = mirror.get(COMPLETE)
    with app.app_context():
        assert revocation.mirror().heal()
        assert mirror.get(COMPLETE) == made
        mirror.expire(COMPLETE, 18)
        assert revocation.mirror().heal()
        assert mirror.get(COMPLETE) == made, "readiness leaves it to the heartbeat"
        assert revocation.mirror().heal(heartbeat.INTERVAL_SECONDS)
        assert mirror.get(COMPLETE) != made
        made = mirror.get(COMPLETE)
        mirror.expire(COMPLETE, 9)
        assert revocation.mirror().heal()
        assert mirror.get(COMPLETE) != made, "there is no heartbeat"


@pytest.mark.parametrize("life", [None, 31, 3600])
def test_a_mark_that_lives_longer_than_ours_counts_for_nothing(app: Flask, mirror: redis.Redis, life: int | None) -> None:
    """It was restored, or written by the release before, which let it live for ever."""
    user = Bearer(app).join()
    user.logout()
    empty(mirror)
    mirror.set(COMPLETE, 1, ex=life)
    assert ready(app)
    assert_mirrored(mirror, user)
    assert 0 < left(mirror) <= comparing.LIFE_SECONDS


def test_a_comparison_that_another_process_makes_is_waited_for(app: Flask, mirror: redis.Redis) -> None:
    """Until then the mirror is not complete, and the service not ready. Should that process die, its turn soon ends."""
    empty(mirror)
    mirror.set(comparing.COMPARING, "theirs", ex=30)
    assert not ready(app)
    mirror.delete(comparing.COMPARING)
    assert ready(app)
    assert not mirror.exists(comparing.COMPARING)


def test_what_this_process_could_not_write_is_looked_for_at_once(app: Flask, mirror: redis.Redis) -> None:
    """Although the mirror is still called complete, by a comparison that was made before."""
    user = Bearer(app).join()
    empty(mirror)
    assert ready(app)
    with app.app_context(), broken(revocation.mirror()):
        assert user.logout().status_code == 204
    assert mirror.exists(COMPLETE)
    assert_absent(mirror, user)
    assert ready(app)
    assert_mirrored(mirror, user)
    with app.app_context():
        assert not revocation.mirror().behind


@contextmanager
def broken(ours: revocation.Mirror) -> Iterator[None]:
    """Nobody answers at the other end."""
    usual = ours._redis
    with redis.Redis.from_url("redis://127.0.0.1:1/0") as nobody:
        ours._redis = nobody
        yield
    assert ours.behind
    ours._redis = usual


def test_a_smaller_number_is_replaced_and_a_greater_one_is_not(app: Flask, mirror: redis.Redis) -> None:
    admin, user = Bearer(app).join(roles=["admin", "editor"]), Bearer(app).join()
    key, path = f"{PREFIX}sub:{user.id}", f"/v1/admin/users/{user.id}/roles"
    for roles in (["user", "editor"], ["user"]):
        assert admin.put(path, json={"roles": roles}).status_code == 200
    for found, afterwards in ((None, "2"), ("1", "2"), ("3", "3")):
        empty(mirror)
        if found:
            mirror.set(key, found, ex=900)
        assert ready(app)
        assert mirror.get(key) == afterwards


def test_a_large_mirror_is_rebuilt_in_batches(app: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis answers others in between; and nothing is left of the work but the keys."""
    monkeypatch.setattr(comparing, "BATCH", 2)
    people = [Bearer(app).join() for _ in range(5)]
    for each in people:
        each.logout()
    empty(mirror)
    assert ready(app)
    assert_mirrored(mirror, *people)
    assert mirror.exists(COMPLETE)
    assert not mirror.exists(comparing.COMPARING)


def test_a_mirror_that_is_emptied_while_it_is_rebuilt_is_rebuilt_again(
    app: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys of the first batches would be missing, and their tokens good again."""
    monkeypatch.setattr(comparing, "BATCH", 1)
    people = [Bearer(app).join() for _ in range(3)]
    for each in people:
        each.logout()
    empty(mirror)
    real, written = comparing.put, []

    def put(*arguments: Any) -> None:
        written.append(arguments)
        if len(written) == 3:
            empty(mirror)
        real(*arguments)

    monkeypatch.setattr(comparing, "put", put)
    assert ready(app)
    assert len(written) > 3
    assert_mirrored(mirror, *people)


def take_over(mirror: redis.Redis) -> None:
    """Another process begins a look, as if this one had taken too long."""
    mirror.set(comparing.COMPARING, "theirs", ex=30)


@pytest.mark.parametrize("meanwhile", [empty, take_over], ids=["redis comes back empty", "another process begins"])
def test_what_happens_at_the_end_of_a_look_makes_it_look_again(
    app: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[redis.Redis], None]
) -> None:
    """What the look has found was in the Redis before; and the mark lives as long as the look that earned it."""
    user = Bearer(app).join()
    user.logout()
    real, looks = comparing._fill, []

    def fill(*arguments: Any) -> int:
        found = real(*arguments)
        looks.append(found)
        if found == 0 and looks.count(0) == 1:
            meanwhile(mirror)
        return found

    monkeypatch.setattr(comparing, "_fill", fill)
    empty(mirror)
    assert ready(app)
    assert looks.count(0) == 2
    assert_mirrored(mirror, user)


def test_a_mirror_that_loses_what_is_written_is_never_called_complete(
    app: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is no room: each key that is written drives another one out."""
    people = [Bearer(app).join() for _ in range(2)]
    for each in people:
        each.logout()
    empty(mirror)
    keys = [f"{PREFIX}sid:{sid(each)}" for each in people]
    real = comparing.put

    def put(store: Any, dead: Sequence[dead_tokens.Dead], now: datetime) -> None:
        real(store, dead, now)
        mirror.delete(*[key for key in keys if key not in {each.key for each in dead}] or keys[:1])

    monkeypatch.setattr(comparing, "put", put)
    assert not ready(app)
    assert not mirror.exists(COMPLETE)
    monkeypatch.undo()
    assert ready(app)
    assert_mirrored(mirror, *people)
