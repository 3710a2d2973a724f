"""What Redis is asked for a rate limit: once, with the answers that the library's own storage gives."""

import time
import uuid
from collections.abc import Callable
from functools import partial
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
from api.http.rate_storage import PAUSE_SECONDS, RedisOrMemory
from tests.actors import Bearer
from tests.processes.servers import simultaneously


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
    ours, its = RedisOrMemory(f"keycard+{redis_url}"), RedisStorage(redis_url)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        for seconds in (0, 1, 1, 0, 57, 1, 1, 30, 61, 0, 200):
            clock.shift(seconds)
            assert ours.acquire_entry(f"{key}1", 3, 60) == its.acquire_entry(f"{key}2", 3, 60)
            assert ours.get_moving_window(f"{key}1", 3, 60) == its.get_moving_window(f"{key}2", 3, 60)
        clock.shift(60.001)
        assert ours.get_moving_window(f"{key}1", 3, 60) == (1_800_000_412.001, 0)


def test_several_at_once_need_room_for_all(redis_url: str) -> None:
    storage, key = RedisOrMemory(f"keycard+{redis_url}"), uuid.uuid4().hex
    assert [storage.acquire_entry(key, 5, 60, amount) for amount in (3, 3, 2, 1)] == [True, False, True, False]


def test_thirty_two_at_once_get_no_more_than_the_limit(redis_url: str) -> None:
    key = uuid.uuid4().hex
    storages = [RedisOrMemory(f"keycard+{redis_url}") for _ in range(2)]
    granted = simultaneously(*(partial(storages[number % 2].acquire_entry, key, 5, 60) for number in range(32)))
    assert sum(granted) == 5


def test_without_redis_half_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    """And at least one. What is left is told as it is; the change is logged once."""
    storage = RedisOrMemory("keycard+redis://127.0.0.1:1/0")
    assert not storage.in_memory
    assert [storage.acquire_entry("five", 5, 60) for _ in range(3)] == [True, True, False]
    assert storage.get_moving_window("five", 5, 60)[1] == 5
    assert [storage.acquire_entry("one", 1, 60) for _ in range(2)] == [True, False]
    assert storage.in_memory
    assert [each.getMessage()[:13] for each in caplog.records] == ["Redis is away"]


def test_redis_is_asked_again_after_a_pause(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then it is left alone, so that a request does not wait for it."""
    caplog.set_level("INFO")
    storage, key = RedisOrMemory(f"keycard+{redis_url}"), uuid.uuid4().hex
    script, asked = storage.script, []

    def silent(**_: Any) -> Any:
        asked.append(1)
        raise redis.TimeoutError

    storage.script = silent
    storage.acquire_entry(key, 4, 60)
    storage.acquire_entry(key, 4, 60)
    assert (len(asked), storage.in_memory) == (1, True)
    storage.script = script
    later = time.monotonic() + PAUSE_SECONDS
    monkeypatch.setattr("api.http.rate_storage.time.monotonic", lambda: later)
    assert storage.acquire_entry(key, 4, 60)
    assert not storage.in_memory
    assert caplog.records[-1].getMessage() == "Redis is back; rate limits count there again"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "unix:///nowhere/redis.sock"])
def test_every_kind_of_address_that_the_settings_take_has_a_storage(tmp_path: Path, url: str) -> None:
    """Nothing answers there, which is not asked before the first request, and does not stop it."""
    app = create_app(Settings(instance_path=str(tmp_path), redis_url=url, ratelimit_enabled=True))
    assert app.test_client().get("/v1/config").headers["RateLimit"].startswith('"general";r=299;')
