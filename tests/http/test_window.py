"""What Redis is asked for a rate limit: once, with the answers that the library's own storage gives."""

import uuid
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
import redis
import time_machine
from flask import Flask
from limits.storage import RedisStorage

from api import create_app
from api.config import Settings
from api.http.window import PREFIX, OneTrip
from tests.actors import Bearer


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this process asks of Redis from now on."""
    seen: list[str] = []
    execute = redis.Redis.execute_command

    def telling(self: redis.Redis, *args: Any, **options: Any) -> Any:
        seen.append(args[0])
        return execute(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", telling)
    return seen


def test_a_limit_costs_one_round_trip(new_app: Callable[..., Flask], store_name: str, commands: list[str]) -> None:
    """Counting, and what the headers say of it."""
    anybody = Bearer(new_app(ratelimit_enabled=True))
    anybody.client.environ_base["REMOTE_ADDR"] = str(IPv6Address(uuid.uuid4().int))  # nobody else's count
    anybody.get("/v1/config")  # Redis learns the script
    commands.clear()
    assert anybody.get("/v1/config").headers["RateLimit"].startswith('"general";r=598;t=')
    assert commands == (["EVALSHA"] if store_name == "postgresql" else [])


def test_the_answers_are_those_of_the_library(redis_url: str) -> None:
    """Room, then none, then room again: the same at each step, and the oldest entry of the window is the same."""
    key = uuid.uuid4().hex
    ours, its = OneTrip(f"{PREFIX}{redis_url}"), RedisStorage(redis_url)
    app = Flask(__name__)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        for seconds in (0, 1, 1, 0, 57, 1, 1, 30, 61, 0):
            clock.shift(seconds)
            with app.app_context():
                assert ours.acquire_entry(f"{key}1", 3, 60) == its.acquire_entry(f"{key}2", 3, 60)
                told = ours.get_moving_window(f"{key}1", 3, 60)
                assert told == its.get_moving_window(f"{key}2", 3, 60)
            with app.app_context():  # a request that has counted nothing asks
                assert ours.get_moving_window(f"{key}1", 3, 60) == told


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "unix:///nowhere/redis.sock"])
def test_every_kind_of_address_that_the_settings_take_has_a_storage(tmp_path: Path, url: str) -> None:
    """Nothing answers there, which is not asked before the first request."""
    app = create_app(Settings(instance_path=str(tmp_path), redis_url=url))
    assert isinstance(app.extensions["keycard.limiter"].storage, OneTrip)
