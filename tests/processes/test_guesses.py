"""Guessing a password at two servers of one service at the same moment wins nothing."""

import time
from collections.abc import Callable

import pytest

from tests.conftest import Stores
from tests.processes.servers import Server, Visitor, simultaneously

WRONG = "Wrong-Horse-77"
# More than any test needs: what is tried here is not the limit of requests, but the pause after failures.
UNLIMITED = {"ratelimit_login_account": "100000/minute"}


@pytest.fixture(scope="module")
def servers(new_stores: Callable[[], Stores], start: Callable[..., Server]) -> list[Server]:
    stores = new_stores()
    started = [start(stores, **UNLIMITED) for _ in range(2)]
    return [each.wait() for each in started]


def guess(server: Server, name: str) -> tuple[int, int]:
    """The status of a wrong sign-in, and how many seconds to wait before the next."""
    answer = server.client.post("/v1/auth/login", json={"username": name, "password": WRONG})
    return answer.status_code, int(answer.headers.get("Retry-After", 0))


def wait_as_told(server: Server, name: str) -> None:
    status, seconds = guess(server, name)
    assert status == 429
    time.sleep(seconds)


def test_of_24_simultaneous_guesses_where_one_is_due_one_is_judged(servers: list[Server]) -> None:
    """Twelve at each server. The pauses before make the one after the judged guess longer than this machine can be slow."""
    owner = Visitor(servers[0])
    assert owner.register().status_code == 201
    assert [guess(servers[number % 2], owner.name)[0] for number in range(5)] == [401] * 5
    for _ in range(3):
        wait_as_told(servers[0], owner.name)
        assert guess(servers[1], owner.name)[0] == 401
    wait_as_told(servers[1], owner.name)
    answers = simultaneously(*[lambda number=number: guess(servers[number % 2], owner.name) for number in range(24)])
    assert sorted(status for status, _ in answers) == [401] + [429] * 23
    assert {seconds for status, seconds in answers if status == 429} <= {15, 16}
