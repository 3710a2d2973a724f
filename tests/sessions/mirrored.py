"""Looking into the revocation mirror, and asking for it."""

import jwt
import pytest
import redis
from flask import Flask

from api import clock as api_clock
from api.sessions.comparing import COMPLETE
from tests.actors import Bearer

PREFIX = "keycard:revoked:"


def sid(user: Bearer) -> str:
    return str(jwt.decode(user.access_token, options={"verify_signature": False})["sid"])


def life(user: Bearer) -> float:
    """The remaining life of the access token, in seconds."""
    claims = jwt.decode(user.access_token, options={"verify_signature": False})
    return float(claims["exp"] - api_clock.now().timestamp())


def again(user: Bearer) -> Bearer:
    """The same person on another device."""
    found = Bearer(user.app, user.name)
    assert found.login().status_code == 200
    return found


def assert_mirrored(mirror: redis.Redis, *users: Bearer) -> None:
    """The session has a key that lives exactly as long as its newest access token."""
    for user in users:
        assert mirror.get(f"{PREFIX}sid:{sid(user)}") == "1"
        assert mirror.pttl(f"{PREFIX}sid:{sid(user)}") / 1000 == pytest.approx(life(user), abs=2)


def assert_absent(mirror: redis.Redis, *users: Bearer) -> None:
    assert not mirror.exists(*[f"{PREFIX}sid:{sid(user)}" for user in users])


def empty(mirror: redis.Redis) -> None:
    mirror.delete(*mirror.scan_iter(f"{PREFIX}*"))


def ready(app: Flask) -> bool:
    """Whether the service says so; where there is no heartbeat, it compares the mirror on this occasion."""
    return Bearer(app).request("GET", "/health/ready").status_code == 200


def left(mirror: redis.Redis) -> float:
    """For how long the mirror is still called complete, in seconds."""
    return float(mirror.pttl(COMPLETE)) / 1000
