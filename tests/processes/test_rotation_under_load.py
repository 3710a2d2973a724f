"""The signing key is rotated while two workers of two servers each are busy: nobody who is signed in notices."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jwt
import psycopg
import pytest

from tests.conftest import Stores
from tests.processes.servers import Server, Visitor, eventually, keycard

# A running process reads the keys again after ten seconds; the rest is for a busy machine.
RELOAD = 30.0


@pytest.fixture(scope="module")
def servers(new_postgresql: Callable[[], str], redis_url: str, start: Callable[..., Server]) -> list[Server]:
    stores = Stores("postgresql", new_postgresql(), redis_url)
    found = [start(stores, *options, ratelimit_login_account="100000/minute") for options in (("--workers", "2"), ())]
    return [each.wait() for each in found]


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def activate(server: Server) -> None:
    """Let the five minutes pass after which a new key signs: for the test only what the table says of it is moved."""
    with psycopg.connect(server.environment["KEYCARD_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE signing_keys SET active_from = active_from - interval '5 minutes'")


@dataclass
class Crowd:
    """People who read, refresh, sign in and sign out at both servers until they are told to stop.

    signed_with: the key of everybody's newest token. undead: who could use a token of an ended session.
    """

    servers: list[Server]
    people: list[Visitor]
    refused: list[str] = field(default_factory=list)
    signed_with: dict[str, str] = field(default_factory=dict)
    undead: list[str] = field(default_factory=list)
    rounds: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def live(self, user: Visitor) -> None:
        at = 0
        while not self.stop.is_set():
            at += 1
            user.server = self.servers[at % len(self.servers)]
            for call in (user.refresh, lambda: user.get("/v1/users/me"), lambda: user.get("/v1/auth/session")):
                self.expect(call(), 200)
            self.signed_with[user.name] = kid(user.access_token)
            if at % 5 == 0:
                gone = user.at(user.server)
                self.expect(user.logout(), 204)
                self.expect(user.login(), 200)
                self.undead += [gone.name for server in self.servers if gone.at(server).get("/v1/users/me").status_code != 401]
            self.rounds += 1

    def expect(self, answer: Any, status: int) -> None:
        if answer.status_code != status:
            self.refused.append(f"{answer.status_code} {answer.json}")


def published(server: Server) -> set[str]:
    return {key["kid"] for key in server.client.get("/.well-known/jwks.json").json()["keys"]}


def test_a_rotation_under_load_refuses_no_live_session(servers: list[Server]) -> None:
    """From the old key alone, over both, to the new one signing for all: not one 401, and no token of an ended session lives."""
    crowd = Crowd(servers, [Visitor(servers[0]).join() for _ in range(4)])
    idle = Visitor(servers[0]).join()
    (old,) = published(servers[0])
    with ThreadPoolExecutor(len(crowd.people)) as pool:
        lives = [pool.submit(crowd.live, each) for each in crowd.people]
        try:
            new = keycard(servers[0].environment, "keys", "rotate").split()[0]
            eventually(lambda: all(published(each) == {old, new} for each in servers), RELOAD)
            assert set(crowd.signed_with.values()) == {old}
            activate(servers[0])
            eventually(lambda: set(crowd.signed_with.values()) == {new}, RELOAD)
            enough = crowd.rounds + 30
            eventually(lambda: crowd.rounds >= enough, RELOAD)
        finally:
            crowd.stop.set()
        for each in lives:
            each.result()
    assert crowd.refused == []
    assert crowd.undead == []
    for server in servers:
        assert idle.at(server).get("/v1/users/me").status_code == 200
    assert kid(idle.access_token) == old
    assert idle.refresh().status_code == 200
    assert idle.get("/v1/users/me").status_code == 200
