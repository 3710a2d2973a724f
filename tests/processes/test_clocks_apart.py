"""The clocks of three servers are up to ten minutes apart: they are one service all the same.

Machines of their own share PostgreSQL, never an SQLite file, so only that is tried here.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from api.clock import now
from tests.conftest import IN_CI, Stores
from tests.processes.servers import Server, Visitor, eventually, simultaneously

SECONDS = 300
GRACE = 5
NEW_PASSWORD = "Another-Horse-8"
REVOKED = "/problems/token-revoked"


@dataclass(frozen=True)
class Service:
    """Servers on the same stores: one whose clock is right, one five minutes ahead, one five minutes behind."""

    right: Server
    ahead: Server
    behind: Server

    @property
    def all(self) -> tuple[Server, ...]:
        return self.right, self.ahead, self.behind

    @property
    def pairs(self) -> list[tuple[Server, Server]]:
        return [(one, other) for one in self.all for other in self.all if one is not other]


@pytest.fixture(scope="module")
def service(new_postgresql: Callable[[], str], redis_url: str, start: Callable[..., Server]) -> Service:
    if not shutil.which("faketime"):
        (pytest.fail if IN_CI else pytest.skip)("the clock of a process is set with libfaketime: install faketime")
    stores = Stores("postgresql", new_postgresql(), redis_url)
    servers = [start(stores, environment=clock(offset), refresh_grace=GRACE) for offset in (0, SECONDS, -SECONDS)]
    return Service(*[each.wait() for each in servers])


def clock(offset: int) -> dict[str, str]:
    """Environment variables for a process whose clock is so many seconds ahead; what it waits for takes no longer."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{offset:+}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if offset else {}


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def issued_at(token: str) -> datetime:
    return datetime.fromtimestamp(claims(token)["iat"], now().tzinfo)


def pair(answer: Any) -> list[dict[str, Any]]:
    """What both tokens of an answer say. Who signs may differ: a key that one has just made is not yet active for another."""
    return [claims(answer.json[name]) for name in ("access_token", "refresh_token")]


def spend(user: Visitor) -> Any:
    """Refresh, and do not keep the answer."""
    return user.request("POST", "/v1/auth/refresh", token=user.refresh_token)


def test_the_clocks_are_apart(service: Service) -> None:
    """The ground on which the others stand."""
    offsets = [issued_at(Visitor(server).join().access_token) - now() for server in service.all]
    seconds = [each.total_seconds() for each in offsets]
    assert seconds == pytest.approx([0, SECONDS, -SECONDS], abs=60)


def test_the_tokens_of_one_are_good_on_the_other(service: Service) -> None:
    """Also those that, by the other's clock, are not issued yet; and so are the ones that the other then makes of them."""
    for one, other in service.pairs:
        user = Visitor(one).join()
        there = user.at(other)
        assert there.get("/v1/users/me").status_code == 200
        assert there.refresh().status_code == 200
        assert there.at(one).get("/v1/users/me").status_code == 200
        assert there.at(one).refresh().status_code == 200


def test_a_revocation_on_one_counts_on_the_other_at_once(service: Service) -> None:
    """Signing out and changing the password: no clock is asked, so none can be wrong."""
    for one, other in service.pairs:
        leaves, changes = Visitor(one).join(), Visitor(one).join()
        stolen = changes.at(one)
        assert leaves.at(other).logout().status_code == 204
        there = changes.at(other)
        assert there.login().status_code == 200
        body = {"current_password": there.password, "new_password": NEW_PASSWORD}
        assert there.keep(there.put("/v1/users/me/password", json=body)).status_code == 200
        for server in service.all:
            for dead in (leaves, stolen):
                assert dead.at(server).get("/v1/users/me").json["type"] == REVOKED
                assert dead.at(server).refresh().json["type"] == "/problems/session-ended"
            assert there.at(server).get("/v1/users/me").status_code == 200


def test_a_lost_answer_is_given_again_by_the_other(service: Service) -> None:
    """The grace window is measured with the clock that all share, the database's."""
    for one, other in service.pairs:
        user = Visitor(one).join()
        lost = spend(user)
        again = spend(user.at(other))
        assert (lost.status_code, again.status_code) == (200, 200)
        assert pair(again) == pair(lost)
    user = Visitor(service.right).join()
    answers = simultaneously(*[lambda at=at: spend(user.at(at)) for at in service.all * 5])
    assert {each.status_code for each in answers} == {200}
    assert all(pair(each) == pair(answers[0]) for each in answers)


def test_the_grace_window_ends_on_the_other_too(service: Service) -> None:
    """A clock that is behind does not make it longer: afterwards the token is a stolen one, and the family dies."""
    stories = [(Visitor(one).join(), other) for one, other in service.pairs]
    successors = [user.at(user.server) for user, _ in stories]
    for each in successors:
        assert each.refresh().status_code == 200
    over = now() + timedelta(seconds=GRACE)
    eventually(lambda: now() > over)
    for (user, other), successor in zip(stories, successors, strict=True):
        assert spend(user.at(other)).json["type"] == "/problems/refresh-token-reused"
        assert successor.get("/v1/users/me").json["type"] == REVOKED


def test_one_wrong_password_keeps_nobody_out(service: Service) -> None:
    """A failure that, by the other's clock, has not happened yet delays nothing."""
    for one, other in service.pairs:
        user = Visitor(one)
        assert user.register().status_code == 201
        mistaken = user.at(one)
        mistaken.password = "Wrong-Horse-77"
        assert mistaken.login().status_code == 401
        assert user.at(other).login().status_code == 200


def test_guesses_stay_limited_and_nobody_waits_for_another_clock(service: Service) -> None:
    """Five a minute for each clock at most, and no Retry-After longer than the minute."""
    user = Visitor(service.right)
    assert user.register().status_code == 201
    seats = [user.at(server) for server in service.all]
    for seat in seats:
        seat.password = "Wrong-Horse-77"
    answers = [seat.login() for seat in seats * 10]
    assert {each.status_code for each in answers} == {401, 429}
    assert sum(each.status_code == 401 for each in answers) <= 15
    waits = [int(each.headers["Retry-After"]) for each in answers if each.status_code == 429]
    assert all(0 < wait <= 60 for wait in waits)
