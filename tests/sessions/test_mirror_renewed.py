"""The revocation mirror of renewed sessions: the least generation of their tokens that is still good."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis
from flask import Flask
from sqlalchemy import update

from api import clock as api_clock
from api.database import transaction
from api.sessions import Session, revocation
from tests.actors import Bearer
from tests.conftest import Stores
from tests.sessions.mirrored import PREFIX, assert_absent, empty, ready, sid

PASSED = 300


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask], new_stores: Callable[[], Stores], redis_url: str) -> Flask:
    """Both databases with Redis."""
    return new_app(stores=replace(new_stores(), redis_url=redis_url))


def renew(app: Flask, user: Bearer, generation: int) -> None:
    """What a renewal will do to the row of a session."""
    with app.app_context(), transaction() as session:
        this = update(Session).where(Session.id == uuid.UUID(sid(user)))
        session.execute(this.values(generation=generation, authenticated_at=api_clock.now()))


def publish_generation(app: Flask, user: Bearer) -> None:
    with app.app_context():
        revocation.mirror().publish_generation(uuid.UUID(sid(user)))


def test_a_renewed_session_mirrors_the_generation_of_its_tokens(app: Flask, clock, mirror: redis.Redis) -> None:
    """For as long as a token lives that was issued before; afterwards there is none that could be meant."""
    user, bystander = Bearer(app).join(), Bearer(app).join()
    clock.shift(PASSED)
    renew(app, user, 3)
    for each in (user, bystander):
        publish_generation(app, each)
    assert mirror.get(f"{PREFIX}gen:{sid(user)}") == "3"
    assert mirror.ttl(f"{PREFIX}gen:{sid(user)}") == pytest.approx(900, abs=2)
    assert not mirror.exists(f"{PREFIX}gen:{sid(bystander)}")
    assert_absent(mirror, user)


def test_giving_the_password_again_and_changing_it_are_mirrored(app: Flask, mirror: redis.Redis) -> None:
    """Others refuse the tokens from before, as Keycard does."""
    user = Bearer(app).join()
    key = f"{PREFIX}gen:{sid(user)}"
    assert not mirror.exists(key)
    assert user.reauthenticate().status_code == 200
    assert mirror.get(key) == "1"
    change = {"current_password": user.password, "new_password": "Battery-Staple-8"}
    assert user.keep(user.put("/v1/users/me/password", json=change)).status_code == 200
    assert mirror.get(key) == "2"


def test_a_generation_replaces_a_smaller_one_and_no_greater_one(app: Flask, mirror: redis.Redis) -> None:
    user = Bearer(app).join()
    key = f"{PREFIX}gen:{sid(user)}"
    for generation, afterwards in ((1, "1"), (10, "10"), (9, "10")):
        renew(app, user, generation)
        publish_generation(app, user)
        assert mirror.get(key) == afterwards


def test_generations_are_compared_too(app: Flask, clock, mirror: redis.Redis) -> None:
    """But not those of which no older token lives."""
    over, user = Bearer(app).join(), Bearer(app).join()
    renew(app, over, 1)
    clock.shift(901)
    renew(app, user, 2)
    clock.shift(PASSED)
    empty(mirror)
    assert ready(app)
    assert mirror.get(f"{PREFIX}gen:{sid(user)}") == "2"
    assert mirror.ttl(f"{PREFIX}gen:{sid(user)}") == pytest.approx(900 - PASSED, abs=2)
    assert not mirror.exists(f"{PREFIX}gen:{sid(over)}")
