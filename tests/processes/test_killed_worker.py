"""Workers are killed (SIGKILL) while they write: what was acknowledged is there, and what was not can be tried again."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Stores
from tests.processes.servers import START_SECONDS, Server, Visitor, eventually

NEW_PASSWORD = "Another-Horse-8"
KILLS, CLIENTS, LIVES = 2, 8, 20
# Granian gives up on a worker that dies so soon after it was started in the place of another one.
CRASH_LOOP = 5.5


@pytest.fixture(scope="module")
def server(new_stores: Callable[[], Stores], start: Callable[..., Server]) -> Server:
    """Two workers, so that one is there while the other is not."""
    found = start(new_stores(), "--workers", "2").wait()
    eventually(lambda: len(found.workers()) == 2, START_SECONDS)
    return found


@dataclass
class Ledger:
    """What the clients were told. unanswered: tries that ended without an answer, or with 503."""

    alive: list[Visitor] = field(default_factory=list)
    dead: list[Visitor] = field(default_factory=list)
    acknowledged: int = 0
    unanswered: int = 0
    unexpected: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def insist(self, call: Callable[[], Any], expected: int, *, again: int | None = None) -> None:
        """Write until there is an answer. again: what a second try may say as well, because the first may have been done."""
        tries = 0
        while (answer := self._attempt(call)) is None:
            tries += 1
        with self._lock:
            self.acknowledged += 1
            self.unanswered += tries
            if answer.status_code not in {expected, again if tries else expected}:
                self.unexpected.append(f"{answer.status_code} at try {tries + 1}, not {expected}: {answer.json}")

    @staticmethod
    def _attempt(call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    def keep(self, *, alive: list[Visitor], dead: list[Visitor]) -> None:
        with self._lock:
            self.alive += alive
            self.dead += dead


def live(server: Server, ledger: Ledger) -> None:
    """Three people: one stays, one signs out, one changes the password on a second device."""
    stays, leaves, changes = (Visitor(server) for _ in range(3))
    for user in (stays, leaves, changes):
        ledger.insist(user.register, 201, again=409)
        ledger.insist(user.login, 200)
        ledger.insist(user.refresh, 200)
        ledger.insist(user.refresh, 200)
    ledger.insist(leaves.logout, 204)
    stolen = changes.at(server)
    ledger.insist(changes.login, 200)
    body = {"current_password": changes.password, "new_password": NEW_PASSWORD}
    ledger.insist(lambda: changes.put("/v1/users/me/password", json=body), 200, again=401)
    changes.password = stolen.password = NEW_PASSWORD
    ledger.insist(changes.login, 200)
    ledger.keep(alive=[stays, changes], dead=[leaves, stolen])


def test_nothing_acknowledged_is_lost_when_workers_are_killed(server: Server) -> None:
    """More than five hundred writes, and a death among every three hundred: each client gets to its end by trying again."""
    ledger = Ledger()
    killed: list[int] = []
    while len(killed) < KILLS or not ledger.unanswered:
        killed.append(kill_amid_a_crowd(server, ledger, server.workers()[len(killed) % 2]))

    assert ledger.unexpected == []
    assert ledger.acknowledged >= 500
    for user in ledger.alive:
        assert user.get("/v1/users/me").status_code == 200
        assert user.refresh().status_code == 200
        assert user.login().status_code == 200
    for user in ledger.dead:
        assert user.get("/v1/users/me").json["type"] == "/problems/token-revoked"
        assert user.refresh().json["type"] == "/problems/session-ended"
    assert not set(server.workers()) & set(killed)
    assert server.status() == 200


def seconds_since_the_start_of(pid: int) -> float:
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def kill_amid_a_crowd(server: Server, ledger: Ledger, victim: int) -> int:
    """Let the clients do their work, kill one of the two workers in the middle of it, and wait for the next one to serve."""
    started = server.log.count("Started worker-")
    eventually(lambda: seconds_since_the_start_of(victim) > CRASH_LOOP)
    enough = ledger.acknowledged + 80
    with ThreadPoolExecutor(CLIENTS) as pool:
        lives = [pool.submit(live, server, ledger) for _ in range(LIVES)]
        eventually(lambda: ledger.acknowledged >= enough, START_SECONDS)
        os.kill(victim, signal.SIGKILL)
        for each in lives:
            each.result()
    eventually(lambda: server.log.count("Started worker-") > started, START_SECONDS)
    return victim
